"""The files of a SQLite database: the database itself, its log and the index of its log."""

import os
from contextlib import suppress
from pathlib import Path

Files = dict[str, tuple[int, int] | None]
"""by suffix, the device and the inode; None where there is no file"""
SUFFIXES = ("", "-wal", "-shm")


def files_at(path: Path) -> Files:
    """Which files are in the place of the database, its log and its index of the log; None for one that is not there.
    One that cannot be looked at counts as gone: what it holds cannot be read at a start either."""
    found: Files = {}
    for suffix in SUFFIXES:
        try:
            seen = os.stat(f"{path}{suffix}")
        except OSError:
            found[suffix] = None
        else:
            found[suffix] = (seen.st_dev, seen.st_ino)
    return found


def set_aside(path: Path) -> Path:
    """The new name of a damaged SQLite file, `NAME.corrupt-N`; its log goes with it, so that it can be salvaged."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def remove_orphans(path: Path, opened: Files) -> None:
    """Remove what is left beside a database that is gone: SQLite would apply its log to the one in its place."""
    files = files_at(path)
    if files[""] == opened[""]:
        return
    for suffix in SUFFIXES:
        if suffix and files[suffix] is not None and files[suffix] == opened[suffix]:
            with suppress(OSError):
                os.unlink(f"{path}{suffix}")

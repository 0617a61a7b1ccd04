"""Files that appear when they are complete, with the folders they lie in, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_NAME = 220
"""with it a draft has a name, too"""


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when all went well; it ends as `path` does. Raises OSError.

    Where `path` is a link, what it points to is replaced.
    """
    path = _meant(path)
    draft = _standing(path.parent) / f".{os.getpid()}.part.{path.name}"
    try:
        yield draft
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def why_not(path: Path) -> str:
    """Why a file cannot be written at `path`; empty where it can, as far as one can know before."""
    try:
        if path.is_dir():
            return "is a folder"
    except OSError as error:  # part of it is too long, or a link leads to itself
        return (error.strerror or str(error)).lower()
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    if path.exists() and not path.is_file():
        return "is no regular file, and would be replaced by one"
    path = _meant(path)
    folder = _standing(path.parent)
    if not folder.is_dir():
        return f"{folder} is not a folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written to"


def _meant(path: Path) -> Path:
    """What a link points to; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder

"""A data directory that fails: full, read-only, with a limit on the size of files, damaged or gone.

Where mount namespaces are allowed the directory is a tmpfs that only the scaler sees; where they are not, those
rows are left out, and a limit on the size of files stands for a full disk.
"""

import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from .kills import rows
from .suite import Fault, Run, one_by_one
from .world import WRITES_OFTEN, Group, hooked, newcomers, replicas, triggers

FAMILY = "disk"
MOUNTED = 'mount -t tmpfs -o size=128m,mode=0777 tmpfs "$0" && exec "$@"'
FEW_BYTES = 4096


def _namespace(folder: Path) -> tuple[str, ...]:
    """A command that runs another one with a small file system of its own at `folder`; empty where not allowed."""
    for flags in (("--mount",), ("--user", "--map-root-user", "--mount")):
        command = ("unshare", *flags, "sh", "-c", MOUNTED, str(folder))
        if (
            shutil.which("unshare")
            and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
        ):
            return command
    return ()


def run_family(run: Run) -> None:
    """One scaler with SQLite on its own small disk."""
    folder = run.place("disk")
    data = folder / "scaler-0-data"
    data.mkdir()
    prefix = _namespace(data)
    if not prefix:
        run.left_out.append("a full or read-only disk: mount namespaces are not allowed here")
    often = hooked(folder, WRITES_OFTEN)
    with replicas(folder, 1, "--prometheus", run.prometheus.url, prefix=prefix, environment=often) as group:
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        with newcomers(group), group.watched(wanted) as watches:
            time.sleep(5)
            faults = _faults(group, data, bool(prefix))
            one_by_one(run, FAMILY, faults[: 2 if run.quick else None], watches, 1, run.times(4, 2))


def _faults(group: Group, data: Path, mounted: bool) -> list[Fault]:
    def kept() -> Mapping[str, float]:
        return _rows(group, data)

    limited = Fault("no file may grow (size limit)", _limited(group), rows=kept)
    if not mounted:
        return [limited]
    note = "a tmpfs of the scaler's own"
    return [
        Fault("disk full", _full(group, data), note, rows=kept),
        Fault("data directory read-only", _read_only(group, data), note, rows=kept),
        limited,
        Fault("the file of the store is damaged", _damaged(group, data), note, rows=kept),
        Fault("the file of the store is gone", _gone(group, data), note, rows=kept),
    ]


def _seen_by(group: Group, data: Path) -> Path:
    """The directory as the process sees it."""
    return Path(f"/proc/{group.replicas[0].process.process.pid}/root{data}")


def _rows(group: Group, data: Path) -> Mapping[str, float]:
    """Watched triggers and pages of history, from a copy: SQLite opens no file of another mount namespace. Also what
    was in a file that is lost: the scaler knows it and must write it again."""
    for _ in range(20):
        with tempfile.TemporaryDirectory() as copied, suppress(sqlite3.Error, OSError):
            for file in _files(group, data):
                if not file.name.endswith("-shm"):
                    shutil.copy(file, copied)
            return rows(Path(copied)) | _pages(Path(copied))
        time.sleep(0.1)
    return {}


def _pages(folder: Path) -> dict[str, float]:
    """Each page of history that the file in this folder has, with the number of bytes in it."""
    with closing(sqlite3.connect(folder / "headway.db")) as connection:
        found = connection.execute("SELECT key || ' page ' || page, length(blocks) FROM long_history").fetchall()
    return {name: float(size) for name, size in found}


def _full(group: Group, data: Path) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        file = _seen_by(group, data) / "filler"
        with file.open("wb", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue
        try:
            yield
        finally:
            file.unlink()

    return injected


def _remount(group: Group, data: Path, how: str) -> None:
    process = group.replicas[0].process.process.pid
    enter = ["nsenter", "--target", str(process), "--mount", *(() if os.geteuid() == 0 else ("--user",))]
    subprocess.run([*enter, "mount", "-o", f"remount,{how}", str(data)], check=True, capture_output=True)


def _read_only(group: Group, data: Path) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        mounted = False
        for _ in range(50):  # not while the file is open for a write
            try:
                _remount(group, data, "ro")
                mounted = True
                break
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        if not mounted:
            for file in _seen_by(group, data).iterdir():
                file.chmod(0o444)
        try:
            yield
        finally:
            _remount(group, data, "rw")

    return injected


def _limited(group: Group) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        process = group.replicas[0].process.process.pid
        before = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (FEW_BYTES, before[1]))
        try:
            yield
        finally:
            resource.prlimit(process, resource.RLIMIT_FSIZE, before)

    return injected


def _files(group: Group, data: Path) -> Sequence[Path]:
    return sorted(_seen_by(group, data).glob("headway.db*"))


def _damaged(group: Group, data: Path) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        for file in _files(group, data):
            with file.open("r+b") as opened:
                opened.write(os.urandom(min(20_000, file.stat().st_size)))
        yield

    return injected


def _gone(group: Group, data: Path) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        for file in _files(group, data):
            file.unlink()
        yield

    return injected

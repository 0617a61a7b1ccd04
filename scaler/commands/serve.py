"""`headway serve`: checks and log lines before the ports open."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import structlog

from scaler.app.service import run
from scaler.errors import Fault
from scaler.settings import Settings, SettingsInvalid, in_force
from scaler.telemetry.logs import configure_logs

LOCK_NAME = "headway.lock"

IN_USE = (
    "another headway serve uses this folder: give each process its own, or several one PostgreSQL with --database; "
    "in Kubernetes a Deployment that keeps it on a volume needs the strategy Recreate"
)

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingsError when the process cannot start."""
    configure_logs(settings.log_format, settings.log_level)
    with _own_folder(settings):
        log.info("settings", settings=in_force(settings))
        run(settings)


@contextmanager
def _own_folder(settings: Settings) -> Iterator[None]:
    """Lock `data-dir` while this process has its SQLite file there."""
    if settings.database is not None:
        yield
        return
    with held(settings.data_dir):
        yield


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process. The operating system releases the lock when the process ends, however it ends.

    Raises SettingsInvalid where another process holds it. A folder that cannot be written is no error here: the store
    then works without it.
    """
    lock = None
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("ab")
    try:
        if lock is not None and not _locked(lock):
            raise SettingsInvalid((Fault("data-dir", str(folder), IN_USE),))
        yield
    finally:
        if lock is not None:
            lock.close()


def _locked(lock: IO[bytes]) -> bool:
    """False where another process holds the lock; True also where the file system has no locks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

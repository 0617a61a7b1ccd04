"""`headway serve`: checks and log lines before the ports open, and the log line of a crash."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import structlog

from scaler.app.service import run
from scaler.commands import Exit
from scaler.errors import Fault, SettingsError
from scaler.settings import Settings, SettingsInvalid, in_force
from scaler.telemetry.logs import configure_logs
from scaler.telemetry.redaction import os_error_text

LOCK_NAME = "headway.lock"

IN_USE = (
    "another headway serve uses this folder: give each process its own, or several one PostgreSQL with --database; "
    "in Kubernetes a Deployment that keeps it on a volume needs the strategy Recreate"
)
UNWRITABLE = (
    "cannot be written ({reason}): mount a volume there that this user can write to, or keep the state in PostgreSQL "
    "with --database"
)

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingsError when the process cannot start; a bug ends it with status 1."""
    configure_logs(settings.log_format, settings.log_level)
    try:
        with _own_folder(settings):
            log.info("settings", settings=in_force(settings))
            run(settings)
    except SettingsError:
        raise
    except Exception as error:  # the last line of the log gives the reason, in the log's own form
        log.exception("crashed", error=f"{type(error).__name__}: {error}")
        raise SystemExit(Exit.FAULTS) from None


@contextmanager
def _own_folder(settings: Settings) -> Iterator[None]:
    """Lock `data-dir` while this process has its SQLite file there."""
    if settings.database is not None:
        yield
        return
    with held(settings.data_dir, required="data_dir" in settings.model_fields_set):
        yield


@contextmanager
def held(folder: Path, required: bool = False) -> Iterator[None]:
    """Lock `folder` for this process. The operating system releases the lock when the process ends, however it ends.

    Raises SettingsInvalid where another process holds it, and where it is `required` and cannot be written. Without a
    folder that nobody asked for, as in a read-only container, the store works without it.
    """
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("ab")
    except OSError as error:
        if required:
            rule = UNWRITABLE.format(reason=os_error_text(error))
            raise SettingsInvalid((Fault("data-dir", str(folder), rule),)) from None
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

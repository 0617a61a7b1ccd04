"""Files: a value that follows files as they change, and files that appear when they are complete."""

import errno
import os
import ssl
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar
from weakref import WeakSet

import structlog

from scaler.errors import HeadwayError

log = structlog.get_logger(__name__)

LARGEST_BYTES = 16 * 2**20
"""of one followed file or file of settings; the authorities of a whole system have a quarter of a megabyte"""

_T = TypeVar("_T")
_Stamp: TypeAlias = tuple[tuple[int, int, int, int], ...]


_followed: "WeakSet[FollowedFiles[Any]]" = WeakSet()


def stale_files() -> int:
    """How many values of this process stand for files that have changed and cannot be used."""
    return sum(one.is_stale for one in list(_followed))


def look_at_files() -> None:
    """Read all followed files that have changed now, and not at their next use."""
    for one in list(_followed):
        with suppress(OSError, ValueError, HeadwayError):  # who uses the value reports it
            one.current()


class FollowedFiles(Generic[_T]):
    """What is read from some files, read again when one of them changes. Thread-safe; `current` costs a stat per file.

    Files that are wrong at that moment (missing, half written, not a pair) leave the last good value in place, and the
    log shows once per reason why.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], _T]) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._lock = threading.Lock()
        self._good: tuple[_Stamp, _T] | None = None
        self._reported = ""
        _followed.add(self)

    @property
    def is_stale(self) -> bool:
        """Whether the last good value is in use because the files cannot be used."""
        return bool(self._reported)

    def current(self) -> _T:
        """The newest good value. Raises what `read` raises while there has been none."""
        with self._lock:
            try:
                stamp = self._stamp()
                if self._good is not None and self._good[0] == stamp:
                    self._reported = ""
                    return self._good[1]
                for path in self._paths:
                    check_is_file(path)
                value = self._read()
            except (OSError, ValueError, HeadwayError) as error:
                if self._good is None:
                    raise
                self._report(reason_of(error))
                return self._good[1]
            if self._good is not None:
                log.info("files_renewed", files=self._names())
            self._good, self._reported = (stamp, value), ""
            return value

    def _stamp(self) -> _Stamp:
        return tuple(map(stamp_of, self._paths))

    def _report(self, reason: str) -> None:
        if reason != self._reported:
            self._reported = reason
            log.warning("files_not_renewed", files=self._names(), reason=reason)

    def _names(self) -> list[str]:
        return [str(path) for path in self._paths]


def stamp_of(path: Path) -> tuple[int, int, int, int]:
    """What changes when the file does; zeros while it cannot be found."""
    try:
        found = path.stat()
    except OSError:  # reading it says what is wrong
        return (0, 0, 0, 0)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)


def check_is_file(path: Path) -> None:
    """Raises OSError for a pipe or device, which would block or never end; and for what is larger than any file that
    this project follows. A missing file passes: reading it says so."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # of a folder, the system itself says so
        raise OSError(errno.EINVAL, "it is a pipe or device, not a file")
    if found.st_size > LARGEST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST_BYTES // 2**20} MiB")


def reason_of(error: Exception) -> str:
    """Why a file cannot be used, without a library's text: it may repeat what the file holds."""
    if isinstance(error, ssl.SSLError):
        return f"not PEM that belongs together ({getattr(error, 'reason', None) or 'unreadable'})"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, HeadwayError):
        return str(error)
    return "not UTF-8 text" if isinstance(error, UnicodeError) else type(error).__name__


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when all went well; it ends as `path` does. Raises OSError.

    The folders of `path` appear with it. Where `path` is a link, what it points to is replaced.
    """
    path = link_target(path)
    draft = nearest_folder(path.parent) / f".{os.getpid()}.part.{path.name}"
    try:
        yield draft
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def link_target(path: Path) -> Path:
    """What a link points to; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder

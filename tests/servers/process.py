"""Starting child processes that cannot outlive the test that started them."""

import ctypes
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_NEVER_GIVEN_TO_CLIENTS = range(20_000, 32_000)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def running(command: Sequence[str | Path], log: Path, **popen: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The running process, its output in `log`; terminated (then killed) on leaving."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one call into libc, and no thread of ours holds a lock
            **popen,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given while its server is down: it lies below
    the range from which Linux takes those."""
    for port in random.sample(_NEVER_GIVEN_TO_CLIENTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {_NEVER_GIVEN_TO_CLIENTS}")


def wait_until(ready: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    """Return when `ready()` is true (OSError counts as not yet); fail with the end of the log when it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"not ready after {seconds} s: {log.read_text(errors='replace')[-2000:]}")

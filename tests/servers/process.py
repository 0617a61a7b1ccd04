"""Starting child processes that cannot outlive the test that started them."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_NEVER_GIVEN_TO_CLIENTS = range(20_000, 32_000)
_DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""not a `preexec_fn`, nor Popen's `user`: with them Python forks this process, libraries whose threads are not in the
fork do not expect that, and one start in 400 was aborted before the program ran"""


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    privileges: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """The running process, its output in `log`; terminated (then killed) on leaving. `env` is added to this one's;
    `privileges` are options of setpriv(1)."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_DIES_WITH_PARENT, *privileges, *map(str, command)],
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})},
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


def until(holds: Callable[[], object], seconds: float = 60) -> float:
    """Return when it holds, and how many seconds that took. Fails when it does not within `seconds`."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, "did not happen in time"
        time.sleep(0.1)
    return time.monotonic() - started


async def until_async(holds: Callable[[], object], seconds: float = 30) -> None:
    """Return when it holds. Raises TimeoutError when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  it is seen from outside only, mostly in a server's thread
            await asyncio.sleep(0.01)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
    """Return when `ready()` is true (OSError counts as not yet). Fails with the end of the log when the process ends
    before, and when it never is; then with what each thread was at, which a Python or Go process tells on SIGABRT."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except OSError:
            pass
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {_end_of(log)}")
        time.sleep(0.02)
    process.send_signal(signal.SIGABRT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    raise TimeoutError(f"not ready after {seconds} s: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-5000:]

"""What tests learn of a child process that does not become ready, and that none outlives its parent."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.servers.process import running, wait_until

PARENT = """
import sys, time; from pathlib import Path; from tests.servers.process import running
with running(["sleep", "600"], Path(sys.argv[1]) / "child") as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


def never() -> bool:
    return False


def test_a_process_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    """Its exit code and what it printed are told at once."""
    log = tmp_path / "log"
    with (
        running([sys.executable, "-c", "print('no memory'); raise SystemExit(7)"], log) as process,
        pytest.raises(RuntimeError, match=r"ended with 7: no memory"),
    ):
        wait_until(never, process, log)


def test_a_process_that_hangs_tells_where(tmp_path: Path) -> None:
    """The failure shows what each of its threads was at."""
    log = tmp_path / "log"
    program = "import time\ndef stuck():\n    print('on', flush=True)\n    time.sleep(600)\nstuck()"
    with running([sys.executable, "-c", program], log) as process:
        wait_until(lambda: "on" in log.read_text(), process, log)
        with pytest.raises(TimeoutError, match=r"not ready after 0.1 s: on\n(.*\n)*.* in stuck"):
            wait_until(never, process, log, seconds=0.1)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """Also with one that was killed and could not tidy up."""
    log = tmp_path / "log"
    with running([sys.executable, "-c", PARENT, tmp_path], log) as parent:
        wait_until(lambda: log.read_text().endswith("\n"), parent, log)
        child = psutil.Process(int(log.read_text()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        psutil.wait_procs([child], timeout=10)
    assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE

"""A process that is asked to end does so in time, whatever it waits for."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaler.app.ending import CLOSING_SECONDS
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.process import wait_until

pytestmark = pytest.mark.server

NOWHERE = ("--prometheus", "http://127.0.0.1:9", "--drain-grace", "0.1s")


@contextmanager
def hooked(folder: Path, source: str) -> Iterator[ScalerProcess]:
    """A process that runs `source` at its start."""
    (folder / "sitecustomize.py").write_text(source)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    with scaler_running(folder, *NOWHERE, environment={"PYTHONPATH": path}) as process:
        yield process


def _is_ready(process: ScalerProcess) -> bool:
    return httpx.get(f"http://{process.http_address}/readyz").status_code == httpx.codes.OK


def events(process: ScalerProcess) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]


def test_a_thread_that_hangs_does_not_hold_the_end_up(tmp_path: Path) -> None:
    """As a look-up of a name does that nobody answers: all is stored and closed by then."""
    source = """
import asyncio, time
from scaler.app.service import Service
stop = Service.stop
async def hanging(self):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
    await stop(self)
Service.stop = hanging
"""
    with hooked(tmp_path, source) as process:
        assert process.terminate() == 0
    assert events(process)[-1]["event"] == "stopped"


def test_a_stop_that_hangs_is_cut_off(tmp_path: Path) -> None:
    """After the time for calls and for closing; the log names what was waited for."""
    source = """
import asyncio
import scaler.app.service
scaler.app.service.CLOSING_SECONDS = 1.0
async def hanging(self):
    await asyncio.Event().wait()
scaler.app.service.Service.stop = hanging
"""
    assert CLOSING_SECONDS < 20, "the chart leaves 20 s after drain-grace"
    with hooked(tmp_path, source) as process:
        wait_until(lambda: _is_ready(process), process.process, process.log)  # its tasks begin after its port opens
        started = time.monotonic()
        assert process.terminate() == 1
        assert time.monotonic() - started > 1
    last = events(process)[-1]
    assert last["event"] == "stop_cut_off"
    assert "refresh" in last["tasks"]


def test_readers_that_are_cut_off_are_no_errors(tmp_path: Path) -> None:
    """An answer of the HTTP port that nobody reads ends with the process, without a word in the log."""
    with hooked(tmp_path, "") as process, socket.socket() as reader:
        host, _, port = process.http_address.rpartition(":")
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        reader.connect((host, int(port)))
        reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        time.sleep(1)
        assert process.terminate() == 0
    assert [one["event"] for one in events(process) if one["level"] == "error"] == []

"""`headway top` against the scaler's real HTTP port, on a pseudo-terminal where it is live."""

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.commands.http_access import Access
from scaler.commands.scaler_api import Unreachable
from scaler.commands.top import command
from scaler.commands.top.reading import Overview, read_overview
from scaler.commands.top.table import COLUMNS
from scaler.settings import load_settings
from scaler.status.overview import SORTS
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from tests.status.registry import NOW, filled_registry


@dataclass
class Port:
    server: StatusServer
    number: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.number}"

    async def run(self, *arguments: str, columns: int = 200) -> Result:
        runner = CliRunner(env={"COLUMNS": str(columns)})
        return await asyncio.to_thread(runner.invoke, app, ["top", *arguments, "--address", self.address])


def server(address: str = "127.0.0.1:0") -> StatusServer:
    settings = load_settings({"http_address": address})
    return StatusServer(settings, filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    opened = server()
    found = Port(opened, await opened.start())
    yield found
    await found.server.stop()


async def test_once_prints_a_row_for_each_workload(port: Port) -> None:
    result = await port.run("--once")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 workloads by name · 2027-01-15 08:00:00 UTC"
    assert [line.split()[0] for line in lines[2:5]] == ["shop/dead", "shop/new", "shop/web"]
    assert lines[2].split()[1:6] == ["–", "–", "–", "–", "no"]
    assert lines[4].split()[1] == "42.5"
    assert "forecast" in lines[4]
    assert "\x1b" not in result.stdout


async def test_rows_are_sorted_and_searched(port: Port) -> None:
    """By the scaler: the largest demand first, those without one last; a text that only some names have."""
    sorted_rows = (await port.run("--once", "--sort", "demand")).stdout.splitlines()[2:5]
    assert [row.split()[0] for row in sorted_rows][-1] == "shop/dead"
    found = json.loads((await port.run("--once", "--json", "--search", "WE")).stdout)
    assert [one["name"] for one in found["triggers"]] == ["web"]
    nothing = await port.run("--once", "--namespace", "other")
    assert (nothing.exit_code, nothing.stdout.splitlines()[0][:11]) == (0, "0 workloads")


@pytest.mark.parametrize("columns", [30, 60, 80, 120, 200])
async def test_lines_fit_the_width(port: Port, columns: int) -> None:
    """Columns are left out, the one that rows are sorted by never."""
    lines = (await port.run("--once", "--sort", "skill", columns=columns)).stdout.splitlines()[1:]
    assert max(map(cell_len, lines)) <= columns
    assert "workload" in lines[0]
    assert "skill" in lines[0]
    assert ("model" in lines[0]) == (columns >= 120)


WRONG = {
    "--sort='colour': must be one of name, demand": ["--sort", "colour"],
    "--interval=0.1: must be 0.5 to 3600 seconds": ["--interval", "0.1"],
    "--interval=nan: must be 0.5 to 3600 seconds": ["--interval", "nan"],
}


@pytest.mark.parametrize("message", WRONG)
async def test_wrong_flags_are_named(port: Port, message: str) -> None:
    result = await port.run("--once", *WRONG[message])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_the_help_names_every_sort() -> None:
    text = " ".join(CliRunner(env={"COLUMNS": "300"}).invoke(app, ["top", "--help"]).stdout.split())
    assert [name for name in SORTS if name not in text] == []
    assert {column.sort for column in COLUMNS} - {"mode"} == set(SORTS)


async def test_no_scaler_is_said() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["top", "--address", "127.0.0.1:1"])
    assert result.exit_code == 3
    assert "no scaler at http://127.0.0.1:1" in result.stderr


class Terminal:
    """The command on a pseudo-terminal of 100 columns and 12 lines."""

    def __init__(self, address: str, *arguments: str) -> None:
        self._own, theirs = pty.openpty()
        line = [sys.executable, "-m", "scaler.cli", "top", "--address", address, *arguments]
        env = {**os.environ, "COLUMNS": "100", "LINES": "12", "TERM": "xterm"}
        self.process = subprocess.Popen(
            line, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def until(self, is_there: Callable[[str], bool], seconds: float = 60) -> str:
        """What it has shown since the last time, as soon as that is there."""
        end, seen = time.monotonic() + seconds, ""
        while not is_there(seen):
            assert time.monotonic() < end, seen
            if select.select([self._own], [], [], 0.2)[0]:
                try:
                    seen += os.read(self._own, 65536).decode(errors="replace")
                except OSError:  # it has ended
                    break
        return seen

    def interrupt(self) -> int:
        self.process.send_signal(2)
        self.until(lambda seen: self.process.poll() is not None)
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)


async def test_live_until_interrupted(port: Port) -> None:
    """It draws again and again, survives a restart of the scaler and says that it is away; Ctrl-C ends it quietly."""
    terminal = Terminal(port.address, "--interval", "0.5")
    try:
        first = await asyncio.to_thread(terminal.until, lambda seen: "Ctrl-C ends" in seen)
        assert "shop/web" in first
        await port.server.stop()
        away = await asyncio.to_thread(terminal.until, lambda seen: "no scaler at" in seen)
        assert "shop/web" in away
        port.server = server(port.address)
        await port.server.start()
        await asyncio.to_thread(terminal.until, lambda seen: "Ctrl-C ends" in seen)
        assert await asyncio.to_thread(terminal.interrupt) == 0
    finally:
        terminal.close()


async def test_without_a_terminal_each_look_is_printed(port: Port) -> None:
    line = [sys.executable, "-m", "scaler.cli", "top", "--address", port.address, "--interval", "0.5"]
    process = await asyncio.create_subprocess_exec(*line, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    heads = 0
    while heads < 2:
        heads += b" by name " in await asyncio.wait_for(process.stdout.readline(), 60)
    process.send_signal(2)
    assert (await process.communicate())[1] == b""
    assert process.returncode == 0


async def test_an_answer_of_another_version_is_no_overview(port: Port) -> None:
    """A row without a key that is shown, from a port that answers all else."""
    found = await asyncio.to_thread(read_overview, port.address, {"limit": 1}, Access())
    assert isinstance(found, Overview)
    assert len(found.rows) == 1
    assert found.count == 3
    with pytest.raises(Unreachable, match="neither triggers nor errors"):
        await asyncio.to_thread(command.read_overview, f"{port.address}/readyz?", {}, Access())

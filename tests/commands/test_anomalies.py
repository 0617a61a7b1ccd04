"""`headway anomalies` against the scaler's real HTTP port over a list that the test fills."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind, Seen
from scaler.cli import app
from scaler.commands.anomalies import COLUMNS, PAGE
from scaler.errors import StoreUnavailable
from scaler.registry import Registry
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from training.data.without import Interval, read_intervals

NOW = 1_800_000_000.0
SPIKE = Anomaly(
    *("shop", "web", "0f", NOW - 3600, NOW - 3000, Direction.ABOVE, Kind.ANOMALY, 310.0, 100.0, 120.0), is_over=True
)
SHIFT = replace(SPIKE, since=NOW - 90_000, until=NOW - 79_140, kind=Kind.LEVEL_SHIFT)
DIP = replace(SPIKE, name="api", since=NOW - 600, until=NOW - 60, direction=Direction.BELOW, largest=0.0, is_over=False)


@dataclass
class Port:
    """The open port, and what the store behind it knows, the newest first."""

    listed: list[Anomaly] = field(default_factory=list)
    address: str = ""
    error: str = ""
    asked: list[AnomaliesAsked] = field(default_factory=list)
    registry: Registry = field(default_factory=lambda: Registry(TriggerRules("http://prometheus"), 15.0))

    async def read(self, asked: AnomaliesAsked) -> list[Anomaly]:
        self.asked.append(asked)
        if self.error:
            raise StoreUnavailable(self.error)
        found = [
            one for one in self.listed if not asked.name or (one.namespace, one.name) == (asked.namespace, asked.name)
        ]
        if asked.after is not None:
            place = [(one.since, one.namespace, one.name, one.trigger) for one in found].index(asked.after)
            found = found[place + 1 :]
        return found[: asked.limit]

    async def run(self, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--address", self.address])


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(
        settings, port.registry, Telemetry(), dict, lambda key: None, lambda: NOW, reads=Reads(anomalies=port.read)
    )
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()


async def test_each_is_a_line(port: Port) -> None:
    """When, how long, where, how far; whether it is under way, or the level has moved."""
    port.listed = [DIP, SPIKE, SHIFT]
    result = await port.run("anomalies")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert lines[0] == ["2027-01-15", "07:50", "9", "shop/api", "0", "100", "below,", "under", "way"]
    assert lines[1] == ["2027-01-15", "07:00", "10", "shop/web", "310", "100", "above"]
    assert lines[2][-4:] == ["above:", "a", "level", "shift"]


async def test_pages_follow_each_other(port: Port) -> None:
    """Each is there once, also where many begin at one moment."""
    port.listed = [replace(SPIKE, name=f"app-{n:04}") for n in range(2 * PAGE + 1)]
    found = json.loads((await port.run("anomalies", "--json")).stdout)
    assert [one["name"] for one in found["anomalies"]] == [one.name for one in port.listed]
    assert len(port.asked) == 3


async def test_one_namespace_and_one_object_and_the_days(port: Port) -> None:
    port.listed = [SPIKE]
    await port.run("anomalies", "shop", "web", "--days", "7")
    await port.run("anomalies", "shop")
    assert [(one.namespace, one.name, one.since) for one in port.asked] == [
        ("shop", "web", NOW - 7 * 86400),
        ("shop", "", NOW - 30 * 86400),
    ]


async def test_training_reads_the_csv(port: Port, tmp_path: Path) -> None:
    """All columns are there; a level shift is not left out of training."""
    port.listed = [DIP, SPIKE, SHIFT]
    result = await port.run("anomalies", "--csv")
    assert tuple(next(csv.reader(io.StringIO(result.stdout)))) == COLUMNS
    file = tmp_path / "anomalies.csv"
    file.write_text(result.stdout)
    assert read_intervals(file) == tuple(
        Interval(one.namespace, one.name, one.trigger, one.since, one.until) for one in (DIP, SPIKE)
    )


async def test_nothing_listed_is_said(port: Port) -> None:
    """As text a sentence; for programs an empty list, and a CSV of the header."""
    port.registry.register("shop", "web", {"query": "a", "threshold": "1"}, NOW)
    result = await port.run("anomalies", "shop", "web")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no demand was far outside" in result.stderr
    assert json.loads((await port.run("anomalies", "--json")).stdout)["anomalies"] == []
    assert (await port.run("anomalies", "--csv")).stdout == ",".join(COLUMNS) + "\n"


async def test_an_unknown_workload_is_named(port: Port) -> None:
    result = await port.run("anomalies", "shop", "web")
    assert result.exit_code == 1
    assert "shop/web: no trigger of this name is watched here" in result.stderr


async def test_without_a_database_the_reason_is_said(port: Port) -> None:
    port.error = "nothing is kept: set data-dir or database"
    result = await port.run("anomalies")
    assert (result.exit_code, result.stderr) == (1, "headway: database: nothing is kept: set data-dir or database\n")


WRONG = {
    "--days=0: must be a whole number from 1 to 366": ["--days", "0"],
    "--days=367: must be a whole number from 1 to 366": ["--days", "367"],
    "--csv, --json: go without each other": ["--csv", "--json"],
}


@pytest.mark.parametrize("message", WRONG)
async def test_wrong_flags_are_named(port: Port, message: str) -> None:
    result = await port.run("anomalies", *WRONG[message])
    assert result.exit_code == 2
    assert message in result.stderr


async def test_no_scaler_is_said() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["anomalies", "--address", "127.0.0.1:1"])
    assert result.exit_code == 3


REFUSED = {
    "days=0": "days",
    "limit=501": "limit",
    "name=web": "name",
    "after=yesterday": "after",
    "after=nan/a/b/c": "after",
    "after=1.0/a/b": "after",
    "colour=blue": "colour",
}


@pytest.mark.parametrize("query", REFUSED)
async def test_wrong_parameters_are_named(port: Port, query: str) -> None:
    """By the API, each with its rule; nothing is read."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{port.address}/api/v1/anomalies?{query}")
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [REFUSED[query]]
    assert port.asked == []


LINES = {
    "demand is 3.1 times the forecast since 2027-01-15 07:00 UTC: an anomaly": replace(
        SPIKE, until=NOW - 60, is_over=False
    ),
    "last anomaly: 2027-01-15 07:00 UTC, for 10 minutes, demand was 3.1 times the forecast": SPIKE,
    "the level of demand has moved since 2027-01-14 07:00 UTC: 3.1 times the forecast, for hours": SHIFT,
    "demand is 20 where 0 was forecast since 2027-01-15 07:50 UTC: an anomaly": replace(
        DIP, largest=20.0, expected=0.0, direction=Direction.ABOVE
    ),
    "last anomaly: 2027-01-15 07:00 UTC": replace(SPIKE, is_over=False),  # nobody has heard of it for long
}


@pytest.mark.parametrize("line", LINES)
async def test_why_says_what_is_odd_now_and_was_last(port: Port, line: str) -> None:
    registration = port.registry.register("shop", "web", {"query": "a", "threshold": "1"}, NOW)
    registration.anomalies = lambda: Seen(LINES[line], 1, 0)
    assert line in (await port.run("why", "shop", "web")).stdout


async def test_telemetry_counts_them(port: Port) -> None:
    """By direction, from 0 on; nothing where another replica watches."""
    watched = port.registry.register("shop", "web", {"query": "a", "threshold": "1"}, NOW)
    port.registry.register("shop", "api", {"query": "a", "threshold": "1"}, NOW)
    watched.anomalies = lambda: Seen(SPIKE, 3, 0)
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{port.address}/metrics")).text
    found = [line for line in text.splitlines() if line.startswith("headway_anomalies_total{")]
    labels = f'namespace="shop",name="web",trigger="{watched.trigger.short_key}"'
    assert found == [
        f'headway_anomalies_total{{{labels},direction="above"}} 3',
        f'headway_anomalies_total{{{labels},direction="below"}} 0',
    ]

"""/api/v1/forecast and `headway forecast` against the scaler's real HTTP port; history by the hour is the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.errors import StoreUnavailable
from scaler.forecast.hourly import SHORTEST_PAST
from scaler.refresh.hours import PastHours, hours_ahead
from scaler.series import Floats, HoursAhead
from scaler.settings import load_settings
from scaler.status import ahead
from scaler.status.ahead import BEYOND_HOURS, MOST_WAITING
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger
from tests.status.registry import NOW, filled_registry

HOUR = 3600.0


def days(count: int) -> Floats:
    """Demand of 100 in every hour of the last days."""
    return np.concatenate([np.full(28 * 24 - 24 * count, np.nan), np.full(24 * count, 100.0)]).astype(np.float32)


@dataclass
class Port:
    """The open port, and what is known of the past behind it."""

    past: Floats = field(default_factory=lambda: days(28))
    address: str = ""
    error: str = ""
    asked: list[int] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Event = field(default_factory=asyncio.Event)

    async def hours(self, trigger: Trigger, hours: int) -> HoursAhead:
        self.asked.append(hours)
        self.busy.set()
        await self.held.wait()
        if self.error:
            raise StoreUnavailable(self.error)
        return hours_ahead(PastHours(NOW // HOUR * HOUR, self.past, "blocks of 15 minutes"), trigger, hours)

    async def get(self, query: str, name: str = "web") -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.get(f"http://{self.address}/api/v1/forecast/shop/{name}?{query}")

    async def run(self, *arguments: str) -> Result:
        runner = CliRunner(env={"COLUMNS": "120"})
        return await asyncio.to_thread(runner.invoke, app, ["forecast", *arguments, "--address", self.address])


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    port.held.set()
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(
        settings, filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW, reads=Reads(hours=port.hours)
    )
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()


async def test_near_steps_are_those_of_the_plan(port: Port) -> None:
    """Within the trigger's own forecast nothing else is asked; levels between its own lie on a line."""
    found = (await port.get("ahead=30m")).json()
    assert port.asked == []
    assert found["rests_on"] == [{"of": "outlook", "model": "seasonal@1", "until": NOW + 7140, "issued": NOW - 60}]
    assert (found["times"][0], found["times"][-1], len(found["times"])) == (NOW + 60, NOW + 1800, 30)
    assert {level: column[0] for level, column in found["quantiles"].items()} == {
        "0.1": 20.0,
        "0.5": 40.0,
        "0.9": 60.0,
        "0.95": 70.0,
    }
    assert found["replicas"]["0.9"][0] == 6


async def test_a_week_is_by_the_hour(port: Port) -> None:
    """Hours that the own forecast reaches are its own; later ones come from the past. It says what both rest on."""
    found = (await port.get("ahead=7d")).json()
    own, later = found["rests_on"]
    reached = [moment for moment in found["times"] if moment <= own["until"]]
    assert (own["of"], later["of"]) == ("outlook", "hours")
    assert found["quantiles"]["0.9"][: len(reached)] == [60.0] * len(reached) != []
    assert found["quantiles"]["0.9"][len(reached) :] == [100.0] * (len(found["times"]) - len(reached))
    assert found["times"][0] == NOW // HOUR * HOUR + HOUR
    assert found["times"][-1] >= NOW + 7 * 86400
    assert {round(b - a) for a, b in zip(found["times"], found["times"][1:], strict=False)} == {3600}
    assert (later["reach_hours"], later["known_hours"], later["history"]) == (672, 672, "blocks of 15 minutes")


async def test_a_longer_step_shows_its_largest(port: Port) -> None:
    found = (await port.get("ahead=3d&step=1d")).json()
    assert found["step_seconds"] == 86400
    assert found["quantiles"]["0.5"] == [100.0] * len(found["times"])
    assert [b - a for a, b in zip(found["times"], found["times"][1:], strict=False)][:2] == [86400, 86400]


async def test_minutes_come_in_whole_steps(port: Port) -> None:
    found = (await port.get("ahead=10m&step=5m")).json()
    assert found["times"] == [NOW + 300, NOW + 600]


async def test_without_a_forecast_of_its_own_hours_stand_alone(port: Port) -> None:
    found = (await port.get("ahead=30m", name="new")).json()
    assert [part["of"] for part in found["rests_on"]] == ["hours"]


REFUSED = {
    "ahead=8d": "ahead",
    "ahead=59s": "ahead",
    "ahead=tomorrow": "ahead",
    "ahead=-1h": "ahead",
    "ahead=7d&step=90m": "step",
    "ahead=30m&step=61s": "step",
    "ahead=30m&step=1h": "step",
    "ahead=2d&step=3d": "step",
    "colour=blue": "colour",
}


@pytest.mark.parametrize("query", REFUSED)
async def test_wrong_parameters_are_named(port: Port, query: str) -> None:
    answer = await port.get(query)
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [REFUSED[query]]
    assert port.asked == []


async def test_a_short_history_is_named(port: Port) -> None:
    """Ten days are enough for a week, less is not; both lengths are said."""
    assert BEYOND_HOURS == SHORTEST_PAST
    port.past = days(10)
    assert (await port.get("ahead=6d")).status_code == 200
    port.past = days(3)
    answer = await port.get("ahead=7d")
    assert answer.status_code == 404
    assert answer.json()["errors"] == [
        {
            "field": "history",
            "value": "72 h, 72 of them known",
            "rule": "must reach back 240 h for this look ahead, with half of its hours and of the last day known",
        }
    ]


async def test_a_store_that_does_not_answer_is_said(port: Port) -> None:
    port.error = "the database is being opened"
    answer = await port.get("ahead=7d")
    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (503, port.error)
    assert (await port.get("ahead=7d", name="nobody")).status_code == 404


async def test_few_wait_and_one_is_computed(port: Port) -> None:
    """Beyond MOST_WAITING a request is refused; the others get their turn one after the other."""
    port.held.clear()
    waiting = [asyncio.create_task(port.get("ahead=1d")) for _ in range(MOST_WAITING)]
    await port.busy.wait()
    refused = await port.get("ahead=1d")
    assert (refused.status_code, len(port.asked)) == (503, 1)
    port.held.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_the_command_shows_demand_and_replicas(port: Port) -> None:
    result = await port.run("shop", "web", "--ahead", "7d", "--step", "1d")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "the forecast that plans rest on, seasonal@1" in lines[1]
    assert "28 days of blocks of 15 minutes" in lines[2]
    assert lines[3].split() == [
        *("until,", "UTC", "p10", "p50", "p90", "p95"),
        *("replicas", "p50", "p90", "p95"),
    ]
    assert lines[5].split()[3:] == ["100", "100", "100", "100", "10", "10", "10"]
    found = json.loads((await port.run("shop", "web", "--ahead", "2h", "--json")).stdout)
    assert list(found["quantiles"]) == ["0.1", "0.5", "0.9", "0.95"]


async def test_the_command_names_what_is_wrong(port: Port) -> None:
    result = await port.run("shop", "web", "--ahead", "8d")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--ahead='8d': must be a duration from 1m to 7d" in result.stderr
    port.past = days(2)
    result = await port.run("shop", "web", "--ahead", "7d")
    assert result.exit_code == 1
    assert "history (48 h, 48 of them known): must reach back 240 h" in result.stderr
    assert (await port.run("shop", "other")).exit_code == 1
    assert ahead.MOST_SECONDS == 7 * 86400

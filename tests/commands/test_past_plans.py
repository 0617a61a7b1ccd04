"""`headway why --at` and `--since` against the scaler's real HTTP port, over plans that the test keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.errors import StoreUnavailable
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.registry import Registry
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from tests.conformance.test_stored_plans import planned

NOW = datetime.fromisoformat("2026-11-29T03:00:00+01:00").timestamp()
NIGHT = datetime.fromisoformat("2026-11-29T02:30:15+01:00").timestamp()
METADATA = {"query": "sum(x)", "threshold": "10", "timezone": "Europe/Berlin"}


@dataclass
class Port:
    """The open port, and what the store behind it keeps."""

    plans: list[PastPlan] = field(default_factory=list)
    address: str = ""
    error: str = ""
    asked: list[PastPlansAsked] = field(default_factory=list)
    registry: Registry = field(default_factory=lambda: Registry(TriggerRules("http://prometheus"), 15.0))

    async def read(self, asked: PastPlansAsked) -> list[PastPlan]:
        self.asked.append(asked)
        if self.error:
            raise StoreUnavailable(self.error)
        found = [one for one in self.plans if (one.namespace, one.name) == (asked.namespace, asked.name)]
        found = [one for one in found if asked.since <= one.at <= asked.until]
        found.sort(key=lambda one: (one.minute, one.trigger), reverse=True)
        return [one for one in found if asked.after is None or (one.minute, one.trigger) < asked.after][: asked.limit]

    async def why(self, *arguments: str) -> Result:
        command = ["why", *arguments, "--address", self.address]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    async def get(self, query: str, path: str = "shop/web") -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://{self.address}/api/v1/plans/{path}?{query}")


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    port.registry.register("shop", "web", METADATA, NOW)
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(
        settings, port.registry, Telemetry(), dict, lambda key: None, lambda: NOW, reads=Reads(plans=port.read)
    )
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()


async def test_what_it_thought_at_a_time_of_the_night(port: Port) -> None:
    """The plan that counted then, in the trigger's time zone, with its reasons and how long it lasted."""
    port.plans = [planned(NIGHT - 600, metric=50.0), planned(NIGHT), planned(NIGHT + 150, metric=90.0)]
    result = await port.why("shop", "web", "--at", "02:31")
    assert result.exit_code == 0, result.output
    assert "shop/web at 2026-11-29 02:31:00 Europe/Berlin" in result.stdout
    assert "planned 2026-11-29 02:30:15, until 2026-11-29 02:32:45" in result.stdout
    assert "metric 70, active · forecast and observation" in result.stdout
    assert "→ 7 replicas" in result.stdout
    assert "general@1; p94 of the peak was read" in result.stdout
    assert result.stdout.splitlines()[-1].split() == ["floor", "61.25", "→", "70", "the", "newest", "observation"]


async def test_each_trigger_of_the_object_has_its_plan(port: Port) -> None:
    """An error for KEDA is shown with what the source said; what nobody has renewed for an hour does not count."""
    failed = planned(
        NIGHT - 60, trigger="1e", rung="nothing", metric=None, planned=None, replicas=None, need=None,
        quantile=None, observed=None, error="connection refused",
    )  # fmt: skip
    port.plans = [planned(NIGHT), failed, planned(NIGHT - 4000, trigger="2d")]
    result = await port.why("shop", "web", "--at", "02:31")
    assert "trigger 0f" in result.stdout
    assert "trigger 1e" in result.stdout
    assert "KEDA got an error · nothing" in result.stdout
    assert "connection refused" in result.stdout
    assert "2d" not in result.stdout


async def test_a_list_since_then(port: Port) -> None:
    """All pages, the oldest first."""
    port.plans = [planned(NOW - 6000 + 10 * n, metric=float(n), trigger=f"{n % 7:02x}") for n in range(600)]
    result = await port.why("shop", "web", "--since", "100m")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 602
    assert lines[2].split()[:2] == ["2026-11-29", "01:20:00"]
    assert "need, floor" in lines[2]
    as_json = json.loads((await port.why("shop", "web", "--since", "100m", "--json")).stdout)
    assert sorted(one["metric"] for one in as_json["plans"]) == list(range(600))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "25:00"], "--at=25:00: must be a time of the day"),
        (["--since", "yesterday"], "--since=yesterday: must be a time of the day"),
        (["--at", "02:31", "--since", "2h"], "--at and --since: give one of them"),
    ],
)
async def test_wrong_flags_are_named(port: Port, arguments: list[str], said: str) -> None:
    result = await port.why("shop", "web", *arguments)
    assert (result.exit_code, said in result.output.replace("\n", " ")) == (2, True), result.output


async def test_nothing_is_kept_of_that_time(port: Port) -> None:
    result = await port.why("shop", "web", "--at", "02:31")
    assert (result.exit_code, "nothing is kept of this time" in result.output) == (1, True)
    result = await port.why("shop", "none", "--at", "02:31")
    assert (result.exit_code, "shop/none: no trigger of this name" in result.output) == (1, True)
    port.error = "nothing is kept: set data-dir or database"
    result = await port.why("shop", "web", "--since", "1h")
    assert (result.exit_code, "nothing is kept: set data-dir" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("limit=0", "limit", "0"),
        ("limit=501", "limit", "501"),
        ("since=x", "since", "x"),
        ("until=x", "until", "x"),
        ("since=1h&until=2h", "since", "1h"),
        ("at=02:31&limit=5", "limit", "5"),
        ("after=7", "after", "7"),
        ("from=2h", "from", "2h"),
    ],
)
async def test_the_api_names_field_value_and_rule(port: Port, query: str, field: str, value: str) -> None:
    answer = await port.get(query)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["value"]) == (400, field, value)
    assert fault["rule"]
    assert not port.asked


async def test_the_api_answers_in_pages(port: Port) -> None:
    """`next` leads from the newest to the oldest; by default, the last day."""
    port.plans = [planned(NOW - 3600 * n, trigger="0f") for n in range(30)]
    seen: list[dict[str, Any]] = []
    after = ""
    while after is not None:
        page = (await port.get(f"limit=10{after and '&after=' + after}")).json()
        seen += page["plans"]
        after = page["next"]
    assert [one["at"] for one in seen] == [NOW - 3600 * n for n in range(25)]
    first = seen[0]
    assert first["reasons"] == [dict(one) for one in planned().reasons]
    assert (first["replicas"], first["quantile"], first["model"], first["until"]) == (7, 0.94, "general@1", None)


async def test_a_database_that_is_down(port: Port) -> None:
    port.error = "PostgreSQL at db: no answer in time"
    answer = await port.get("")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["rule"] == port.error


async def test_other_triggers_stay_out(port: Port) -> None:
    port.plans = [planned(NIGHT), replace(planned(NIGHT), name="api")]
    assert len((await port.get("")).json()["plans"]) == 1
    assert (await port.get("", "shop/none")).status_code == 404

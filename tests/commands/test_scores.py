"""`headway scores` and `headway why` against the scaler's real HTTP port, over a real store that the test fills."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.errors import StoreUnavailable
from scaler.registry import Registration, Registry
from scaler.scored import SUMS, Owner, ScoredDay, ScoredHour, ScoresAsked, WeekAsked, Weeks
from scaler.scoring.scores import DAY_KEEPS
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.scores import WEEK_SECONDS
from scaler.status.server import StatusServer
from scaler.store.scores import ScoreStore
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from tests.status.registry import NOW, filled_registry
from tests.status.scores import scored as own_scores

HOUR = int(NOW // 86400) * 24


@dataclass
class Port:
    """The open port, and the store behind it."""

    store: ScoreStore
    address: str = ""
    error: str = ""
    hangs: bool = False
    asked: list[object] = field(default_factory=list)
    registry: Registry = field(default_factory=filled_registry)

    async def days(self, asked: ScoresAsked) -> list[ScoredDay]:
        await self._fail(asked)
        return await self.store.days(asked)

    async def weeks(self, asked: Sequence[WeekAsked]) -> Weeks:
        await self._fail(asked)
        return await self.store.weeks(asked, DAY_KEEPS)

    async def _fail(self, asked: object) -> None:
        self.asked.append(asked)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise StoreUnavailable(self.error)

    @property
    def web(self) -> Registration:
        return next(one for one in self.registry if one.trigger.name == "web")

    @property
    def owner(self) -> Owner:
        return Owner("shop", "web", self.web.trigger.short_key)

    async def command(self, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--address", self.address])


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    store = open_store(None, tmp_path)
    port = Port(scores_beside(store))
    reads = Reads(scores=port.days, weeks=port.weeks)
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(settings, port.registry, Telemetry(), dict, lambda key: None, lambda: NOW, reads=reads)
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()
    await store.close()


def scored(
    owner: Owner, hour: int, lead: str = "peak", peaks: float = 60, held: float = 54, error: float = 10.0
) -> ScoredHour:
    """Every forecast was too high by `error`, of a demand of 100; the newest observation was off by twice as much."""
    sums = dict.fromkeys(SUMS, 0.0)
    sums |= {"forecasts": peaks, "relative_forecasts": peaks, "held": held}
    sums |= {"pinball": peaks * error / 2, "pinball_of_newest": peaks * error}
    sums |= {"pinball_beside_season": peaks * error / 2, "pinball_of_season": peaks * error * 2}
    sums |= {"absolute_error": peaks * error, "error": peaks * error, "squared_error": peaks * error**2}
    sums |= {"relative_error": peaks * error / 100, "symmetric_error": peaks * error / 105}
    sums |= {"own_pinball": peaks, "own_pinball_of_newest": 4 * peaks}
    return ScoredHour(owner, lead, 0.9, hour, "a0", 60, tuple(sums[name] for name in SUMS))


def row(result: Result, begins: str) -> list[str]:
    return next(line for line in result.stdout.splitlines() if line.strip().startswith(begins)).split()


async def test_days_and_all_of_them(port: Port) -> None:
    """A row a day, and the sums over all forecasts in the last one, not the mean of the days."""
    await port.store.save([scored(port.owner, HOUR - 24), scored(port.owner, HOUR, peaks=30, held=30, error=40.0)])
    result = await port.command("scores", "shop", "web")
    assert result.exit_code == 0, result.output
    assert "within p90" in result.stdout
    assert row(result, "2027-01-14") == [
        "2027-01-14",
        *["60", "90.0%", "0.50", "0.25", "10.0%", "9.5%", "10", "10", "10"],
    ]
    assert row(result, "2027-01-15") == [
        "2027-01-15",
        *["30", "100.0%", "0.50", "0.25", "40.0%", "38.1%", "40", "40", "40"],
    ]
    assert row(result, "2 days") == [
        "2",
        "days",
        *["90", "93.3%", "0.50", "0.25", "20.0%", "19.0%", "20", "24.49", "20"],
    ]


async def test_how_far_back_and_which_lead(port: Port) -> None:
    await port.store.save([scored(port.owner, HOUR - 24 * age) for age in range(5)])
    await port.store.save([scored(port.owner, HOUR, "5 min", peaks=7)])
    for days in (1, 3, 366):
        found = json.loads((await port.command("scores", "shop", "web", "--days", str(days), "--json")).stdout)
        assert len(found["triggers"][0]["days"]) == min(days, 5)
    result = await port.command("scores", "shop", "web", "--lead", "5")
    assert row(result, "2027-01-15")[1] == "7"
    assert "5 min ahead" in result.stdout
    assert (await port.command("scores", "shop", "web", "--lead", "60")).exit_code == 1


async def test_the_answer_of_the_api(port: Port) -> None:
    """A trigger that was edited is beside the one that is watched."""
    before = port.owner._replace(trigger="0000")
    await port.store.save([scored(before, HOUR - 24), scored(port.owner, HOUR)])
    async with httpx.AsyncClient() as client:
        found = (await client.get(f"http://{port.address}/api/v1/scores/shop/web?days=7")).json()
    assert {key: found[key] for key in ("namespace", "name", "at", "days", "lead")} == {
        "namespace": "shop",
        "name": "web",
        "at": NOW,
        "days": 7,
        "lead": "peak",
    }
    old, new = sorted(found["triggers"], key=lambda one: one["watched"])
    assert (old["trigger"], old["watched"], new["watched"]) == ("0000", False, True)
    (day,) = new["days"]
    assert day.pop("day") == "2027-01-15"
    assert day == new["all"]
    assert day["minutes"] == 60
    assert day["promised_over_persistence"] == 0.25
    assert new["quantile"] == 0.9
    assert "not watched now" in (await port.command("scores", "shop", "web")).stdout


WRONG = {
    "days=0": ("days", "must be a whole number from 1 to 366"),
    "days=367": ("days", "must be a whole number from 1 to 366"),
    "lead=7": ("lead", "must be one of peak, 60, 15, 5, 2 (minutes ahead)"),
    "limit=3": ("limit", "unknown parameter; known are days, lead"),
}


@pytest.mark.parametrize("query", WRONG)
async def test_a_wrong_parameter_is_named(port: Port, query: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{port.address}/api/v1/scores/shop/web?{query}")
    assert answer.status_code == 400
    ((name, rule),) = [(one["field"], one["rule"]) for one in answer.json()["errors"]]
    assert (name, rule) == WRONG[query]
    assert port.asked == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--days", "0"], "--days=0: must be a whole number from 1 to 366"),
        (["--lead", "7"], "--lead='7': must be one of"),
    ],
)
async def test_wrong_flags_ask_nobody(port: Port, flags: list[str], says: str) -> None:
    result = await port.command("scores", "shop", "web", *flags)
    assert (result.exit_code, says in result.stderr) == (2, True)
    assert port.asked == []


async def test_what_is_not_known_and_what_is_away(port: Port) -> None:
    unknown = await port.command("scores", "shop", "none")
    assert unknown.exit_code == 1
    assert "shop/none: no trigger of this name is watched here" in unknown.stderr
    early = await port.command("scores", "shop", "web")
    assert early.exit_code == 1
    assert "nothing is scored yet" in early.stderr
    port.error = "PostgreSQL at db:5432: no answer in time"
    away = await port.command("scores", "shop", "web")
    assert away.exit_code == 1
    assert "database: PostgreSQL at db:5432: no answer in time" in away.stderr
    port.address = "127.0.0.1:9"
    assert (await port.command("scores", "shop", "web")).exit_code == 3


async def test_why_shows_what_another_replica_has_scored(port: Port) -> None:
    """And this replica's own where it has some; only of triggers that lack it the database is asked."""
    await port.store.save([scored(port.owner, HOUR), scored(port.owner, HOUR, "5 min")])
    result = await port.command("why", "shop", "web")
    assert "its p90 held 90.0% of 60 peaks in about a week, as another replica has stored them" in result.stdout
    assert "5 minutes ahead the median was off by 10.0%" in result.stdout
    found = json.loads((await port.command("why", "shop", "web", "--json")).stdout)["triggers"][0]
    assert (found["scores_from"], found["scores_error"]) == ("store", "")
    asked = len(port.asked)
    port.web.scores = own_scores
    found = json.loads((await port.command("why", "shop", "web", "--json")).stdout)["triggers"][0]
    assert (found["scores_from"], found["scores"]["peak"]["count"]) == ("replica", 20)
    assert len(port.asked) == asked


async def test_why_says_that_the_database_is_away(port: Port) -> None:
    port.error = "PostgreSQL at db:5432: no answer in time"
    result = await port.command("why", "shop", "web")
    assert result.exit_code == 0
    assert f"its scores are not known here: {port.error}" in result.stdout


async def test_why_does_not_wait_for_a_database_that_hangs(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WEEK_SECONDS <= 1
    monkeypatch.setattr("scaler.status.scores.WEEK_SECONDS", 0.01)
    port.hangs = True
    result = await port.command("why", "shop", "web")
    assert "its scores are not known here: the database has not answered in time" in result.stdout
    assert result.exit_code == 0

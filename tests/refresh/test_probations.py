"""A champion beside its predecessor on the triggers that it serves, and its roll-back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scaler.errors import StoreUnavailable
from scaler.forecast import Choice, Forecaster
from scaler.models import ALL, Champion, Kind, ModelDecision, ModelIndex, ModelVersion, Serving
from scaler.refresh.forecasting import ForecastRunner
from scaler.refresh.probation import MOST_TRIGGERS, Probations, sampled
from scaler.refresh.tracked import Phase, Tracking
from scaler.registry import Registry
from scaler.series import Grid, Observation
from scaler.store.model_index import open_model_index
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock, ScriptedForecaster, flat_forecast
from scaler.trigger import Trigger, TriggerRules

START = 1_700_006_400.0
GRID = Grid(step_seconds=60, steps=60, coarse_seconds=900, coarse_steps=96)
CHAMPION = Champion(ALL, "own@2", START, "own@1", START + 86_400)


def forecasts(level: float, model: str, grid: Grid = GRID) -> ScriptedForecaster:
    return ScriptedForecaster(lambda _, end, __: flat_forecast(end, [level] * 60), grid, model)


@dataclass(frozen=True)
class Pair:
    champion: Champion
    forecaster: Forecaster
    before: Forecaster

    def choice(self, trigger: Trigger) -> Choice:
        """As the catalog: the champion serves all."""
        return Choice(self.forecaster, serving=Serving(self.champion, self.champion.model))


@dataclass
class World:
    tracking: Tracking
    probations: Probations
    index: ModelIndex
    telemetry: Telemetry
    taken_up: list[str] = field(default_factory=list)

    async def pass_minutes(self, first: int, last: int) -> None:
        """A round in each minute; demand is 100."""
        for minute in range(first, last):
            now = START + 60 * minute
            self.tracking.advance(now)
            for tracked in self.tracking:
                tracked.observation = Observation(now - 1, 100.0, 100.0, 100.0)
            await self.probations.round(now)


@asynccontextmanager
async def world(folder: Path, pair: Pair, triggers: int = 2) -> AsyncIterator[World]:
    """A replica that tracks these triggers, all of which the champion serves, and the index beside it."""
    index, telemetry, clock = open_model_index(None, folder), Telemetry(), ManualClock(START)
    for number in "12":
        version = ModelVersion("own", number, "b", {"graph_sha256": number * 64}, START)
        await index.publish(version, ModelDecision(START, Kind.PUBLISHED, version.model, "a test"))
    for number, expected in (("1", None), ("2", "own@1")):
        decision = ModelDecision(START, Kind.PROMOTED, f"own@{number}", "a test")
        await index.promote(ALL, f"own@{number}", expected, decision, 86_400)
    registry = Registry(TriggerRules("http://p:9090"), 15.0)
    tracking = Tracking(pair, clock, 15.0)
    metadata = {"query": "demand", "threshold": "10"}
    for tracked in tracking.adopt([registry.register("shop", f"web-{n}", metadata, START) for n in range(triggers)]):
        tracked.done.add(Phase.FINE)
    runner = ForecastRunner(telemetry, 256, tracking)
    taken_up: list[str] = []
    probations = Probations(
        tracking, runner, index, lambda _: [pair], clock, telemetry, 15.0, lambda: taken_up.append("now")
    )
    yield World(tracking, probations, index, telemetry, taken_up)
    runner.close()
    await index.close()


def rolled_back_total(telemetry: Telemetry) -> float | None:
    return telemetry.registry.get_sample_value("headway_model_rolled_back_total")


async def test_a_champion_that_falls_behind_is_rolled_back(tmp_path: Path) -> None:
    """Not before it has lost for six hours; then the index, the log, telemetry and the decision say so."""
    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), forecasts(100.0, "own@1"))
    async with world(tmp_path, pair) as at:
        await at.pass_minutes(0, 358)
        assert (await at.index.champions())[ALL].model == "own@2"
        with capture_logs() as logged:
            await at.pass_minutes(358, 366)
        assert (await at.index.champions())[ALL] == Champion(ALL, "own@1", START + 60 * 361)
        assert at.taken_up
        assert rolled_back_total(at.telemetry) == 1
        (event,) = [line for line in logged if line["event"] == "model_rolled_back"]
        assert (event["scope"], event["model"], event["to"]) == ("all triggers", "own@2", "own@1")
        decision = (await at.index.decisions(1))[0]
        assert (decision.kind, decision.model, decision.previous) == (Kind.ROLLED_BACK, "own@1", "own@2")
        assert decision.figures["hours"] >= 6
        assert decision.figures["loss"] == pytest.approx(0.9 * 0.6, rel=1e-3)
        assert decision.figures["predecessor_loss"] == 0
        assert "over 7" in decision.reason


async def test_one_that_is_as_good_stays(tmp_path: Path) -> None:
    pair = Pair(CHAMPION, forecasts(95.0, "own@2"), forecasts(94.0, "own@1"))
    async with world(tmp_path, pair) as at:
        await at.pass_minutes(0, 400)
        assert (await at.index.champions())[ALL].model == "own@2"
        assert at.taken_up == []
        assert rolled_back_total(at.telemetry) == 0


async def test_what_somebody_changed_meanwhile_stays(tmp_path: Path) -> None:
    """The index is asked to change only the champion that was judged; then it is read again."""
    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), forecasts(100.0, "own@1"))
    async with world(tmp_path, pair) as at:
        await at.index.promote(ALL, "own@1", "own@2", ModelDecision(START, Kind.ASSIGNED, "own@1", "a test"), 0)
        await at.pass_minutes(0, 366)
        assert (await at.index.champions())[ALL].model == "own@1"
        assert at.taken_up
        assert rolled_back_total(at.telemetry) == 0
        assert (await at.index.decisions(1))[0].kind is Kind.ASSIGNED


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the database is down."""
    from scaler.store.stored_models import SqlModels

    state, real = [False], SqlModels.roll_back

    async def roll_back(self, *args: object) -> object:
        if state[0]:
            raise StoreUnavailable("the database is down")
        return await real(self, *args)

    monkeypatch.setattr(SqlModels, "roll_back", roll_back)
    return state


async def test_while_the_database_is_down_it_is_tried_again(tmp_path: Path, down: list[bool]) -> None:
    """The log says so once."""
    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), forecasts(100.0, "own@1"))
    async with world(tmp_path, pair) as at:
        down[0] = True
        with capture_logs() as logged:
            await at.pass_minutes(0, 370)
        assert [line["event"] for line in logged] == ["roll_back_failed"]
        down[0] = False
        await at.pass_minutes(370, 371)
        assert (await at.index.champions())[ALL].model == "own@1"


async def test_another_grid_is_not_compared_and_told_once(tmp_path: Path) -> None:
    other = replace(GRID, steps=120)
    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), forecasts(100.0, "own@1", other))
    async with world(tmp_path, pair) as at:
        with capture_logs() as logged:
            await at.pass_minutes(0, 3)
        assert [(line["event"], line["previous"]) for line in logged] == [("probation_unscored", "own@1")]


async def test_a_graph_that_fails_costs_only_the_comparison(tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no graph")

    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), ScriptedForecaster(broken, GRID, "own@1"))
    async with world(tmp_path, pair) as at:
        await at.pass_minutes(0, 3)
        assert (await at.index.champions())[ALL].model == "own@2"


async def test_a_sample_is_bounded_and_stays_the_same(tmp_path: Path) -> None:
    """Of those that the champion serves; the same ones in every round, so that their windows end."""
    pair = Pair(CHAMPION, forecasts(40.0, "own@2"), forecasts(100.0, "own@1"))
    async with world(tmp_path, pair, triggers=MOST_TRIGGERS + 50) as at:
        first = sampled(list(at.tracking), CHAMPION, pair.forecaster)
        assert len(first) == MOST_TRIGGERS
        assert sampled(list(reversed(list(at.tracking))), CHAMPION, pair.forecaster) == first
        assert sampled(list(at.tracking), replace(CHAMPION, scope="shop"), pair.forecaster) == []

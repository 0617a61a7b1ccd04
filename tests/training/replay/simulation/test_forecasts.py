"""What a replay says was known, held against the real refresh, driven over the same hours of a recording."""

import asyncio
import errno
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from scaler.bundle import Manifest
from scaler.errors import NoDemand
from scaler.forecast import Choice
from scaler.forecast.cache import MemoryCache
from scaler.history.arriving import Arriving
from scaler.plan import Plan, Rung
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.refresh.tracked import Phase
from scaler.registry import Registration, Registry
from scaler.series import Forecast, Grid, HistoryBatch, Observation
from scaler.store.null import NullStore
from scaler.telemetry.metrics import Telemetry
from scaler.testing import FixedSource, ManualClock
from scaler.trigger import Trigger, TriggerRules
from training.data.load import Series
from training.replay.policies.headway import Headway, tick_forecasts_of
from training.replay.simulation import forecasts
from training.replay.simulation.demand import Demand, Moments, Observing
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of
from training.replay.simulation.scenario import Scenario, Setting, Span

MIDNIGHT = 1_774_742_400.0
"""2026-03-29T00:00:00Z: an hour later clocks in Berlin go forward"""
HOURS = 2
LIVED = 3600 + 300
"""seconds after which all that the refresh keeps per slot was seen by itself, and not backfilled"""
METADATA = {"query": "demand", "threshold": "10", "timezone": "Europe/Berlin"}
OBSERVING = Observing(15.0, 60.0)
MINUTES = Grid(60, 180, 900, 1344)
FIVE_MINUTES = Grid(300, 72, 900, 1344)
LEVELS = (0.5, 0.9, 0.99)


class Recorder:
    """A forecaster that keeps what it was asked, and answers from the newest and the largest it was told."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.needed_seconds = 0.0
        self.batches: dict[float, HistoryBatch] = {}
        self.manifest = Manifest(
            name="recorder",
            version="1",
            step_seconds=grid.step_seconds,
            steps=grid.steps,
            horizon_steps=60,
            coarse_seconds=grid.coarse_seconds,
            coarse_steps=grid.coarse_steps,
            levels=LEVELS,
            minimum_history_steps=1,
            graph_sha256="0" * 64,
        )
        self.model = self.manifest.model

    def forecast(self, batch: HistoryBatch) -> list[Forecast | None]:
        """Nothing while the newest is unknown; else quantiles that depend on both resolutions of the history."""
        self.batches[batch.end] = batch
        return [
            None if np.isnan(fine[-1]) else self._forecast(batch.end, float(fine[-1]), float(np.nanmean(coarse[-8:])))
            for fine, coarse in zip(batch.history_NT, batch.long_history_NL2, strict=True)
        ]

    def _forecast(self, end: float, newest: float, usual: float) -> Forecast:
        median_H = np.linspace(newest, usual, self.manifest.horizon_steps)
        quantiles_HQ = (median_H[:, None] * np.array([1.0, 1.2, 1.5])).astype(np.float32)
        return Forecast(end, self.grid.step_seconds, LEVELS, quantiles_HQ, (), None, self.model)


@dataclass
class Chosen:
    """A catalog with one forecaster."""

    forecaster: Recorder

    def choice(self, trigger: Trigger) -> Choice:
        return Choice(self.forecaster)


class Recorded(FixedSource):
    """A server that has what `Demand.observed` says, and an error where that is nothing."""

    def __init__(self, demand: Demand) -> None:
        values = demand.observed(np.arange(demand.start, demand.end + 120, 15), OBSERVING).tolist()
        super().__init__(lambda _, at: values[round((at - demand.start) / 15)] if at >= demand.start else math.nan)

    async def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        async for part in super().observe(triggers, at):
            yield [(i, NoDemand("no value") if value != value else value) for i, value in part]


@dataclass
class Replica:
    """What a real refresh did over some hours of a recording, tick by tick, and the replay of the same hours."""

    demand: Demand
    forecaster: Recorder
    trigger: Trigger
    ticks: list[float] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    @property
    def at(self) -> Moments:
        return np.array(self.ticks)

    def asked(self, name: str) -> np.ndarray:
        """A field of the batches that the refresh gave its forecaster, one row per tick."""
        return np.concatenate([getattr(self.forecaster.batches[at], name) for at in self.ticks])

    def observed(self, name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in self.observations])

    def history(self) -> HistoryBatch:
        """What the replay says it gave."""
        return forecasts._History(self.demand, Recorder(self.forecaster.grid), OBSERVING).batch(self.at)

    def scenario(self) -> Scenario:
        return Scenario(self.demand, Setting(10.0, 12.0), Span(self.ticks[0], self.ticks[-1] + 15))


async def refreshed(grid: Grid, gap: bool = False) -> Replica:
    """Run the real refresh over the last hours of a recording; its backfill is done before the second tick."""
    demand, forecaster, clock = Demand(recording(gap)), Recorder(grid), ManualClock()
    registry = Registry(TriggerRules(default_server="http://p:9090"), 15.0)
    refresh = Refresh(
        registry,
        Recorded(demand),
        Chosen(forecaster),
        MemoryCache(),
        NullStore(),
        clock,
        Telemetry(),
        RefreshSettings(),
    )
    filling = asyncio.create_task(refresh.backfill.run())
    replica = None
    for at in np.arange(demand.end - HOURS * 3600, demand.end, 15).tolist():
        await clock.set(at)
        registration = registry.register("shop", "web", METADATA, at)
        replica = replica or Replica(demand, forecaster, registration.trigger)
        await refresh.tick(at)
        await filled(refresh, registration)
        replica.ticks.append(at)
        replica.observations.append(registration.current.outlook.observation)
        replica.plans.append(registry.answer(registration, at).plan)
    filling.cancel()
    with suppress(asyncio.CancelledError):
        await filling
    await refresh.close()
    return replica


async def filled(refresh: Refresh, registration: Registration) -> None:
    """Wait until nothing is left to backfill."""
    tracked = refresh.tracking.get(registration.trigger.key)
    for _ in range(10_000):
        if not refresh.backfill.waiting() and {Phase.FINE, Phase.COARSE} <= tracked.done:
            return
        await asyncio.sleep(0)
    raise AssertionError("the backfill does not end")


def recording(gap: bool = False) -> Series:
    """Two weeks of a noisy daily wave, no two minutes alike, and a crowd at the end.

    gap: 22 minutes of the last hour are not on record.
    """
    count = 15 * 1440
    wave = 100 + 60 * np.sin(2 * np.pi * np.arange(count) / 1440)
    values = np.random.default_rng(5).gamma(20, wave / 20).astype(np.float32)
    values[-80:-60] *= np.geomspace(1, 40, 20, dtype=np.float32)
    if gap:
        values[-52:-30] = np.nan
    return Series("shop", "web", "req", MIDNIGHT + 2.5 * 3600 - 60 * count, 60, values, "Europe/Berlin")


@pytest.fixture(scope="module", params=[MINUTES, FIVE_MINUTES], ids=["a minute", "five minutes"])
def replica(request: pytest.FixtureRequest) -> Replica:
    """A refresh on each grid."""
    return asyncio.run(refreshed(request.param))


@pytest.fixture(scope="module")
def with_gap() -> Replica:
    """A refresh whose server had nothing for 22 minutes, and never got it."""
    return asyncio.run(refreshed(MINUTES, gap=True))


def test_fine_history_is_that_of_the_refresh(replica: Replica) -> None:
    """Every sample at every tick is the same float: on the clock from the first, at all phases after an hour."""
    given, told = replica.asked("history_NT"), replica.history().history_NT
    on_the_clock = replica.at % replica.forecaster.grid.step_seconds == 0
    lived = replica.at >= replica.at[0] + LIVED
    assert (given[on_the_clock | lived] == told[on_the_clock | lived]).all()
    assert lived.sum() > 4 * replica.forecaster.grid.step_seconds / 15


def test_long_history_is_that_of_the_refresh(replica: Replica) -> None:
    """Blocks made of fine steps are the same; on a grid of minutes those a server sums up are, too."""
    given, told = replica.asked("long_history_NL2"), replica.history().long_history_NL2
    fine = replica.forecaster.grid.fine_span_seconds // replica.forecaster.grid.coarse_seconds - 1
    assert (given[:, -fine:] == told[:, -fine:]).all()
    if replica.forecaster.grid == MINUTES:
        fetched = ~np.isnan(given)
        assert fetched.mean() > 0.95
        assert np.allclose(given[fetched], told[fetched], rtol=1e-6, atol=0)


def test_local_time_is_that_of_the_refresh(replica: Replica) -> None:
    """Also over the hour in which clocks go forward."""
    given, told = replica.asked("local_time_N"), replica.history().local_time_N
    assert (given == told).all()
    assert set((given - replica.at).tolist()) == {3600, 7200}


def test_observations_are_those_of_the_refresh(replica: Replica) -> None:
    """The newest value and its moment at every tick, and the recent peak once it was lived through."""
    told = replica.scenario().refreshed
    assert (replica.observed("at") == told.at_K).all()
    assert (replica.observed("value") == told.value_K).all()
    assert (replica.observed("recent_peak")[60:] == told.recent_peak_K[60:]).all()


def test_history_peak_is_nearly_that_of_the_refresh(replica: Replica) -> None:
    """After an hour the refresh forgets what it saw between two steps; the replay's peak is not lower, nor far off."""
    ratio = replica.scenario().refreshed.history_peak_K / replica.observed("history_peak")
    assert (ratio >= 1).all()
    assert (ratio < 1.5).all()


def replayed(replica: Replica) -> list[Plan]:
    """What Headway plans at each tick of a replay with a forecast at each."""
    scenario = replica.scenario()
    issues = Issues(scenario.span, 15.0, 3600.0)
    forecasts = forecasts_of(replica.demand, Recorder(replica.forecaster.grid), OBSERVING, issues)
    headway = Headway(scenario, tick_forecasts_of(scenario, forecasts), replica.trigger)
    return [headway.plan(k) for k in range(len(scenario))]


def test_plans_are_those_of_the_desk(replica: Replica) -> None:
    """Every plan with its reasons is what this process would have answered KEDA with."""
    assert replayed(replica)[60:] == replica.plans[60:]
    assert any(reason.rule == "surge" for plan in replica.plans for reason in plan.reasons)


def test_a_gap_is_seen_as_the_refresh_sees_it(with_gap: Replica) -> None:
    """All but the gap's first step, over which the refresh holds the last sample once it has fetched what it missed."""
    rows = with_gap.at >= with_gap.at[0] + LIVED
    given, told = with_gap.asked("history_NT")[rows], with_gap.history().history_NT[rows]
    differs = ~((given == told) | (np.isnan(given) & np.isnan(told)))
    assert differs.sum(axis=1).max() == 1
    assert not np.isnan(given[differs]).any()
    assert 20 <= np.isnan(told[-1]).sum() <= 22
    assert (with_gap.observed("at") == with_gap.scenario().refreshed.at_K).all()
    assert (with_gap.observed("value") == with_gap.scenario().refreshed.value_K).all()


def test_plans_in_a_gap_are_those_of_the_desk(with_gap: Replica) -> None:
    """Old observations and old forecasts are told as old as they are."""
    assert replayed(with_gap)[60:] == with_gap.plans[60:]
    assert {plan.rung for plan in with_gap.plans} > {Rung.BOTH}


SHORT = Issues(Span(MIDNIGHT, MIDNIGHT + 3600), 60.0, 600.0)


def asked_for(issues: Issues, cache: Path | None = None, observing: Observing = OBSERVING) -> tuple[Forecasts, int]:
    """The forecasts, and how often the forecaster was asked."""
    forecaster = Recorder(MINUTES)
    return forecasts_of(Demand(recording()), forecaster, observing, issues, cache), len(forecaster.batches)


def alike(one: Forecasts, other: Forecasts) -> bool:
    names = ("issued_I", "newest_I", "quantiles_IHQ")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_forecasts_are_issued_from_the_beginning_and_kept_as_far_as_wanted() -> None:
    """From the last moment at or before the span, one step more than wanted; none after the span."""
    forecasts, _ = asked_for(replace(SHORT, span=Span(MIDNIGHT + 30, MIDNIGHT + 3600)))
    assert (forecasts.issued_I[0], forecasts.issued_I[-1], len(forecasts.issued_I)) == (MIDNIGHT, MIDNIGHT + 3540, 60)
    assert forecasts.quantiles_IHQ.shape == (60, 11, len(LEVELS))


def test_a_cache_gives_what_was_made(tmp_path: Path) -> None:
    """The forecaster is asked once; without a cache the same comes out."""
    (made, asked), (kept, again), (fresh, _) = asked_for(SHORT, tmp_path), asked_for(SHORT, tmp_path), asked_for(SHORT)
    assert (asked, again) == (1, 0)
    assert alike(made, kept)
    assert alike(made, fresh)


@pytest.mark.parametrize("spoil", ["cut", "empty", "noise", "flipped", "other", "plain", "text", "unknown"])
def test_what_cannot_be_read_is_made_anew(tmp_path: Path, spoil: str) -> None:
    """A file that a lost disk or power left behind counts as none, and is replaced."""
    made, _ = asked_for(SHORT, tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    if spoil == "plain":
        with kept.open("wb") as file:
            np.save(file, np.ones(3))
    elif spoil in ("text", "unknown"):
        with np.load(kept) as found:
            arrays = dict(found)
        odd = np.full(arrays["quantiles"].shape, np.nan, np.float32)
        np.savez(kept, **{**arrays, "quantiles": odd.astype(str) if spoil == "text" else odd})
    elif spoil == "other":
        np.savez(kept, sound=np.ones(3, np.bool_), quantiles=np.ones((3, 2, 1), np.float32))
    else:
        middle = bytes([whole[len(whole) // 2] ^ 255])
        flipped = whole[: len(whole) // 2] + middle + whole[len(whole) // 2 + 1 :]
        kept.write_bytes({"cut": whole[:-100], "empty": b"", "noise": b"noise", "flipped": flipped}[spoil])
    again, asked = asked_for(SHORT, tmp_path)
    assert asked == 1
    assert alike(made, again)
    assert asked_for(SHORT, tmp_path)[1] == 0


def test_a_cache_without_a_place_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and nothing half-written stays."""

    def full(draft: Path, **_: object) -> None:
        draft.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    made, _ = asked_for(SHORT, tmp_path)
    assert made.notes == (f"{tmp_path}: forecasts are not kept: No space left on device",)
    assert alike(made, asked_for(SHORT)[0])
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_forecasts_are_forgotten(tmp_path: Path) -> None:
    """Until the others have room. Whatever else lies there is left alone; a folder that is not there is no error."""
    for age, name in enumerate(("new.npz", ".7.part.left.npz", "old.npz", "notes.txt")):
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (MIDNIGHT - age, MIDNIGHT - age))
    names = lambda: {path.name for path in tmp_path.iterdir()}  # noqa: E731
    forecasts.forget_oldest(tmp_path, 30)
    assert names() == {"new.npz", ".7.part.left.npz", "old.npz", "notes.txt"}
    forecasts.forget_oldest(tmp_path, 29)
    assert names() == {"new.npz", ".7.part.left.npz", "notes.txt"}
    forecasts.forget_oldest(tmp_path, 9)
    assert names() == {"notes.txt"}
    forecasts.forget_oldest(tmp_path / "nowhere")


def test_another_question_is_not_answered_from_the_cache(tmp_path: Path) -> None:
    """What demand looks like, when forecasts are issued and how long they are kept are part of the question."""
    asked_for(SHORT, tmp_path)
    for issues, observing in (
        (SHORT, Observing(30.0, 60.0)),
        (replace(SHORT, forecast_interval_seconds=30.0), OBSERVING),
        (replace(SHORT, ahead_seconds=1200.0), OBSERVING),
        (replace(SHORT, span=Span(MIDNIGHT, MIDNIGHT + 3660)), OBSERVING),
    ):
        assert asked_for(issues, tmp_path, observing)[1] == 1
    assert asked_for(replace(SHORT, threads=2), tmp_path)[1] == 0


def test_batches_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the issues are cut into batches, and whoever makes them."""
    whole, _ = asked_for(SHORT)
    monkeypatch.setattr(forecasts, "BATCH", 7)
    parts, asked = asked_for(replace(SHORT, threads=3))
    assert asked == 9
    assert alike(whole, parts)


def test_a_moment_has_the_newest_forecast_before_it() -> None:
    """Issued then or earlier, none before the first; where one failed, the one before it."""
    forecasts, _ = asked_for(SHORT)
    moments = MIDNIGHT + np.array([-15.0, 0.0, 45.0, 60.0, 119.0])
    starts = [one and one.start - MIDNIGHT for one in forecasts.at(moments)]
    assert starts == [None, 0, 0, 60, 60]
    failed = replace(forecasts, newest_I=np.where(np.arange(60) == 1, 0, forecasts.newest_I))
    assert [one and one.start - MIDNIGHT for one in failed.at(moments)] == [None, 0, 0, 0, 0]

"""A spike on its way from demand to the list: through the refresh, a real SQLite file, and replicas that stop."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind
from scaler.errors import StoreUnavailable
from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.refresh.anomalies import MOST_LOGGED, Anomalies
from scaler.refresh.saving_anomalies import WRITES_PER_SWEEP, AnomalyWriter
from scaler.scoring.excursions import SHIFT_MINUTES
from scaler.series import Forecast
from scaler.store.anomalies import NoAnomalies
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_anomalies import SqlAnomalies
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock, flat_forecast
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, World, replica
from tests.servers.process import until_async

MINUTE = 60.0
BEGIN = START // MINUTE * MINUTE + 25 * MINUTE
ALL = AnomaliesAsked(0.0, 100)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqlAnomalies]:
    store = open_store(None, tmp_path)
    assert isinstance(store, SqlStore)
    yield SqlAnomalies(store.database)
    await store.close()


def spike(_: Trigger, at: float) -> float:
    """Three times the usual demand, in ten full minutes."""
    return 300.0 if BEGIN < at <= BEGIN + 10 * MINUTE else 100.0


def expected(_: str, end: float, __: object) -> Forecast:
    return flat_forecast(end, [100.0] * 30, spread=20.0)


async def pass_minutes(world: World, until: float) -> None:
    """In steps of a refresh, each of which has forecast before the next begins. KEDA calls meanwhile."""
    while world.clock.now() < until:
        key = world.call().trigger.key
        await world.clock.advance(15.0)
        await until_async(partial(has_forecast, world, key, world.clock.now() // 15 * 15))


def has_forecast(world: World, key: str, at: float) -> bool:
    tracked = world.refresh.tracking.get(key)
    return tracked is not None and tracked.forecast is not None and tracked.forecast.start >= at


async def test_a_spike_is_listed_while_it_lasts_and_afterwards(table: SqlAnomalies) -> None:
    """With its time and size, in the list, in what `why` reads and in the log; once, though it is written twice."""
    with capture_logs() as lines:
        async with replica(spike, expected) as world:
            registration = world.call()
            writer = AnomalyWriter(world.refresh.tracking.anomalies, table, world.clock, world.telemetry)
            await pass_minutes(world, BEGIN + 10 * MINUTE)
            await writer.write()
            (listed,) = await table.load(ALL, world.clock.now())
            assert (listed.since, listed.direction, listed.is_over) == (BEGIN, Direction.ABOVE, False)
            seen = registration.anomalies()
            assert seen is not None
            assert seen.newest is not None
            assert not seen.newest.is_over
            await pass_minutes(world, BEGIN + 18 * MINUTE)
            await writer.write()
            (listed,) = await table.load(ALL, world.clock.now())
    whole = (BEGIN, BEGIN + 10 * MINUTE, Kind.ANOMALY, 300.0, True)
    assert (listed.since, listed.until, listed.kind, listed.largest, listed.is_over) == whole
    assert listed.expected == pytest.approx(100.0)
    assert (listed.namespace, listed.name, listed.trigger) == ("shop", "web", registration.trigger.short_key)
    told = [(one["event"], one["name"]) for one in lines if one["event"].startswith("anomaly")]
    assert told == [("anomaly_began", "web"), ("anomaly_ended", "web")]


class Watching:
    """Some triggers whose demand is forecast to be about 100, minute by minute. offset: of local time."""

    def __init__(self, triggers: int = 1, offset: int = 0, most_waiting: int = 100) -> None:
        self.anomalies, self.memory = Anomalies(most_waiting), MinuteMemory()
        names = [f"web-{n}" for n in range(triggers)]
        self.triggers = [Trigger("shop", name, "demand", 10.0, "", key=f"shop/{name}/0f") for name in names]
        self.offset_N = np.full(triggers, offset, np.int64)
        for trigger in self.triggers:
            self.memory.add(trigger.key)
            self.anomalies.add(trigger.key)
        self.at = START // MINUTE * MINUTE + 15.0
        self.run(25, 100.0)

    def run(self, minutes: int, demand: float, step: float = MINUTE) -> None:
        keys = [trigger.key for trigger in self.triggers]
        until = self.at + minutes * MINUTE
        while self.at < until:
            minute_N = local_minutes(self.at, self.offset_N)
            for missed in range(round(step / MINUTE)):
                self.memory.put(keys, np.full(len(keys), demand, np.float32), minute_N - missed)
            forecasts = [flat_forecast(self.at, [100.0] * 30, spread=20.0) for _ in keys]
            self.anomalies.watch(self.memory, self.triggers, forecasts, self.at, self.offset_N)
            self.at += step

    @property
    def waiting(self) -> list[Anomaly]:
        return self.anomalies.first(1000)


@pytest.mark.parametrize("offset", [0, 7200, -18000, 20700])
def test_times_are_those_of_the_clock(offset: int) -> None:
    """Whatever the time zone of the trigger is."""
    watching = Watching(offset=offset)
    begin = watching.at
    watching.run(10, 300.0)
    watching.run(10, 100.0)
    (found,) = watching.waiting
    assert found.until - found.since == 600
    assert found.since == pytest.approx(begin, abs=60)


def test_minutes_of_deferred_forecasts_are_made_up_for() -> None:
    """Where a busy replica looks every third minute only."""
    watching = Watching()
    watching.run(12, 300.0, step=3 * MINUTE)
    watching.run(12, 100.0, step=3 * MINUTE)
    (found,) = watching.waiting
    assert found.until - found.since == 720


def test_many_at_once_are_all_listed_and_some_are_logged() -> None:
    watching = Watching(triggers=300, most_waiting=1000)
    with capture_logs() as lines:
        watching.run(10, 300.0)
        watching.run(10, 100.0)
    assert len(watching.waiting) == 300
    assert len(lines) == 2 * MOST_LOGGED


def test_what_the_store_does_not_take_is_dropped_at_a_bound() -> None:
    """The oldest first; the newest stay, and each waits once."""
    watching = Watching(triggers=150)
    watching.run(9, 300.0)
    assert len(watching.waiting) == 100
    assert watching.anomalies.take_dropped() == 50


def test_a_new_level_is_marked_as_such() -> None:
    watching = Watching()
    watching.run(SHIFT_MINUTES + 10, 300.0)
    (found,) = watching.waiting
    assert (found.kind, found.is_over) == (Kind.LEVEL_SHIFT, True)


def test_what_is_forgotten_is_watched_by_nobody() -> None:
    watching = Watching()
    watching.run(10, 300.0)
    key = watching.triggers[0].key
    seen = watching.anomalies.seen(key)
    assert seen is not None
    assert (seen.above, seen.below) == (1, 0)
    watching.anomalies.remove(key)
    assert watching.anomalies.seen(key) is None


class Broken(NoAnomalies):
    """Does not answer until it is mended."""

    def __init__(self) -> None:
        self.is_broken = True
        self.saved: list[Anomaly] = []
        self.swept: list[tuple[float, float]] = []

    async def save(self, found: object) -> None:
        if self.is_broken:
            raise StoreUnavailable("away")
        self.saved += found  # type: ignore[operator]

    async def sweep(self, passed: float, now: float) -> None:
        self.swept.append((passed, now))


async def test_a_store_that_is_away_keeps_nobody_waiting() -> None:
    """Its first failure is logged; what waits is written when it is back."""
    watching, store = Watching(), Broken()
    watching.run(20, 300.0)
    writer = AnomalyWriter(watching.anomalies, store, ManualClock(watching.at), Telemetry())
    with capture_logs() as lines:
        for _ in range(3):
            await writer.write()
    assert [one["event"] for one in lines] == ["anomalies_not_stored"]
    assert writer.queue_lengths() == {"store_anomalies": 1}
    store.is_broken = False
    await writer.write()
    assert len(store.saved) == 1
    assert writer.queue_lengths() == {"store_anomalies": 0}


async def test_what_grows_while_it_is_written_is_written_again() -> None:
    watching = Watching()
    watching.run(9, 300.0)
    (first,) = watching.waiting
    watching.run(12, 100.0)
    watching.anomalies.stored([first])
    (last,) = watching.waiting
    assert last == replace(first, until=first.since + 540, is_over=True)


async def test_a_clock_that_was_set_forwards_sweeps_nothing_new() -> None:
    """The limit is the moment of the sweep before."""
    clock, store = ManualClock(START), Broken()
    store.is_broken = False
    writer = AnomalyWriter(Anomalies(), store, clock, Telemetry())
    for _ in range(2 * WRITES_PER_SWEEP - 1):
        await writer.write()
    await clock.set(START + 400 * 86400.0)
    await writer.write()
    assert store.swept == [(START, START + 400 * 86400.0)]

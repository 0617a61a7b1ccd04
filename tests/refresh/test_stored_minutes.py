"""Minutes of past days outlive a replica, with a real SQLite file between its lives."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from scaler.errors import StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.history.minutes import KEPT_MINUTES, LOCAL_DAYS
from scaler.refresh.checkpoint import WRITES_PER_SWEEP, Checkpoint
from scaler.refresh.saving_minutes import EVERY_SECONDS, next_due
from scaler.refresh.tracked import Phase
from scaler.series import DAY_MINUTES, Floats, MinuteDay, Samples
from scaler.store import Store
from scaler.store.null import NullStore
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import World, replica, rising

NOW = datetime(2026, 6, 10, 12, 0, 30, tzinfo=UTC).timestamp()
DAY = 86400.0


def by_minute(_: Trigger, at: float) -> float:
    """Another demand in each minute of two weeks, exact in half floats."""
    return float(at // 60 % 2000 + 1)


def last_hour(trigger: Trigger, at: float) -> float:
    """What a source has that keeps an hour; NaN is no demand."""
    return by_minute(trigger, at) if at > NOW - 3600 else float("nan")


class Life:
    """A replica with one trigger, and what writes it to the store."""

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self.checkpoint = Checkpoint(world.registry, world.refresh.tracking, store, world.clock, Telemetry(), 3600)
        self.asked: list[tuple[float, float]] = []
        """stretches that the source was asked for by the minute"""
        samples = world.source.samples

        async def noted(trigger: Trigger, start: float, end: float, step: float) -> object:
            self.asked.append((start, end))
            return await samples(trigger, start, end, step)

        world.source.samples = noted  # type: ignore[assignment,method-assign]

    async def begin(self, **metadata: str) -> None:
        self.key = self.world.call(**metadata).trigger.key
        await self.world.pass_time(5)

    async def minute(self) -> None:
        """One in which KEDA calls, and all is refreshed."""
        await self.world.clock.advance(60)
        self.world.call()
        await self.world.refresh.tick(self.world.clock.now())

    def demand(self, minutes: Sequence[int]) -> list[float]:
        """What is remembered of minutes of UTC."""
        return self.world.refresh.tracking.combining.memory.at([self.key], np.array([minutes]))[0].tolist()

    def known(self) -> int:
        return len(self.world.refresh.tracking.combining.memory.known(self.key)[0])


@asynccontextmanager
async def life(
    store: Store, demand: object = by_minute, clock: ManualClock | None = None, **metadata: str
) -> AsyncIterator[Life]:
    async with replica(demand, rising, clock=clock or ManualClock(NOW), store=store) as world:  # type: ignore[arg-type]
        one = Life(world, store)
        await one.begin(**metadata)
        yield one


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(None, tmp_path)
    yield opened
    await opened.close()


def minute(days_ago: float) -> int:
    return int((NOW - days_ago * DAY) // 60)


async def learned(store: Store, **metadata: str) -> None:
    async with life(store, **metadata) as one:
        await one.checkpoint.write()


async def test_two_weeks_return(store: Store) -> None:
    """The source has the last hour only; the rest comes from the store, to the minute, and is not asked for."""
    await learned(store)
    async with life(store, last_hour) as one:
        past = [minute(days) for days in (0.1, 1, 6.5, 13.9)]
        assert one.demand(past) == [by_minute(None, m * 60.0) for m in past]  # type: ignore[arg-type]
        assert one.known() == KEPT_MINUTES
        assert all(start > NOW - 3700 for start, _ in one.asked)
        assert Phase.MINUTES in one.world.refresh.tracking.get(one.key).done  # type: ignore[union-attr]


async def test_without_the_store_they_are_fetched_day_by_day(store: Store) -> None:
    async with life(NullStore()) as one:
        assert one.known() == KEPT_MINUTES
        assert len(one.asked) == 15  # the last hour by the fine history, and fourteen days
        assert max(end - start for start, end in one.asked) <= DAY + 60


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "other"},
        {"timezone": "Asia/Kolkata"},
        {"queryStep": "30s"},
        {"serverAddress": "http://other:9090"},
    ],
)
async def test_other_demand_does_not_get_them(store: Store, changed: dict[str, str]) -> None:
    await learned(store)
    async with life(store, last_hour, **changed) as one:
        assert one.known() <= 61


async def test_an_edited_threshold_keeps_them(store: Store) -> None:
    """It changes what is answered, and not the demand."""
    await learned(store)
    async with life(store, last_hour, threshold="20") as one:
        assert one.known() == KEPT_MINUTES


async def test_days_are_those_of_the_time_zone(store: Store) -> None:
    """Kolkata is five and a half hours ahead: its days begin at 18:30 of UTC."""
    await learned(store, timezone="Asia/Kolkata")
    async with life(store, last_hour, timezone="Asia/Kolkata") as one:
        past = minute(3)
        assert one.demand([past + 330]) == [by_minute(None, past * 60.0)]  # type: ignore[arg-type]


async def test_after_the_clocks_changed_each_minute_is_where_its_clock_showed_it(store: Store) -> None:
    """A batch at 09:00 of Berlin, four days before the change and on the day after it."""
    clock = ManualClock(datetime(2026, 3, 30, 12, 0, 30, tzinfo=UTC).timestamp())
    shown = {day: (date(2026, 3, day) - date(1970, 1, 1)).days * DAY_MINUTES + 540 for day in (26, 30)}
    utc = {day: datetime(2026, 3, day, hour, tzinfo=UTC).timestamp() for day, hour in ((26, 8), (30, 7))}
    async with life(store, clock=clock, timezone="Europe/Berlin") as one:
        await one.checkpoint.write()
    async with life(store, lambda *_: float("nan"), clock=clock, timezone="Europe/Berlin") as one:
        assert one.demand([shown[26], shown[30]]) == [by_minute(None, utc[day]) for day in (26, 30)]  # type: ignore[arg-type]


async def test_who_takes_a_trigger_over_has_them(store: Store) -> None:
    """The replica that had the lease is gone; the other one's source has the last hour."""
    clock, memory = ManualClock(NOW), SharedMemory()
    memory.clock = clock.now
    async with (
        replica(by_minute, rising, MemoryCache("a", memory), clock, store) as first,  # type: ignore[arg-type]
        replica(last_hour, rising, MemoryCache("b", memory), clock, store) as second,  # type: ignore[arg-type]
    ):
        one = Life(first, store)
        await one.begin()
        other = Life(second, store)
        await other.begin()
        await one.checkpoint.write()
        assert len(second.refresh.tracking) == 0
        await first.refresh._replicas.leave([one.key])
        await second.refresh.tick(clock.now())
        await second.pass_time(5)
        assert other.known() == KEPT_MINUTES


async def test_only_what_is_missing_is_fetched(store: Store) -> None:
    """Three days later: the days between, and nothing of those before."""
    await learned(store)
    async with life(store, clock=ManualClock(NOW + 3 * DAY)) as one:
        assert one.known() == KEPT_MINUTES
        assert min(start for start, _ in one.asked) >= NOW - 60
        assert len(one.asked) == 4  # the last hour by the fine history


async def test_days_without_demand_are_not_asked_for_again(store: Store) -> None:
    """What the source did not have is stored as such."""
    async with life(store, last_hour) as one:
        await one.checkpoint.write()
    async with life(store) as one:
        assert one.known() <= 62
        assert len(one.asked) == 1  # the fine history


async def test_a_damaged_row_is_fetched_again(store: Store, tmp_path: Path) -> None:
    """That day alone; the log names the table once."""
    await learned(store)
    day = minute(4) // DAY_MINUTES
    async with store.database.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.exec_driver_sql(f"UPDATE minutes SET packed = x'0100000000' WHERE day = {day}")
    with structlog.testing.capture_logs() as logs:
        async with life(store) as one:
            assert one.known() == KEPT_MINUTES
            assert [(start // DAY, end // DAY) for start, end in one.asked if start < NOW - DAY] == [(day - 1, day)]
    assert [log["table"] for log in logs if log["event"] == "store_rows_quarantined"] == ["minutes"]


async def test_of_the_future_nothing_is_believed(store: Store) -> None:
    """A replica whose clock was a day ahead has written."""
    async with life(store, clock=ManualClock(NOW + DAY)) as one:
        await one.checkpoint.write()
    async with life(store) as one:
        assert np.isnan(one.demand([minute(-0.5), minute(-1)])).all()
        assert one.demand([minute(1)]) == [by_minute(None, minute(1) * 60.0)]  # type: ignore[arg-type]


@pytest.mark.parametrize("days", [1, 20, 400])
async def test_a_clock_that_was_far_ahead_loses_nothing(store: Store, days: int) -> None:
    """A replica has started with it, and has written."""
    await learned(store)
    async with life(store, last_hour, ManualClock(NOW + days * DAY)) as one:
        await one.minute()
        await one.checkpoint.write()
    async with life(store, last_hour) as one:
        assert one.known() == KEPT_MINUTES


async def test_an_edited_time_zone_keeps_what_it_learned(store: Store) -> None:
    """The trigger as it was is refreshed for a while yet, and stores its today."""
    async with life(store, timezone="UTC") as one:
        await one.checkpoint.write()
        one.world.call(timezone="Europe/Berlin")
        await one.world.pass_time(5)
        await one.checkpoint.write()
        for _ in range(61):
            await one.minute()
            await one.checkpoint.write()
    async with life(store, last_hour, timezone="Europe/Berlin") as one:
        assert one.known() >= KEPT_MINUTES - 62


async def test_old_days_are_swept(store: Store) -> None:
    """Three weeks later: what no memory holds any more leaves, in whatever zone it is; then a day leaves each day, by
    the moment of the sweep before, which is a day ago here."""
    for zone in ("UTC", "Asia/Tokyo"):
        await learned(store, timezone=zone)
    async with life(store, clock=ManualClock(NOW + 21 * DAY)) as one:
        for later in range(4):
            for _ in range(2 * WRITES_PER_SWEEP):
                await one.checkpoint.write()
            today = minute(-21 - later) // DAY_MINUTES
            assert await stored_days(store) == [("UTC", day) for day in range(today - min(14 + later, 16), today + 1)]
            await one.world.clock.advance(DAY + 60)
            one.world.call()
            await one.world.refresh.tick(one.world.clock.now())


async def stored_days(store: Store) -> list[tuple[str, int]]:
    async with store.database.engine.begin() as connection:  # type: ignore[attr-defined]
        found = await connection.exec_driver_sql("SELECT zone, day FROM minutes ORDER BY zone, day")
        return [(zone, day) for zone, day in found]


async def test_a_slow_first_fetch_is_not_repeated(store: Store) -> None:
    """Its days are stored while it lasts, and once more when all of it is there."""
    async with replica(by_minute, rising, clock=ManualClock(NOW), store=store) as world:  # type: ignore[arg-type]
        samples, clock = world.source.samples, world.clock

        async def slow(*asked: Any) -> Samples:
            await clock.sleep_until(clock.now() + 15)
            return await samples(*asked)

        world.source.samples = slow  # type: ignore[method-assign]
        one = Life(world, store)
        await one.begin()
        for _ in range(10):
            await one.minute()
            await one.checkpoint.write()
    async with life(store, clock=clock) as one:
        assert len(one.asked) == 1  # the fine history
        assert one.known() == KEPT_MINUTES


class Counting(NullStore):
    """Keeps what is saved, answers when it is told to, and takes its time."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.days: dict[tuple[str, str, int], MinuteDay] = {}
        self.saved: list[int] = []
        self.is_away = False
        self.seconds = 0.0
        self.load_seconds = 0.0
        self.number = 0

    async def identity(self) -> str:
        return str(self.number)

    async def watch(self, records: object) -> None:
        await self.clock.advance(self.seconds)

    async def save_minutes(self, days: Sequence[MinuteDay]) -> None:
        self._answer()
        await self.clock.advance(self.seconds)
        self.saved += [one.day for one in days]
        self.days |= {(one.key, one.zone, one.day): one for one in days}

    async def load_minutes(self, owners: Sequence[tuple[str, str]], days: tuple[int, int]) -> list[MinuteDay]:
        self._answer()
        if self.load_seconds:
            await self.clock.sleep_until(self.clock.now() + self.load_seconds)
        return [one for (key, zone, _), one in self.days.items() if (key, zone) in owners]

    def _answer(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")

    def demand(self, minute: int) -> float:
        day, place = divmod(minute, DAY_MINUTES)
        found: list[Floats] = [one.demand_M for one in self.days.values() if one.day == day]
        return float(found[0][place])


@pytest.fixture
def counting() -> Counting:
    return Counting(ManualClock(NOW))


async def test_only_changed_days_are_written_once_an_hour(counting: Counting) -> None:
    """At first all of two weeks, which lie in fifteen local days; then today, at the trigger's own minute."""
    async with life(counting, clock=counting.clock) as one:
        await one.checkpoint.write()
        today = minute(0) // DAY_MINUTES
        assert sorted(counting.saved) == list(range(today - 14, today + 1))
        counting.saved.clear()
        for _ in range(120):
            await one.minute()
            await one.checkpoint.write()
        assert counting.saved == [today, today]
        assert next_due("a", NOW) != next_due("b", NOW)
        assert NOW < next_due("a", NOW) <= NOW + EVERY_SECONDS


async def test_a_store_that_is_away_at_the_start_loses_nothing(counting: Counting) -> None:
    """The source answers meanwhile, with an hour of it. Nothing is stored before what is stored was read."""
    async with life(counting, clock=counting.clock) as one:
        await one.checkpoint.write()
    counting.is_away = True
    async with life(counting, last_hour, counting.clock) as one:
        assert one.known() <= 61
        counting.is_away = False
        counting.saved.clear()
        await one.checkpoint.write()
        assert counting.saved == []
        await one.world.pass_time(31)
        assert one.known() >= KEPT_MINUTES - 1
        for _ in range(60):
            await one.minute()
        await one.checkpoint.write()
    assert counting.demand(minute(0.2)) == by_minute(None, minute(0.2) * 60.0)  # type: ignore[arg-type]


async def test_a_slow_store_delays_nothing(counting: Counting) -> None:
    """A trigger that has waited for a minute is fetched from the source; the store is read nevertheless."""
    async with life(counting, clock=counting.clock) as one:
        await one.checkpoint.write()
        wanted = [one.world.call(name=f"web-{number}") for number in range(40)]
        counting.load_seconds = 61.0
        await one.world.pass_time(70)
        found = [one.world.refresh.tracking.get(each.trigger.key) for each in wanted]
        assert all(each is not None and Phase.MINUTES in each.done for each in found)
        assert sum(each is not None and each.minutes_read for each in found) < 40
        await one.world.pass_time(70)
        assert all(each is not None and each.minutes_read for each in found)


async def test_what_a_store_did_not_take_is_written_later(counting: Counting) -> None:
    async with life(counting, clock=counting.clock) as one:
        counting.is_away = True
        await one.checkpoint.write()
        assert one.checkpoint.queue_lengths()["store_minutes"] == 1
        counting.is_away = False
        await one.checkpoint.write()
        assert one.checkpoint.queue_lengths()["store_minutes"] == 0
    assert len(counting.days) == LOCAL_DAYS


async def test_a_slow_store_gets_no_minutes(counting: Counting) -> None:
    """They are the first to be left out, and are written when it is quick again."""
    async with life(counting, clock=counting.clock) as one:
        counting.seconds = 6.0
        await one.checkpoint.write()
        assert counting.saved == []
        counting.seconds = 0.0
        await one.checkpoint.write()
    assert len(counting.days) == LOCAL_DAYS


async def test_a_round_ends_in_time(counting: Counting) -> None:
    """A hundred triggers, 32 at a time, on a store that takes two seconds for each part: the rest is written next."""
    async with life(counting, clock=counting.clock) as one:
        for number in range(99):
            one.world.call(name=f"web-{number}")
        await one.world.pass_time(8)
        counting.seconds = 2.0
        await one.checkpoint._write_history(one.checkpoint._minutes)
        assert one.checkpoint.queue_lengths()["store_minutes"] == 4
        await one.checkpoint._write_history(one.checkpoint._minutes)
        assert one.checkpoint.queue_lengths()["store_minutes"] == 0
    assert len(counting.days) == 100 * LOCAL_DAYS


async def test_a_new_database_gets_all_of_it(counting: Counting) -> None:
    async with life(counting, clock=counting.clock) as one:
        await one.checkpoint.restore()
        await one.checkpoint.write()
        counting.days.clear()
        counting.number += 1
        await one.checkpoint.write()
    assert len(counting.days) == LOCAL_DAYS


async def test_while_a_hole_is_open_no_day_is_complete(counting: Counting) -> None:
    """The source was away for an hour and does not give it yet: a restart asks for that day again. When the hole is
    filled, the day is stored again at once."""
    async with life(counting, clock=counting.clock) as one:
        tracked = one.world.refresh.tracking.get(one.key)
        assert tracked is not None
        await one.checkpoint.write()
        (today,) = [day.complete for day in counting.days.values() if day.day == minute(0) // DAY_MINUTES]
        assert today == 12 * 60 + 2  # and the minute of now
        for _ in range(60):
            await one.minute()
        tracked.wanted_since[Phase.HOLE] = NOW
        await one.checkpoint.write()
        (today,) = [day.complete for day in counting.days.values() if day.day == minute(0) // DAY_MINUTES]
        assert today == 0
        del tracked.wanted_since[Phase.HOLE]
        await one.checkpoint.write()
        (today,) = [day.complete for day in counting.days.values() if day.day == minute(0) // DAY_MINUTES]
        assert today == 13 * 60 + 2

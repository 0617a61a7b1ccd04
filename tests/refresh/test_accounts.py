"""Hours of savings from the refresh into the store, with a real SQLite file between two lives of a replica."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from scaler.errors import StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.plan.rule import News
from scaler.refresh.accounts import Accounts
from scaler.refresh.checkpoint import Checkpoint
from scaler.registry import Registration
from scaler.savings import SavedDay, SavedHour, SavingsAsked, Sums
from scaler.series import Observation
from scaler.store import Store
from scaler.store.null import NullStore
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import Mode, Trigger
from tests.refresh.test_refresh import START, World, replica, rising, steady

HOUR = 3600.0
BEGIN = START // HOUR * HOUR
"""the begin of an hour"""
ALL = (0, 2**31 - 1)
WARM = 330.0
"""seconds until something counts"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(None, tmp_path)
    yield opened
    await opened.close()


class Following:
    """Accounts of one trigger that is refreshed every 15 s. The plan has five replicas, the reactive HPA four."""

    def __init__(self, accounts: Accounts | None = None, now: float = BEGIN, mode: Mode = Mode.PREDICTIVE) -> None:
        self.now = now
        self.accounts = accounts or Accounts()
        trigger = Trigger("shop", "web", "demand", 10.0, "", mode=mode, key="shop/web/0f")
        self.registration = Registration(trigger, {}, now)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 15)):
            self.now += 15
            seen = Observation(self.now, 40.0, 40.0, 40.0)
            news = News(self.registration.trigger, self.now, seen, None, None, 15.0)
            self.accounts.count(self.registration, news, 5)

    def hours(self) -> list[SavedHour]:
        return list(self.accounts.first(10_000))


def known(hours: Sequence[SavedHour]) -> list[tuple[int, float]]:
    return [(int(one.hour - BEGIN // HOUR), one.sums.known_seconds) for one in hours]


def test_an_hour_waits_for_the_store_when_it_is_over() -> None:
    """The first one lacks what is not counted after a start, the others are whole."""
    one = Following()
    one.run(3 * HOUR + 60)
    first, second, third = one.hours()
    assert known([second, third]) == [(1, HOUR), (2, HOUR)]
    assert known([first]) == [(0, HOUR - 315)]
    assert second.sums.plan.replica_seconds == 5 * HOUR
    assert second.sums.reactive.replica_seconds == 4 * HOUR
    assert (second.namespace, second.name, second.trigger, second.mode) == ("shop", "web", "0f", "predictive")
    assert len({one.part for one in (first, second, third)}) == 3


def test_who_loses_the_trigger_hands_its_hour_over() -> None:
    """Whoever takes it over counts in a part of its own, after it knows enough."""
    one = Following()
    one.run(HOUR / 2)
    one.accounts.close("shop/web/0f")
    other = Following(now=one.now)
    other.run(HOUR / 2 + 60)
    (mine,), (theirs,) = one.hours(), other.hours()
    assert mine.hour == theirs.hour
    assert mine.part != theirs.part
    assert HOUR - 2 * WARM - 60 < mine.sums.known_seconds + theirs.sums.known_seconds < HOUR - 600


def test_one_that_gets_it_back_within_the_hour_begins_another_part() -> None:
    one = Following()
    one.run(1200)
    one.accounts.close("shop/web/0f")
    one.run(1200)
    one.accounts.close("shop/web/0f")
    first, second = one.hours()
    assert first.hour == second.hour
    assert first.part != second.part


def test_an_hour_that_comes_again_is_another_part() -> None:
    """A clock that was set back by an hour: what was counted before it stays as it was."""
    one = Following()
    one.run(HOUR + 1200)
    one.now -= HOUR
    one.run(2 * HOUR)
    assert [at for at, _ in known(one.hours())] == [0, 1, 0, 1]
    assert len({hour.part for hour in one.hours()}) == 4


def test_the_queue_is_bounded_and_loses_the_oldest() -> None:
    one = Following(Accounts(most_waiting=5))
    one.run(20 * HOUR + 60)
    assert [at for at, _ in known(one.hours())] == [15, 16, 17, 18, 19]
    assert one.accounts.take_dropped() == 15
    assert one.accounts.take_dropped() == 0


def test_what_was_dropped_while_it_was_stored_takes_nothing_else_with_it() -> None:
    one = Following(Accounts(most_waiting=5))
    one.run(5 * HOUR + 60)
    storing = one.accounts.first(3)
    one.run(4 * HOUR)
    one.accounts.stored(storing)
    assert [at for at, _ in known(one.hours())] == [4, 5, 6, 7, 8]


def test_in_mode_reactive_there_is_nothing_to_compare() -> None:
    one = Following(mode=Mode.REACTIVE)
    one.run(2 * HOUR)
    assert one.hours() == []
    assert one.registration.account is None


def test_telemetry_reads_all_that_was_counted() -> None:
    """Over hours, as a counter must: it never goes back."""
    one, before = Following(), 0.0
    for _ in range(30):
        one.run(600)
        assert one.registration.account is not None
        total = one.registration.account.total.known_seconds
        assert total >= before
        before = total
    assert before == 30 * 600 - 300 - 45


# Through the refresh and the checkpoint


def checkpoint(world: World, store: Store, telemetry: Telemetry | None = None) -> Checkpoint:
    return Checkpoint(world.registry, world.refresh.tracking, store, world.clock, telemetry or Telemetry(), 3600)


async def ticks(world: World, seconds: float) -> None:
    """One refresh after the other, without the wait between them."""
    for _ in range(round(seconds / 15)):
        await world.clock.advance(15)
        world.call()
        await world.refresh.tick(world.clock.now())


async def stored(store: Store) -> list[SavedDay]:
    return await store.load_savings(SavingsAsked(ALL, 10))


def total(days: Sequence[SavedDay]) -> Sums:
    sums = Sums()
    for one in days:
        sums = sums.plus(one.sums)
    return sums


async def test_a_restart_loses_and_repeats_nothing(store: Store) -> None:
    """All that was counted is stored at the end of a process, and once: also what is written again."""
    clock = ManualClock(BEGIN)
    for _ in range(2):
        async with replica(steady, rising, clock=clock, store=store) as world:
            remember = checkpoint(world, store)
            world.call()
            await world.pass_time(3)
            await ticks(world, 1500)
            await remember.write()
            await remember.finish()
            await remember.write()
    sums = total(await stored(store))
    assert sums.known_seconds == pytest.approx(2 * (1500 - WARM), abs=60)
    assert sums.demand == pytest.approx(100 * sums.known_seconds)
    assert sums.reactive.replica_seconds == pytest.approx(10 * sums.known_seconds)
    assert sums.plan.replica_seconds > 1.4 * sums.reactive.replica_seconds


async def test_a_lease_that_moves_counts_no_second_twice(store: Store) -> None:
    """Two replicas that share leases: the one that leaves stores its part, the other one goes on."""
    clock, memory = ManualClock(BEGIN), SharedMemory()
    memory.clock = clock.now
    async with (
        replica(steady, rising, MemoryCache("a", memory), clock, store) as first,
        replica(steady, rising, MemoryCache("b", memory), clock, store) as second,
    ):
        first.call()
        await first.pass_time(3)
        second.call()
        for _ in range(60):
            await clock.advance(15)
            for world in (first, second):
                world.call()
                await world.refresh.tick(clock.now())
        await first.refresh._replicas.leave([one.key for one in first.refresh.tracking])
        first.refresh.tracking.clear()
        for _ in range(60):
            await clock.advance(15)
            second.call()
            await second.refresh.tick(clock.now())
        for world in (first, second):
            await checkpoint(world, store).finish()
    sums = total(await stored(store))
    assert 1800 - 2 * WARM - 120 < sums.known_seconds < 1800 - WARM


class Away(NullStore):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.is_away = True
        self.hours: list[SavedHour] = []

    async def save_hours(self, hours: Sequence[SavedHour]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.hours += hours


async def test_a_store_that_is_away_gets_all_of_it_later() -> None:
    """Telemetry shows what waits, and what was lost."""
    store, telemetry = Away(), Telemetry()
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        remember = checkpoint(world, store, telemetry)
        one = Following(world.refresh.tracking.accounts)
        one.run(1000 * HOUR + 60)
        await remember.write()
        assert remember.queue_lengths()["store_savings"] == 1000
        assert telemetry.registry.get_sample_value("headway_store_up") == 0
        store.is_away = False
        await remember.write()
        assert known(store.hours)[1:] == [(hour, HOUR) for hour in range(1, 1000)]
        assert remember.queue_lengths()["store_savings"] == 0
        assert telemetry.registry.get_sample_value("headway_savings_dropped_total") == 0
        store.is_away = True
        world.refresh.tracking.accounts._most_waiting = 3
        one.run(5 * HOUR)
        await remember.write()
        assert telemetry.registry.get_sample_value("headway_savings_dropped_total") == 2


async def test_a_trigger_that_is_forgotten_leaves_its_hour() -> None:
    """And takes no room any more."""
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        world.call()
        await world.pass_time(3)
        await ticks(world, 600)
        accounts = world.refresh.tracking.accounts
        assert len(accounts._open) == 1
        world.refresh.tracking.drop(world.call().trigger.key)
        assert accounts.waiting == 1
        assert not accounts._open

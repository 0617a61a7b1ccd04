"""What the planner has concluded survives a restart, with a real SQLite file between two lives of a replica."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scaler.errors import StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.plan.coverage import COVERAGE, Coverage
from scaler.plan.memory import REMEMBERED, Memory, lasting, with_lasting
from scaler.plan.skill import SKILL
from scaler.refresh.keeping_conclusions import LONGEST_SECONDS, WRITE_SECONDS, ConclusionKeeper
from scaler.refresh.tracked import Tracked
from scaler.store.conclusions import Concluded, ConclusionStore, NullConclusions
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_conclusions import SqlConclusions
from scaler.testing import ManualClock
from tests.refresh.test_refresh import START, World, replica, rising, steady

SHIFTED = {COVERAGE.name: 1.25, SKILL.name: 2.5}


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqlConclusions]:
    store = open_store(None, tmp_path)
    assert isinstance(store, SqlStore)
    yield SqlConclusions(store.database)
    await store.close()


def keeper(world: World, store: ConclusionStore) -> ConclusionKeeper:
    return ConclusionKeeper(world.refresh.tracking, store, world.clock)


def only(world: World) -> Tracked:
    (tracked,) = world.refresh.tracking
    return tracked


async def begun(world: World) -> Tracked:
    world.call()
    await world.pass_time(3)
    return only(world)


def concluded(tracked: Tracked) -> Mapping[str, float]:
    found = lasting(tracked.memory)
    return {name: found[name] for name in SHIFTED if name in found}


async def test_a_restart_goes_on_with_it(table: SqlConclusions) -> None:
    """And the plan reads it: the outlook has it at the next refresh."""
    async with replica(steady, rising) as world:
        tracked, keep = await begun(world), keeper(world, table)
        assert await keep.step()
        tracked.memory = with_lasting(tracked.memory, SHIFTED, START)
        await keep.finish()
    async with replica(steady, rising, clock=ManualClock(START + 900)) as world:
        tracked = await begun(world)
        assert concluded(tracked) == {}
        assert await keeper(world, table).step()
        assert concluded(tracked) == SHIFTED
        await world.pass_time(30)
        (registration,) = world.registry
        assert registration.current is not None
        assert registration.current.outlook.remembered[SKILL.name] > 1


async def test_it_is_written_now_and_then_and_only_what_has_changed() -> None:
    """So that a killed process loses ten minutes of it."""
    store = Kept()
    async with replica(steady, rising) as world:
        tracked, keep = await begun(world), keeper(world, store)
        await keep.step()
        tracked.memory = with_lasting(tracked.memory, SHIFTED, START)
        await keep.step()
        assert store.saved == []
        await world.clock.advance(WRITE_SECONDS)
        await keep.step()
        await world.clock.advance(WRITE_SECONDS)
        await keep.step()
        assert [list(one) for one in store.saved] == [[tracked.key]]
        tracked.memory = Memory()
        await keep.finish()
        assert store.saved[-1][tracked.key].values == {}


async def test_what_another_replica_has_published_counts_before_what_is_stored(table: SqlConclusions) -> None:
    """It is newer: here, that nothing is wrong with the forecast any more."""
    clock, shared = ManualClock(START), SharedMemory()
    shared.clock = clock.now
    async with replica(steady, rising, MemoryCache("a", shared), clock) as world:
        tracked = await begun(world)
        await table.save({tracked.key: Concluded(START, SHIFTED)})
    async with replica(steady, rising, MemoryCache("b", shared), clock) as world:
        tracked = await begun(world)
        await keeper(world, table).step()
        assert concluded(tracked) == {}


@pytest.mark.parametrize("at", [START - LONGEST_SECONDS - 3600, float("inf")])
async def test_what_is_a_week_old_counts_no_more(at: float) -> None:
    async with replica(steady, rising) as world:
        tracked = await begun(world)
        await keeper(world, Kept({tracked.key: Concluded(at, SHIFTED)})).step()
        assert concluded(tracked) == {}


async def test_a_store_that_is_away_is_asked_again(table: SqlConclusions) -> None:
    """Nothing is written over what was not read."""
    store = Kept()
    async with replica(steady, rising) as world:
        tracked, keep = await begun(world), keeper(world, store)
        store.stored = {tracked.key: Concluded(START, SHIFTED)}
        store.is_away = True
        assert not await keep.step()
        await keep.finish()
        store.is_away = False
        assert await keep.step()
        assert concluded(tracked) == SHIFTED
        assert store.saved == []


async def test_without_a_database_nothing_happens() -> None:
    async with replica(steady, rising) as world:
        tracked, keep = await begun(world), keeper(world, NullConclusions())
        before = tracked.memory
        assert await keep.step()
        assert tracked.memory == before


def test_what_was_concluded_meanwhile_stays() -> None:
    states = list(Memory().states)
    states[REMEMBERED.index(COVERAGE)] = Coverage((), 0.5)
    memory = with_lasting(replace(Memory(), states=tuple(states)), SHIFTED, START)
    assert lasting(memory) == {COVERAGE.name: 0.5, SKILL.name: 2.5}


def test_rules_of_another_version_are_passed_over() -> None:
    assert with_lasting(Memory(), {"a_rule_to_come": 3.0}, START) == Memory()


class Kept:
    """A store in memory that can be away."""

    def __init__(self, stored: Mapping[str, Concluded] | None = None) -> None:
        self.stored = dict(stored or {})
        self.saved: list[Mapping[str, Concluded]] = []
        self.is_away = False

    async def save(self, found: Mapping[str, Concluded]) -> None:
        self._check()
        self.saved.append(found)

    async def load(self, keys: Sequence[str]) -> dict[str, Concluded]:
        self._check()
        return {key: self.stored[key] for key in keys if key in self.stored}

    async def sweep(self, passed: float, now: float) -> None:
        self._check()

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")

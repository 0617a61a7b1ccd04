"""What survives a restart, with a real SQLite file between two lives of a replica."""

from pathlib import Path

import pytest
import structlog

from scaler.forecast.cache import MemoryCache
from scaler.refresh.checkpoint import WRITES_PER_SWEEP, Checkpoint
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.registry import ListedBy, Registry
from scaler.store import Store
from scaler.store.sql_store import SqlStore, open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import FixedSource, ManualClock, ScriptedForecaster
from scaler.trigger import TriggerRules
from tests.refresh.test_refresh import GRID, METADATA, START, Chosen, replica, rising, steady


def remembering(
    store: Store, registry: Registry, refresh: Refresh, clock: ManualClock, telemetry: Telemetry | None = None
) -> Checkpoint:
    return Checkpoint(registry, refresh.tracking, store, clock, telemetry or Telemetry(), silence_seconds=3600)


def idle_replica(
    store: Store, clock: ManualClock, rules: TriggerRules, telemetry: Telemetry | None = None
) -> tuple[Registry, Checkpoint]:
    """A replica that has just started: nothing runs yet."""
    registry = Registry(rules, 15.0)
    chosen = Chosen(ScriptedForecaster(rising, GRID))
    refresh = Refresh(
        registry, FixedSource(steady), chosen, MemoryCache(), store, clock, Telemetry(), RefreshSettings()
    )
    return registry, remembering(store, registry, refresh, clock, telemetry)


RULES = TriggerRules(default_server="http://p:9090")


async def test_watched_triggers_return(tmp_path: Path) -> None:
    """After a restart the same triggers are watched, with what KEDA sent and when it last called."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "web", METADATA, START)
    await remember.write()
    await clock.advance(600)
    restarted, again = idle_replica(store, clock, RULES)
    assert await again.restore() == 1
    (registration,) = restarted
    assert registration.trigger.name == "web"
    assert registration.last_called == START
    await store.close()


async def test_a_call_from_the_future_is_one_of_now(tmp_path: Path) -> None:
    """A moment that was written by a wrong clock does not keep a trigger watched until that moment comes."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "web", METADATA, START + 1e9)
    await remember.write()
    restarted, again = idle_replica(store, clock, RULES)
    assert await again.restore() == 1
    assert [registration.last_called for registration in restarted] == [START]
    await store.close()


async def test_a_store_that_was_read_is_up(tmp_path: Path) -> None:
    """The gauge is set as soon as the store has answered, not at the first write."""
    store = open_store(None, tmp_path)
    telemetry = Telemetry()
    _, remember = idle_replica(store, ManualClock(START), RULES, telemetry)
    assert await remember.restore() == 0
    assert telemetry.registry.get_sample_value("headway_store_up") == 1
    await store.close()


def delete(folder: Path) -> None:
    for file in folder.glob("headway.db*"):
        file.unlink()


@pytest.mark.parametrize("lost", ["file", "damaged file", "table"])
async def test_what_is_known_is_written_again(tmp_path: Path, lost: str) -> None:
    """Into the place of a file that was deleted or damaged, or of a table that was dropped: also what was stored."""
    clock, store = ManualClock(START), open_store(None, tmp_path)
    assert isinstance(store, SqlStore)
    async with replica(steady, rising, clock=clock) as world:
        remember = remembering(store, world.registry, world.refresh, clock)
        assert await remember.restore() == 0
        key = world.call().trigger.history_key
        await world.pass_time(3)
        await remember.write()
        stored = await store.load_blocks([key], GRID.coarse_seconds, 0.0)
        if lost == "file":
            delete(tmp_path)
        elif lost == "damaged file":
            await store.close()
            (tmp_path / "headway.db").write_bytes(b"notes" * 1000)
        else:
            async with store.database.engine.begin() as connection:
                await connection.exec_driver_sql("DROP TABLE watched")
                await connection.exec_driver_sql("DROP TABLE long_history")
        with structlog.testing.capture_logs() as logs:
            world.call(name="newcomer")
            for _ in range(4):
                await remember.write()
    again = open_store(None, tmp_path)
    assert {record.name for record in await again.watched(0.0)} == {"web", "newcomer"}
    assert (await again.load_blocks([key], GRID.coarse_seconds, 0.0))[key].starts.tolist() == stored[
        key
    ].starts.tolist()
    assert [line["event"] for line in logs].count("store_renewed") == 1
    for one in (store, again):
        await one.close()


async def test_a_table_that_works_does_not_make_up_for_another(tmp_path: Path) -> None:
    """While triggers cannot be written, but history can, the store is down, and the log has one line."""
    clock, store, telemetry = ManualClock(START), open_store(None, tmp_path), Telemetry()
    assert isinstance(store, SqlStore)
    async with replica(steady, rising, clock=clock) as world:
        remember = remembering(store, world.registry, world.refresh, clock, telemetry)
        await remember.restore()
        async with store.database.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE watched RENAME COLUMN last_called TO called")
        world.call()
        await world.pass_time(3)
        with structlog.testing.capture_logs() as logs:
            for _ in range(3 * GRID.coarse_seconds // 60):
                await world.pass_time(1)
                await world.clock.advance(59)
                world.call()
                await remember.write()
    assert [line["event"] for line in logs if line["event"].startswith("store")] == ["store_unavailable"]
    assert telemetry.registry.get_sample_value("headway_store_up") == 0
    await store.close()


async def test_what_fell_silent_does_not_return(tmp_path: Path) -> None:
    """A trigger without a call for longer than the expiry is not watched again."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "web", METADATA, START)
    await remember.write()
    await clock.advance(3601)
    _, again = idle_replica(store, clock, RULES)
    assert await again.restore() == 0
    await store.close()


async def test_what_no_longer_fits_is_left_out(tmp_path: Path) -> None:
    """A stored trigger that the rules refuse by now does not keep the others from returning."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "long", {**METADATA, "query": "demand" * 20}, START)
    registry.register("shop", "short", METADATA, START)
    await remember.write()
    restarted, again = idle_replica(store, clock, TriggerRules("http://p:9090", (), max_query_length=50))
    assert await again.restore() == 1
    assert [registration.trigger.name for registration in restarted] == ["short"]
    await store.close()


async def test_the_long_history_returns(tmp_path: Path) -> None:
    """Complete blocks are stored, and only once."""
    store = open_store(None, tmp_path)
    async with replica(steady, rising) as world:
        registration = world.call()
        await world.pass_time(3)
        remember = remembering(store, world.registry, world.refresh, world.clock)
        await remember.write()
        key = registration.trigger.history_key
        stored = await store.load_blocks([key], GRID.coarse_seconds, START - 86400)
        assert len(stored[key].starts) > 80
        assert set(stored[key].mean.tolist()) == {100.0}
        assert remember._history.due_by_block() == {}
    await store.close()


async def test_of_listed_triggers_only_the_long_history_is_stored(tmp_path: Path) -> None:
    """Who lists a trigger lists it after a restart, too. A ScaledObject that comes back has its weeks at once."""
    store = open_store(None, tmp_path)
    async with replica(steady, rising) as world:
        registration = world.registry.register_listed(ListedBy.ANNOTATION, "shop", "web", METADATA, world.clock.now())
        world.refresh.add(registration)
        await world.pass_time(3)
        remember = remembering(store, world.registry, world.refresh, world.clock)
        await remember.write()
        key = registration.trigger.key
        assert await store.watched(0) == []
        world.registry.unlist(key)
        world.registry.forget_silent(world.clock.now(), 3600.0)
        await remember.write()
        history_key = registration.trigger.history_key
        stored = await store.load_blocks([history_key], GRID.coarse_seconds, START - 86400)
        assert len(stored[history_key].starts) > 80
    await store.close()


async def test_what_nobody_calls_for_leaves_the_store(tmp_path: Path) -> None:
    """At the second sweep after it fell silent; a trigger that is called for stays."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "web", METADATA, START)
    registry.register("shop", "used", METADATA, START)
    await remember.write()
    for _ in range(3 * WRITES_PER_SWEEP):
        await clock.advance(300)
        registry.register("shop", "used", METADATA, clock.now())
        await remember.write()
    assert [record.name for record in await store.watched(0)] == ["used"]
    await store.close()


async def test_what_a_registry_forgot_stays_in_the_store(tmp_path: Path) -> None:
    """Another replica may be called for it: only the moments that are stored decide."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    registry, remember = idle_replica(store, clock, RULES)
    registry.register("shop", "web", METADATA, START)
    await remember.write()
    registry.forget_silent(START + 100, 60)
    for _ in range(3 * WRITES_PER_SWEEP):
        await remember.write()
    assert [record.name for record in await store.watched(0)] == ["web"]
    await store.close()

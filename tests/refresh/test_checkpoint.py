"""What survives a restart, with a real SQLite file between two lives of a replica."""

from pathlib import Path

from scaler.decide import Desk
from scaler.forecast.cache import MemoryCache
from scaler.refresh.checkpoint import Remember
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.store import Store
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import FixedSource, ManualClock, ScriptedForecaster
from scaler.trigger import TriggerRules
from tests.refresh.test_refresh import GRID, METADATA, START, Chosen, replica, rising, steady


def remembering(store: Store, desk: Desk, refresh: Refresh, clock: ManualClock) -> Remember:
    return Remember(desk, refresh.tracking, store, clock, Telemetry(), silence_seconds=3600)


def idle_replica(store: Store, clock: ManualClock, rules: TriggerRules) -> tuple[Desk, Remember]:
    """A replica that has just started: nothing runs yet."""
    desk = Desk(rules, 15.0)
    chosen = Chosen(ScriptedForecaster(rising, GRID))
    refresh = Refresh(desk, FixedSource(steady), chosen, MemoryCache(), store, clock, Telemetry(), RefreshSettings())
    return desk, remembering(store, desk, refresh, clock)


RULES = TriggerRules(default_server="http://p:9090")


async def test_watched_triggers_return(tmp_path: Path) -> None:
    """After a restart the same triggers are watched, with what KEDA sent and when it last called."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    desk, remember = idle_replica(store, clock, RULES)
    desk.watch("shop", "web", METADATA, START)
    await remember.write()
    await clock.advance(600)
    restarted, again = idle_replica(store, clock, RULES)
    assert await again.restore() == 1
    (watched,) = restarted
    assert watched.trigger.name == "web"
    assert watched.last_called == START
    await store.close()


async def test_what_fell_silent_does_not_return(tmp_path: Path) -> None:
    """A trigger that nobody has asked about for longer than the expiry is not watched again."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    desk, remember = idle_replica(store, clock, RULES)
    desk.watch("shop", "web", METADATA, START)
    await remember.write()
    await clock.advance(3601)
    _, again = idle_replica(store, clock, RULES)
    assert await again.restore() == 0
    await store.close()


async def test_what_no_longer_fits_is_left_out(tmp_path: Path) -> None:
    """A stored trigger that the rules refuse by now does not keep the others from returning."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    desk, remember = idle_replica(store, clock, RULES)
    desk.watch("shop", "long", {**METADATA, "query": "demand" * 20}, START)
    desk.watch("shop", "short", METADATA, START)
    await remember.write()
    restarted, again = idle_replica(store, clock, TriggerRules("http://p:9090", (), max_query_length=50))
    assert await again.restore() == 1
    assert [watched.trigger.name for watched in restarted] == ["short"]
    await store.close()


async def test_the_long_history_returns(tmp_path: Path) -> None:
    """Complete blocks are stored, and only once."""
    store = open_store(None, tmp_path)
    async with replica(steady, rising) as world:
        watched = world.call()
        await world.pass_time(3)
        remember = remembering(store, world.desk, world.refresh, world.clock)
        await remember.write()
        key = watched.trigger.key
        stored = await store.load_blocks([key], GRID.coarse_seconds, START - 86400)
        assert len(stored[key].starts) > 80
        assert set(stored[key].mean.tolist()) == {100.0}
        assert remember._due_by_block() == {}
    await store.close()


async def test_forgotten_triggers_leave_the_store(tmp_path: Path) -> None:
    """What the desk has forgotten does not return."""
    clock = ManualClock(START)
    store = open_store(None, tmp_path)
    desk, remember = idle_replica(store, clock, RULES)
    desk.watch("shop", "web", METADATA, START)
    await remember.write()
    desk.forget_silent(START + 100, 60)
    await remember.write()
    assert await store.watched(0) == []
    await store.close()

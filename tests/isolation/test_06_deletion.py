"""Point 6: no local view deletes shared state. Two replicas on a real PostgreSQL, and one on a real SQLite file."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
import structlog

from scaler.refresh.checkpoint import WRITES_PER_SWEEP, Checkpoint
from scaler.store import Store, WatchedRecord
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from tests.refresh.test_refresh import GRID, METADATA, START, World, replica, rising, steady
from tests.servers.postgres import PostgresServer

SILENCE = 3600.0
pytestmark = pytest.mark.server


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/headway.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_database()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.fresh_database()


def remembering(world: World, store: Store) -> Checkpoint:
    return Checkpoint(world.registry, world.refresh.tracking, store, world.clock, Telemetry(), SILENCE)


async def sweeping(checkpoint: Checkpoint, sweeps: int = 2) -> None:
    """Write until that many sweeps are over."""
    for _ in range(sweeps * WRITES_PER_SWEEP):
        await checkpoint.write()


async def names(store: Store) -> set[str]:
    return {record.name for record in await store.watched(0.0)}


async def pages(store: Store, key: str) -> int:
    found = await store.page_counts([key], GRID.coarse_seconds, 0.0, START + 10 * SILENCE)
    return found.get(key, 0)


async def test_a_replica_that_only_restored_deletes_nothing(url: str) -> None:
    """It is never called for the trigger, forgets it, and sweeps; the other one is called all the time."""
    clock = ManualClock(START)
    async with AsyncExitStack() as opened:
        used = await opened.enter_async_context(replica(steady, rising, clock=clock))
        stores = [open_store(url, None), open_store(url, None)]
        for store in stores:
            opened.push_async_callback(store.close)
        registration = used.call()
        await used.pass_time(3)
        first = remembering(used, stores[0])
        await first.write()
        key = registration.trigger.history_key
        before = set((await stores[0].load_blocks([key], GRID.coarse_seconds, 0.0))[key].starts.tolist())
        assert len(before) > 80

        idle = await opened.enter_async_context(replica(steady, rising, clock=clock))
        second = remembering(idle, stores[1])
        assert await second.restore() == 1
        for _ in range(8):
            await clock.advance(900)
            used.registry.register("shop", "web", registration.metadata, clock.now())
            idle.registry.forget_silent(clock.now(), 60.0)
            await first.write()
            await sweeping(second)
        assert len(idle.registry) == 0
        assert await names(stores[1]) == {"web"}
        after = set((await stores[0].load_blocks([key], GRID.coarse_seconds, 0.0))[key].starts.tolist())
        assert len(before & after) > 80 - 8 * 900 // GRID.coarse_seconds


async def test_what_fell_silent_while_nothing_ran_is_swept_later(url: str) -> None:
    """Rows that no replica knows go, with their history, when others were called for later; in any number."""
    store = open_store(url, None)
    silent = [
        WatchedRecord(f"shop/old-{n}/0f", "shop", f"old-{n}", METADATA, START, f"shop/old-{n}/h") for n in range(700)
    ]
    used = WatchedRecord("shop/web/0f", "shop", "web", METADATA, START + 1e5, "shop/web/h")
    await store.watch([*silent, used])
    async with replica(steady, rising, clock=ManualClock(START + 1e5)) as world:
        await sweeping(remembering(world, store), 1)
        assert len(await names(store)) == 701
        await sweeping(remembering(world, store), 2)
    assert await names(store) == {"web"}
    await store.close()


async def test_a_trigger_that_is_called_for_during_a_sweep_stays(database: str) -> None:
    """Another replica renews it in a transaction that ends while the sweep, which found it silent, waits for it."""
    store = open_store(database, None)
    await store.watch([WatchedRecord(f"shop/{name}/0f", "shop", name, METADATA, START) for name in ("web", "gone")])
    other = await asyncpg.connect(database)
    called = other.transaction()
    await called.start()
    now = START + 5 * SILENCE
    await other.execute("UPDATE watched SET last_called = $1 WHERE name = 'web'", now)
    sweep = asyncio.create_task(store.sweep(now - SILENCE, SILENCE, now))
    await asyncio.sleep(0.5)
    await called.commit()
    assert await sweep == 1
    assert await names(store) == {"web"}
    await other.close()
    await store.close()


async def test_history_that_another_trigger_needs_stays(url: str) -> None:
    """An edited threshold leaves a silent trigger behind, with the history of the one that took its place."""
    store = open_store(url, None)
    async with replica(steady, rising) as world:
        registration = world.call()
        await world.pass_time(3)
        await remembering(world, store).write()
    key = registration.trigger.history_key
    before = await pages(store, key)
    edited = WatchedRecord("shop/web/edited", "shop", "web", METADATA, START + 5 * SILENCE, key)
    await store.watch([edited])
    now = START + 5 * SILENCE
    assert await store.sweep(now - SILENCE, SILENCE, now) == 1
    assert await pages(store, key) == before > 0
    assert await store.sweep(now + SILENCE, SILENCE, now + 3 * SILENCE) == 1
    assert await pages(store, key) == 0
    await store.close()


@pytest.mark.parametrize("what", ["everything", "a page"])
async def test_pages_that_vanished_are_written_again(url: str, what: str) -> None:
    """With the next block, from the memory of the replica that refreshes the trigger."""
    store = open_store(url, None)
    async with replica(steady, rising) as world:
        registration = world.call()
        await world.pass_time(3)
        checkpoint = remembering(world, store)
        await checkpoint.write()
        key = registration.trigger.history_key
        before = await pages(store, key)
        blocks = (await store.load_blocks([key], GRID.coarse_seconds, 0.0))[key]
        await remove(url, "" if what == "everything" else " WHERE page = (SELECT max(page) - 1 FROM long_history)")
        assert await pages(store, key) < before
        with structlog.testing.capture_logs() as logs:
            for _ in range(2 * GRID.coarse_seconds // 60):
                await world.pass_time(1)
                await world.clock.advance(59)
                world.call()
                await checkpoint.write()
        again = (await store.load_blocks([key], GRID.coarse_seconds, 0.0))[key]
    assert set(blocks.starts[20:].tolist()) <= set(again.starts.tolist())
    assert [line["event"] for line in logs].count("history_lost") == 1
    await store.close()


async def remove(url: str, where: str) -> None:
    """What a person does."""
    from scaler.store.sql_store import SqlStore

    store = open_store(url, None)
    assert isinstance(store, SqlStore)
    async with store.database.engine.begin() as connection:
        await connection.exec_driver_sql(f"DELETE FROM long_history{where}")
    await store.close()


async def test_a_clock_that_jumps_ahead_deletes_nothing_that_is_called_for(url: str) -> None:
    """After the jump everything looks silent; by the next sweep, what is in use was called for again."""
    store = open_store(url, None)
    async with replica(steady, rising) as world:
        checkpoint = remembering(world, store)
        world.registry.register("shop", "web", METADATA, START)
        world.registry.register("shop", "gone", METADATA, START)
        await sweeping(checkpoint)
        await world.clock.advance(10 * 86_400)
        await sweeping(checkpoint, 1)
        assert await names(store) == {"web", "gone"}
        world.registry.register("shop", "web", METADATA, world.clock.now())
        await sweeping(checkpoint, 1)
        assert await names(store) == {"web"}
    await store.close()


async def test_a_machine_whose_clock_is_days_ahead_deletes_nothing(database: str) -> None:
    """The database's clock decides with it, and it writes no history of the future. Its triggers expire, too."""
    store = open_store(database, None)
    admin = await asyncpg.connect(database)
    now = float(await admin.fetchval("SELECT extract(epoch FROM now())"))
    await store.watch([WatchedRecord("shop/web/0f", "shop", "web", METADATA, now - 60)])
    ahead = now + 10 * 86_400
    assert await store.sweep(ahead - SILENCE, SILENCE, ahead) == 0
    assert await names(store) == {"web"}
    await store.watch([WatchedRecord("shop/future/0f", "shop", "future", METADATA, ahead)])
    assert await store.sweep(ahead - SILENCE, SILENCE, ahead) == 0
    assert await admin.fetchval("SELECT max(last_called) FROM watched") < now + 600
    await admin.close()
    await store.close()


async def test_other_installations_keep_what_a_short_expiry_would_remove(url: str) -> None:
    """Each removes its own by its own setting; what an abandoned one left goes after a month."""
    mine, other = open_store(url, None, "mine"), open_store(url, None, "other")
    await other.watch([WatchedRecord("shop/web/0f", "shop", "web", METADATA, START)])
    for silent in (7200.0, 20 * 86_400.0):
        now = START + silent
        assert await mine.sweep(now - 60, 60, now) == 0
        assert await names(other) == {"web"}
    now = START + 40 * 86_400
    assert await mine.sweep(now - 60, 60, now) == 1
    for store in (mine, other):
        await store.close()

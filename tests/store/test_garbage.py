"""Connections that nobody closed, because the pool that they belonged to is gone, are closed where it is safe."""

import asyncio
import gc
import threading
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from scaler.errors import StoreUnavailable
from scaler.settings.database_url import parse_database_url
from scaler.store.database import Postgres
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.process import until_async

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server():
    with postgres_server() as started:
        yield started


def database(server: PostgresServer) -> Postgres:
    place = parse_database_url(server.url())
    assert not isinstance(place, Path)
    return Postgres(place)


async def test_a_connection_of_an_old_pool_is_closed_by_its_loop(server: PostgresServer, monkeypatch):
    """One operation fails, which gives up the pool; the connection of another one returns to it and is garbage. Another
    thread finds it."""
    closed_by: list[int] = []
    terminate = asyncpg.Connection.terminate

    def noted(connection: asyncpg.Connection) -> None:
        closed_by.append(threading.get_ident())
        terminate(connection)

    monkeypatch.setattr(asyncpg.Connection, "terminate", noted)
    store = database(server)
    begun, ends = asyncio.Event(), asyncio.Event()

    async def waits(connection) -> None:
        await connection.execute(text("SELECT 1"))
        begun.set()
        await ends.wait()

    async def fails(connection) -> None:
        await connection.execute(text("SELECT * FROM nowhere"))

    gc.disable()
    try:
        other = asyncio.create_task(store.run(waits))
        await begun.wait()
        with pytest.raises(StoreUnavailable, match="nowhere"):
            await store.run(fails)
        ends.set()
        await other
        del other
        await asyncio.to_thread(gc.collect)
        await until_async(lambda: closed_by)
    finally:
        gc.enable()
    assert set(closed_by) == {threading.get_ident()}
    await store.close()


async def test_a_loop_that_has_ended_is_no_reason_to_fail(server: PostgresServer, recwarn):
    """Garbage of a loop that is closed is left to the operating system."""

    def left_over() -> None:
        async def use() -> None:
            await database(server).run(_nothing)

        asyncio.run(use())

    await asyncio.to_thread(left_over)
    gc.collect()
    assert not [one for one in recwarn if "PytestUnraisable" in one.category.__name__]


async def _nothing(connection) -> None:
    await connection.execute(text("SELECT 1"))

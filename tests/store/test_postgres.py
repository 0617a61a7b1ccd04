"""PostgreSQL when things go wrong: away, silent, back again, not ours to change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg
import pytest

from scaler.errors import StoreRefused, StoreUnavailable
from scaler.settings.database_url import parse_postgres_url
from scaler.store import WatchedRecord
from scaler.store.database import Postgres
from scaler.store.sql_store import SqlStore
from tests.servers.postgres import PostgresServer, postgres_server

T = TypeVar("T")
APP = WatchedRecord("shop/app/0f", "shop", "app", {"query": "sum(x)"}, 100.0)
pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def started() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def server(started: PostgresServer) -> Iterator[PostgresServer]:
    yield started
    started.resume()
    if started.process is None:
        started.start()


@asynccontextmanager
async def store_at(url: str, timeout_seconds: float = 5.0) -> AsyncIterator[SqlStore]:
    store = SqlStore(Postgres(parse_postgres_url(url), timeout_seconds), timeout_seconds)
    try:
        yield store
    finally:
        await store.close()


async def works(store: SqlStore) -> None:
    await store.watch([APP])
    assert await store.watched(0.0) == [APP]


async def test_down_at_the_start_then_up(server: PostgresServer) -> None:
    """Without a server an operation says so; when it appears, the same store makes its tables and works."""
    url = server.fresh_database()
    server.stop()
    async with store_at(url) as store:
        with pytest.raises(StoreUnavailable, match="PostgreSQL at /test_"):
            await store.watched(0.0)
        server.start()
        await works(store)


async def test_a_restart_is_survived(server: PostgresServer) -> None:
    """A server that restarts fails what is asked meanwhile, and nothing of what is asked after."""
    async with store_at(server.fresh_database()) as store:
        await works(store)
        server.stop()
        with pytest.raises(StoreUnavailable):
            await store.watched(0.0)
        server.start()
        assert await store.watched(0.0) == [APP]
        await works(store)


async def test_a_quick_restart_is_not_noticed(server: PostgresServer) -> None:
    """Connections that broke while they were idle are replaced before use."""
    async with store_at(server.fresh_database()) as store:
        await works(store)
        server.stop()
        server.start()
        assert await store.watched(0.0) == [APP]


async def test_a_paused_server_is_given_up_on_and_used_again(server: PostgresServer) -> None:
    """A server that holds its connections but answers nothing is unavailable in bounded time, on old and new ones."""
    url = server.fresh_database()
    async with store_at(url, 0.3) as used, store_at(url, 0.3) as fresh:
        await soon(lambda: works(used))
        server.pause()
        for store in (used, fresh):
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await asyncio.wait_for(store.watched(0.0), 15)
        server.resume()
        for store in (used, fresh):
            assert await soon(lambda store=store: store.watched(0.0)) == [APP]


async def soon(asked: Callable[[], Awaitable[T]]) -> T:
    """Its answer, within ten seconds: a busy machine may take longer than the store's own timeout once or twice."""
    async with asyncio.timeout(10):
        while True:
            with suppress(StoreUnavailable):
                return await asked()


async def test_a_database_that_does_not_exist_is_unavailable(server: PostgresServer) -> None:
    """The server's own words reach the operator, without the password."""
    url = f"{server.url('nowhere')}&password=s3cret"
    async with store_at(url) as store:
        with pytest.raises(
            StoreUnavailable, match='PostgreSQL at /nowhere: database "nowhere" does not exist'
        ) as caught:
            await store.watched(0.0)
    assert "s3cret" not in f"{caught.value}"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("sslmode=verify-full&sslrootcert=/not/there.pem", "No such file or directory"),
        ("sslmode=require&sslcert=/dev/null", "TLS failed"),
        ("sslmode=verify-ca", "root certificate file .* does not exist"),
    ],
)
async def test_a_file_that_cannot_be_used_is_reported(option: str, reason: str) -> None:
    """A missing or unusable certificate of the URL's options is named before any connection is made."""
    async with store_at(f"postgresql://127.0.0.1:1/headway?{option}") as store:
        with pytest.raises(StoreUnavailable, match=f"PostgreSQL at 127.0.0.1:1/headway: .*{reason}"):
            await store.watched(0.0)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://127.0.0.1:1/headway", "Connection refused"),
        ("postgresql://nowhere.invalid/headway", "the name of the host cannot be resolved"),
        (f"postgresql://{'x' * 300}/headway", "encoding with 'idna' codec failed"),
    ],
)
async def test_an_unreachable_server_is_reported_in_plain_words(url: str, reason: str) -> None:
    """The system's reason, without the text of the library that met it."""
    async with store_at(url) as store:
        with pytest.raises(StoreUnavailable, match=f": {reason}"):
            await store.watched(0.0)


async def test_a_server_without_the_wanted_role_is_reported(server: PostgresServer) -> None:
    """A server that can only be read is refused by an option of the URL, and reported as every other failure."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    await admin.execute("ALTER ROLE headway SET default_transaction_read_only = on")
    try:
        async with store_at(f"{url}&target_session_attrs=read-write") as store:
            with pytest.raises(StoreUnavailable, match="None of the hosts match"):
                await store.watched(0.0)
    finally:
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute("ALTER ROLE headway RESET default_transaction_read_only")
        await admin.close()


async def test_a_server_that_only_reads_is_left_for_another(server: PostgresServer) -> None:
    """After a failover the name leads to another server: a connection that refuses to write is not used again."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    async with store_at(url) as store:
        await works(store)
    await admin.execute("ALTER ROLE headway SET default_transaction_read_only = on")
    async with store_at(url) as store:
        with pytest.raises(StoreUnavailable, match=r"the URL must lead to the primary"):
            await store.watch([APP])
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute("ALTER ROLE headway RESET default_transaction_read_only")
        await works(store)
    await admin.close()


async def test_options_reach_the_server(server: PostgresServer) -> None:
    """`application_name` and `search_path` of the URL hold for the session; the name is headway by default."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE SCHEMA apart")
    async with store_at(f"{url}&search_path=apart&application_name=other") as store, store_at(url) as plain:
        await works(store)
        assert await plain.watched(0.0) == []
        names = {row["application_name"] for row in await admin.fetch("SELECT application_name FROM pg_stat_activity")}
    assert {"other", "headway"} <= names
    assert await admin.fetchval("SELECT count(*) FROM apart.watched") == 1
    await admin.close()


async def test_foreign_text_is_cut_and_has_no_secret(server: PostgresServer) -> None:
    """What the server says is quoted in one line of bounded length, without what looks like a password."""
    url = server.fresh_database()
    async with store_at(url) as store:
        await works(store)
        admin = await asyncpg.connect(url)
        await admin.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN
              RAISE EXCEPTION E'no: password=s3cret at postgresql://u:s3cret@h/d \u0007 %', repeat('x', 999);
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON watched EXECUTE FUNCTION refuse()
            """
        )
        await admin.close()
        with pytest.raises(StoreUnavailable, match="no: password=") as caught:
            await store.watch([APP])
    text = str(caught.value)
    assert "s3cret" not in text
    assert text.isprintable()
    assert len(text) < 300


async def test_a_user_who_may_not_make_tables_is_reported(server: PostgresServer) -> None:
    """Missing rights are reported in the server's words; once the tables are there, no such right is needed."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    await admin.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    plain = url.replace("headway@", "plain@")
    async with store_at(plain) as store, store_at(url) as owner:
        with pytest.raises(StoreRefused, match=r"permission denied.*grant the user CREATE on the schema"):
            await store.watched(0.0)
        await owner.watched(0.0)
        with pytest.raises(StoreRefused, match=r"permission denied for table.*and all rights on its tables"):
            await store.watched(0.0)
        await admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
        await works(store)
    await admin.execute("DROP OWNED BY plain; DROP ROLE plain")
    await admin.close()


async def test_a_user_without_a_schema_is_reported(server: PostgresServer) -> None:
    """Where no schema of the search path is there."""
    async with store_at(f"{server.fresh_database()}&search_path=nowhere") as store:
        with pytest.raises(StoreRefused, match="grant USAGE and CREATE, or set search_path"):
            await store.watched(0.0)


async def test_a_schema_of_a_later_version_is_left_alone(server: PostgresServer) -> None:
    """A schema this version does not know is reported and not touched; the version that knows it is not disturbed."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    async with store_at(url) as running, store_at(url) as old:
        await works(running)
        await admin.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreUnavailable, match=r"schema that this version does not know.*9999"):
            await old.watched(0.0)
        await works(running)
    await admin.close()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("ALTER TABLE watched RENAME COLUMN last_called TO called", "undo the change, or drop the table"),
        ("ALTER TABLE watched ALTER COLUMN last_called TYPE text", "undo the change, or drop the table"),
        ("ALTER TABLE watched ALTER COLUMN key TYPE varchar(3)", "undo the change, or drop the table"),
        ("ALTER TABLE watched DROP CONSTRAINT watched_pkey", "undo the change, or drop the table"),
        ("ALTER TABLE watched ADD COLUMN more integer NOT NULL", "undo the change, or drop the table"),
        ("UPDATE alembic_version SET version_num = '0001'", "restore all of them from one backup"),
    ],
)
async def test_what_was_changed_in_the_schema_is_named(server: PostgresServer, change: str, hint: str) -> None:
    """A refusal, with what to do: waiting does not help."""
    url = server.fresh_database()
    admin = await asyncpg.connect(url)
    async with store_at(url) as store:
        await store.watched(0.0)
    await admin.execute(change)
    await admin.close()
    async with store_at(url) as store:
        with pytest.raises(StoreRefused, match=hint):
            await store.watch([APP])


@pytest.mark.parametrize("change", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
async def test_a_revision_that_is_missing_is_noted_again(server: PostgresServer, change: str) -> None:
    """The tables are those of this version: replicas that start at once use them as they are."""
    url = server.fresh_database()
    async with store_at(url) as store:
        await works(store)
    admin = await asyncpg.connect(url)
    await admin.execute(change)
    async with store_at(url) as one, store_at(url) as two:
        assert await asyncio.gather(one.watched(0.0), two.watched(0.0)) == [[APP], [APP]]
    assert await admin.fetchval("SELECT count(*) FROM alembic_version") == 1
    await admin.close()


async def test_a_replica_that_holds_the_lock_too_long_is_given_up_on(server: PostgresServer) -> None:
    """A replica stuck while it changes the schema keeps the others waiting in bounded time only."""
    url = server.fresh_database()
    stuck = await asyncpg.connect(url)
    await stuck.execute("SELECT pg_advisory_lock(1751474532)")
    async with store_at(url, 0.5) as store:
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await asyncio.wait_for(store.watched(0.0), 15)
        await stuck.close()
    async with store_at(url) as store:
        await works(store)

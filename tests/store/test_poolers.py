"""A PgBouncer between Headway and PostgreSQL: what works is in the conformance suite, here is what cannot work."""

from collections.abc import Iterator

import asyncpg
import pytest

from scaler.errors import StoreUnavailable
from scaler.store.sql_store import open_store
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import PostgresServer, postgres_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as started:
        yield started


async def test_statement_mode_is_refused_in_words(server: PostgresServer) -> None:
    """A pooler without transactions cannot serve; the error names the modes that do."""
    with pgbouncer(server, "statement") as pooler:
        store = open_store(pooler.url(server.fresh_database()), None)
        with pytest.raises(StoreUnavailable, match=r"statement mode.*use transaction or session mode"):
            await store.watched(0.0)
        await store.close()


@pytest.mark.parametrize("option", ["search_path=apart", "options=-csearch_path%3Dapart"])
async def test_an_option_that_the_pooler_refuses_is_named(server: PostgresServer, option: str) -> None:
    """Poolers let few settings through; which one is refused and what to do is reported."""
    with pgbouncer(server, "transaction") as pooler:
        store = open_store(f"{pooler.url(server.fresh_database())}?{option}", None)
        with pytest.raises(StoreUnavailable, match=f"{option.partition('=')[0]}.*ignore_startup_parameters"):
            await store.watched(0.0)
        await store.close()


@pytest.mark.parametrize("option", ["pgbouncer=true", "statement_cache_size=0", "prepared_statement_cache_size=0"])
async def test_options_of_other_programs_for_poolers_change_nothing(server: PostgresServer, option: str) -> None:
    """A URL that was written for another client of the same pooler works."""
    with pgbouncer(server, "transaction") as pooler:
        store = open_store(f"{pooler.url(server.fresh_database())}?{option}", None)
        assert await store.watched(0.0) == []
        await store.close()


async def test_nothing_is_left_behind_in_a_connection(server: PostgresServer) -> None:
    """The connection that a pooler passes on to others has no prepared statements, locks or settings of ours."""
    with pgbouncer(server, "transaction", ["default_pool_size = 1"]) as pooler:
        url = pooler.url(server.fresh_database())
        store = open_store(url, None)
        await store.watched(0.0)
        other = await asyncpg.connect(url, statement_cache_size=0)
        try:
            for left in ("pg_prepared_statements", "pg_locks WHERE locktype = 'advisory'"):
                assert await other.fetch(f"SELECT * FROM {left}") == []
            changed = await other.fetch(
                "SELECT name FROM pg_settings WHERE source = 'session' AND setting <> reset_val"
            )
            assert {row["name"] for row in changed} <= {"application_name", "client_encoding"}
        finally:
            await other.close()
            await store.close()

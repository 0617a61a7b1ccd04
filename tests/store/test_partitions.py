"""Partitions by week on a real PostgreSQL: made ahead, by several at once, with what came too early, by a role that
may not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncpg
import pytest
from structlog.testing import capture_logs

from scaler.errors import StoreUnavailable
from scaler.settings.database_url import parse_postgres_url
from scaler.store.database import Postgres
from scaler.store.partitions import Partitions, Week, week_named, week_of
from scaler.store.schema import metadata, plans
from scaler.store.stored_plans import KEPT_DAYS, SqlPlans
from tests.conformance.test_stored_plans import DAY, NOW, asked, planned
from tests.servers.postgres import PostgresServer, postgres_server

WEEK = 7 * DAY


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as started:
        yield started


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.fresh_database()


@pytest.fixture
async def kept(url: str) -> AsyncIterator[SqlPlans]:
    store = plans_at(url)
    yield store
    await store.close()


def plans_at(url: str) -> SqlPlans:
    return SqlPlans(Postgres(parse_postgres_url(url)))


async def rows(url: str) -> dict[str, int]:
    """How many rows each partition has."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(
            "SELECT c.relname, (SELECT count(*) FROM plans p WHERE p.tableoid = c.oid) AS count FROM pg_inherits i "
            "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'plans'::regclass ORDER BY 1"
        )
    finally:
        await connection.close()
    return {row["relname"]: row["count"] for row in found}


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def test_a_week_begins_on_monday() -> None:
    """Of UTC; its name says which one, and leads back to it."""
    monday = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    for moment in (monday, monday + 3 * DAY, monday + WEEK - 1):
        assert week_of(moment) == Week(round(monday / 60))
    assert week_of(monday - 1).last == round(monday / 60)
    assert week_named("plans", f"plans_{week_of(monday).suffix}") == week_of(monday)
    assert week_of(monday).suffix == "20261123"


@pytest.mark.parametrize("name", ["plans_default", "plans_20261124", "plans_20269999", "plans_p1", "plan_20261123"])
def test_other_partitions_are_no_week(name: str) -> None:
    assert week_named("plans", name) is None


@pytest.mark.server
async def test_this_week_and_the_next_are_there_before_they_are_needed(kept: SqlPlans, url: str) -> None:
    """Nothing lies in the default partition, also when the next week has begun."""
    await kept.save([planned()])
    first, second, third = (f"plans_{week_of(NOW + n * WEEK).suffix}" for n in range(3))
    assert await rows(url) == {first: 1, second: 0, "plans_default": 0}
    await kept.save([planned(NOW + WEEK)])
    assert await rows(url) == {first: 1, second: 1, third: 0, "plans_default": 0}


@pytest.mark.server
async def test_what_lies_in_the_default_partition_moves_along(kept: SqlPlans, url: str) -> None:
    """A clock that is weeks ahead fails no insert. When the week comes, its partition takes what is there."""
    await kept.save([planned()])
    await kept.save([planned(NOW + 5 * WEEK), planned(NOW + 9 * WEEK)])
    await kept.save([planned(NOW + 60)])
    found = await rows(url)
    assert found[f"plans_{week_of(NOW).suffix}"] == 2
    early = planned(NOW + 6.9 * WEEK)
    await run(url, f"UPDATE plans SET minute = {early.minute}, at = {early.at} WHERE at = {NOW + 60}")
    await plans_at(url).save([planned(NOW + 7 * WEEK, trigger="1e")])
    found = await rows(url)
    assert (found[f"plans_{week_of(early.at).suffix}"], found["plans_default"]) == (2, 1)
    assert early in await kept.load(asked())


@pytest.mark.server
async def test_two_replicas_make_the_same_partition_at_once(url: str) -> None:
    """Each of them ends with it, and nothing is logged."""
    stores = [plans_at(url) for _ in range(4)]
    await stores[0].load(asked())
    with capture_logs() as lines:
        await asyncio.gather(*(store.save([planned(trigger=f"0{n}")]) for n, store in enumerate(stores)))
    assert lines == []
    assert await rows(url) == {
        f"plans_{week_of(NOW).suffix}": 4, f"plans_{week_of(NOW + WEEK).suffix}": 0, "plans_default": 0
    }  # fmt: skip
    for store in stores:
        await store.close()


@pytest.mark.server
async def test_old_weeks_are_dropped_whole(kept: SqlPlans, url: str) -> None:
    """With all their rows at once; what is left of a week that is not over stays with it."""
    for week in (5, 4, 3, 2, 1, 0):
        await kept.save([planned(NOW - week * WEEK)])
    await kept.sweep(NOW, NOW)
    left = [week_named("plans", name) for name in await rows(url) if name != "plans_default"]
    assert all(one is not None and one.last > NOW / 60 - KEPT_DAYS * 1440 for one in left)
    assert [round((NOW - one.at) / WEEK) for one in await kept.load(asked())] == [0, 1]


@pytest.mark.server
async def test_a_sweep_does_not_wait_long_for_a_reader(kept: SqlPlans, url: str) -> None:
    """It gives up within its time, removes nothing row by row instead, and the next sweep does it."""
    await kept.save([planned(NOW - 5 * WEEK)])
    await kept.save([planned()])
    reader = await asyncpg.connect(url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT * FROM plans")
    with capture_logs() as lines, pytest.raises(StoreUnavailable, match="lock"):
        await kept.sweep(NOW, NOW)
    assert lines == []
    await transaction.rollback()
    await reader.close()
    await kept.sweep(NOW, NOW)
    assert [one.at for one in await kept.load(asked())] == [NOW]
    assert f"plans_{week_of(NOW - 5 * WEEK).suffix}" not in await rows(url)


@pytest.mark.server
async def test_a_role_that_may_not_make_tables(url: str) -> None:
    """One line in the log; nothing is lost, and what is old is deleted from the default partition."""
    admin = plans_at(url)
    await admin.load(asked())
    await admin.close()
    role = "writer"
    await run(
        url,
        f"CREATE ROLE {role} LOGIN",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    )
    store = plans_at(url.replace("headway@", f"{role}@"))
    with capture_logs() as lines:
        for n in range(3):
            await store.save([planned(NOW + n * WEEK), planned(NOW - 30 * DAY + n * 60)])
        await store.sweep(NOW, NOW)
        await store.save([planned(NOW + 2 * WEEK)])  # once an hour, all of it again
        await store.sweep(NOW, NOW)
    assert [line["event"] for line in lines] == ["partitions_refused"]
    assert await rows(url) == {"plans_default": 3}
    assert [one.at for one in await store.load(asked())] == [NOW + n * WEEK for n in (2, 1, 0)]
    await store.close()


@pytest.mark.server
async def test_partitions_that_somebody_else_made_are_used(kept: SqlPlans, url: str) -> None:
    """Ours would overlap with it: the log says so once, and rows go where they belong."""
    await kept.load(asked())
    week = week_of(NOW)
    await run(url, f"CREATE TABLE theirs PARTITION OF plans FOR VALUES FROM ({week.first - 10}) TO ({week.last + 10})")
    with capture_logs() as lines:
        await kept.save([planned()])
        await kept.save([planned(NOW + 60)])
    assert [line["event"] for line in lines] == ["partitions_refused"]
    assert await rows(url) == {"theirs": 2, "plans_default": 0}
    await kept.sweep(NOW + 90 * DAY, NOW + 90 * DAY)
    assert (await rows(url))["theirs"] == 0


@pytest.mark.server
async def test_a_replica_of_the_version_before_goes_on(url: str, server: PostgresServer) -> None:
    """It has connected before the upgrade: it knows nothing of the new table, and writes its own."""
    database = Postgres(parse_postgres_url(server.fresh_database()))
    async with database.engine.begin() as connection:
        old = [table for table in metadata.sorted_tables if table is not plans]
        await connection.run_sync(lambda one: metadata.create_all(one, tables=old))
    partitions = Partitions(database, plans)
    async with database.engine.begin() as before, database.engine.begin() as after:
        await after.run_sync(lambda one: metadata.create_all(one, tables=[plans]))
        assert await partitions.add(after, week_of(NOW))
        await before.execute(metadata.tables["set_apart"].insert(), [{"hash": "0f", "since": 1.0}])
    await database.close()

"""Point 4: no stored row can keep a replica away, with a real SQLite file and a real PostgreSQL.

tests/isolation/test_04_shared_records.py does the same for what replicas share in Redis.
"""

import asyncio
import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaler.store import WatchedRecord, quarantine
from scaler.store.database import Database, Sqlite
from scaler.store.sql_store import SqlStore, open_store
from tests.isolation.world import Replica, bystander, replica
from tests.servers.postgres import PostgresServer
from tests.servers.prometheus import PrometheusServer

GOOD = WatchedRecord("bystander/orders/0f", "bystander", "orders", {"query": "vector(1000)", "threshold": "10"}, 0.0)
METADATA = json.dumps(dict(GOOD.metadata))
COLUMNS = "key, namespace, name, metadata, last_called"
pytestmark = pytest.mark.server


def bad_rows(now: float) -> list[tuple[Any, ...]]:
    """Rows that no version has written, for a database that does not check types."""
    return [
        ("shop/surrogate/0f", "shop", "surrogate", '{"query": "\\ud800", "threshold": "1"}', now),
        ("shop/deep/0f", "shop", "deep", "[" * 200_000, now),
        ("shop/number/0f", "shop", "number", 5, now),
        ("shop/list/0f", "shop", "list", "[1]", now),
        ("shop/bytes/0f", "shop", "bytes", b"\xff\xfe{", now),
        ("shop/huge/0f", "shop", "huge", json.dumps({"query": "x" * 50_000_000, "threshold": "1"}), now),
        ("shop/text/0f", "shop", "text", METADATA, "yesterday"),
        ("shop/infinite/0f", "shop", "infinite", METADATA, float("inf")),
        ("another/key/0f", "shop", "key", METADATA, now),
        (b"\xff\x00", "shop", "blob", METADATA, now),
        ("k" * 5000, "shop", "long", METADATA, now),
    ]


@pytest.fixture
def damaged_file(tmp_path: Path) -> tuple[Path, int]:
    """A file with a good row among bad ones, also in the long history; and how many are bad."""
    path = tmp_path / "headway.db"
    asyncio.run(_write(f"sqlite:///{path}"))
    now = time.time()
    rows = bad_rows(now)
    with sqlite3.connect(path) as raw:
        raw.executemany(f"INSERT INTO watched ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)
        raw.execute(
            f"INSERT INTO watched ({COLUMNS}) VALUES ('shop/utf/0f', 'shop', CAST(x'ff61' AS TEXT), ?, ?)",
            (METADATA, now),
        )
    raw.close()
    return path, len(rows) + 1


async def _write(url: str) -> None:
    store = open_store(url, None)
    await store.watch([WatchedRecord(GOOD.key, GOOD.namespace, GOOD.name, GOOD.metadata, time.time())])
    await store.close()


async def test_bad_rows_are_moved_and_good_ones_read(damaged_file: tuple[Path, int]) -> None:
    """Each is in quarantine with its reason; the log names the first, and nothing of 50 MB is kept."""
    path, bad = damaged_file
    store = SqlStore(Sqlite(path))
    with structlog.testing.capture_logs() as logs:
        found = await store.watched(0.0)
        again = await store.watched(0.0)
    await store.close()
    assert [record.key for record in found] == [record.key for record in again] == [GOOD.key]
    (line,) = [line for line in logs if line["event"] == "store_rows_quarantined"]
    assert (line["log_level"], line["table"], line["count"]) == ("error", "watched", bad)
    with sqlite3.connect(path) as raw:
        kept = raw.execute("SELECT key, reason, content, since FROM quarantined").fetchall()
        assert raw.execute("SELECT count(*) FROM watched").fetchone() == (1,)
    raw.close()
    assert len(kept) == bad
    assert all(reason and len(content) <= 2000 and len(key) <= 200 for key, reason, content, _ in kept)
    assert {reason for _, reason, _, _ in kept} >= {
        "metadata is no JSON",
        "the key belongs to another namespace or name",
    }


def test_a_replica_with_bad_rows_becomes_ready(
    damaged_file: tuple[Path, int], metrics: PrometheusServer, tmp_path: Path
) -> None:
    """At once, with the bystander's trigger restored."""
    path, _ = damaged_file
    with replica(tmp_path, metrics.url, "--database", f"sqlite:///{path}") as one:
        assert "orders" in [each["name"] for each in ready(one)]
        assert one.until_value(bystander(), 1000).number == 1000


def test_a_replica_with_bad_rows_in_postgresql_becomes_ready(
    postgres: PostgresServer, metrics: PrometheusServer, tmp_path: Path
) -> None:
    """PostgreSQL checks the types of columns, and neither the content of JSON nor that moments are finite."""
    url = postgres.fresh_database()
    asyncio.run(_write(url))

    async def damage() -> None:
        admin = await asyncpg.connect(url)
        now = time.time()
        for name, metadata, last_called in (
            ("surrogate", '{"query": "\\ud800", "threshold": "1"}', now),
            ("deep", "[" * 5000 + "]" * 5000, now),
            ("list", "[1]", now),
            ("huge", json.dumps({"query": "x" * 50_000_000, "threshold": "1"}), now),
            ("nan", METADATA, float("nan")),
            ("infinite", METADATA, float("inf")),
            ("future", METADATA, now + 1e9),
        ):
            values = (f"shop/{name}/0f", "shop", name, metadata, last_called)
            await admin.execute(f"INSERT INTO watched ({COLUMNS}) VALUES ($1, $2, $3, $4, $5)", *values)
        await admin.close()

    asyncio.run(damage())
    with replica(tmp_path, metrics.url, "--database", url) as one:
        assert {each["name"] for each in ready(one)} == {"orders", "future"}
        assert one.until_value(bystander(), 1000).number == 1000


async def test_texts_that_the_driver_cannot_decode_are_moved(postgres: PostgresServer) -> None:
    """In a database that takes any bytes; the rows beside them are read."""
    url = await _ascii_database(postgres)
    store = open_store(url, None)
    records = [WatchedRecord(f"shop/app-{n}/0f", "shop", f"app-{n}", GOOD.metadata, 100.0) for n in range(600)]
    await store.watch(records)
    admin = await asyncpg.connect(url)
    await admin.execute("UPDATE watched SET name = E'\\xff\\xfe' WHERE key IN ('shop/app-7/0f', 'shop/app-500/0f')")
    await admin.close()
    assert len(await store.watched(0.0)) == 598
    assert len(await store.watched(0.0)) == 598
    await store.close()
    admin = await asyncpg.connect(url)
    contents = [row["content"] for row in await admin.fetch("SELECT content FROM quarantined")]
    assert await admin.fetchval("SELECT count(*) FROM watched") == 598
    await admin.close()
    assert len(contents) == 2
    assert all("name=fffe" in content for content in contents)


cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
keys = st.text(max_size=10) | st.binary(max_size=10) | st.integers(0, 99)
rows = st.lists(st.tuples(keys, cells, cells, cells, cells, cells, cells), max_size=8)
pages = st.lists(st.tuples(st.sampled_from(["a", "b"]), cells, cells, cells | st.binary(min_size=768, max_size=768)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(rows, pages)
def test_any_value_in_any_column_is_read_over(
    tmp_path_factory: pytest.TempPathFactory, watched: list[tuple[Any, ...]], history: list[tuple[Any, ...]]
) -> None:
    """Nothing raises, the good row is read, and of the others only what is sound."""
    path = tmp_path_factory.mktemp("rows") / "headway.db"
    asyncio.run(_write(f"sqlite:///{path}"))
    with sqlite3.connect(path) as raw:
        every = f"{COLUMNS}, installation, history_key"
        raw.executemany(f"INSERT OR IGNORE INTO watched ({every}) VALUES (?, ?, ?, ?, ?, ?, ?)", watched)
        raw.executemany("INSERT OR IGNORE INTO long_history VALUES (?, ?, ?, ?)", history)
    raw.close()

    async def use() -> list[WatchedRecord]:
        store = open_store(f"sqlite:///{path}", None)
        found = await store.watched(0.0)
        for seconds in (60, 900):
            await store.load_blocks(["a", "b"], seconds, 0.0)
            await store.page_counts(["a", "b"], seconds, 0.0, 2e9)
        await store.sweep(100.0, 3600.0, time.time())
        await store.close()
        return found

    found = asyncio.run(use())
    assert GOOD.key in [record.key for record in found]


STUCK = {
    "a lock on the table": "LOCK TABLE watched IN ACCESS EXCLUSIVE MODE",
    "a lock of the schema": "SELECT pg_advisory_xact_lock(1751474532)",
}


@pytest.mark.parametrize("statement", STUCK.values(), ids=STUCK.keys())
def test_readiness_does_not_wait_for_a_stuck_database(
    statement: str, postgres: PostgresServer, metrics: PrometheusServer, tmp_path: Path
) -> None:
    """It serves after a bounded time, and restores its triggers when the database answers again."""
    url = postgres.fresh_database()
    with asyncio.Runner() as runner:
        if "TABLE" in statement:
            runner.run(_write(url))
        holder = runner.run(asyncpg.connect(url))
        transaction = holder.transaction()
        runner.run(transaction.start())
        runner.run(holder.execute(statement))
        with replica(tmp_path, metrics.url, "--database", url) as one:
            ready(one)
            assert one.until_value(bystander(), 1000).number == 1000
            runner.run(transaction.rollback())
            runner.run(holder.close())


def ready(one: Replica, seconds: float = 40) -> list[dict[str, Any]]:
    """The watched triggers of a replica, as soon as it says that it is ready."""
    address = f"http://{one.process.http_address}"
    deadline = time.monotonic() + seconds
    while (answer := httpx.get(f"{address}/readyz", timeout=20)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    found: list[dict[str, Any]] = httpx.get(f"{address}/api/v1/plans", timeout=20).json()["plans"]
    return found


@pytest.fixture(params=["postgresql", "sqlite"])
async def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/headway.db"
    return await _ascii_database(request.getfixturevalue("postgres"))


BREAKS = {
    "no trigger": {"sqlite": "metadata = '[1]'", "postgresql": "metadata = '[1]'"},
    "undecodable": {"sqlite": "history_key = CAST(x'ff' AS TEXT)", "postgresql": "history_key = E'\\xff'"},
    "nobody's": {"sqlite": "name = '', namespace = ''", "postgresql": "name = '', namespace = ''"},
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS.keys())
async def test_a_row_that_another_replica_writes_meanwhile_is_not_lost(
    shared_url: str, broken: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One replica reads a bad row; before it moves it, another one is called for the trigger and acknowledges it."""
    reading, writing = SqlStore(_database(shared_url)), SqlStore(_database(shared_url))
    good = replace(GOOD, last_called=200.0)
    await writing.watch([good])
    async with writing.database.engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE watched SET {broken[writing.database.dialect]}")
    run = reading.database.run

    async def after_another_wrote(work: Any, *args: Any) -> Any:
        if work is quarantine.move:
            await writing.watch([good])
        return await run(work, *args)

    monkeypatch.setattr(reading.database, "run", after_another_wrote)
    with structlog.testing.capture_logs() as logs:
        assert await reading.watched(0.0) == []
    assert await reading.watched(0.0) == [good]
    assert [line["event"] for line in logs] == []
    for store in (reading, writing):
        await store.close()


def _database(url: str) -> Database:
    store = open_store(url, None)
    assert isinstance(store, SqlStore)
    return store.database


async def _ascii_database(postgres: PostgresServer) -> str:
    """A new database with the encoding SQL_ASCII, which takes any bytes."""
    name = f"ascii_{time.time_ns()}"
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    await admin.close()
    return postgres.url(name)

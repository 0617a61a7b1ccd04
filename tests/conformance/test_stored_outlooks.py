"""The same checks of stored outlooks over every store that remembers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import insert

from scaler.errors import StoreUnavailable
from scaler.store import Store
from scaler.store.outlooks import KEPT_SECONDS, OutlookRow
from scaler.store.schema import outlooks
from scaler.store.sql_store import SqlStore
from scaler.store.stored_outlooks import MOST_BYTES, SqlOutlooks
from scaler.store.sweeping import DAY
from tests.conformance.conftest import Opener, Place

NOW = 1_700_006_400.0
ONE = OutlookRow(NOW, NOW - 5, b"one")


def table_of(store: Store, installation: str = "") -> SqlOutlooks:
    assert isinstance(store, SqlStore)
    return SqlOutlooks(store.database, installation)


@pytest.fixture
def table(store: Store) -> SqlOutlooks:
    return table_of(store)


async def loaded(table: SqlOutlooks, now: float = NOW, most: int = 10_000) -> Mapping[str, OutlookRow]:
    return {key: row async for page in table.load(most, now) for key, row in page}


async def test_they_come_back_after_a_restart(reopen: Opener) -> None:
    """All of them, or as many as are wanted."""
    rows = {f"shop/app-{n:03}/0f": OutlookRow(NOW + n / 10, NOW - n, bytes([n % 256]) * 4000) for n in range(600)}
    first = reopen()
    await table_of(first).save(rows)
    await first.close()
    table = table_of(reopen())
    assert await loaded(table) == rows
    assert list(await loaded(table, most=301)) == sorted(rows)[:301]


async def test_reading_removes_nothing(table: SqlOutlooks) -> None:
    """Another replica may be about to start."""
    await table.save({"a": ONE})
    assert await loaded(table) == await loaded(table) == {"a": ONE}


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        (ONE, OutlookRow(NOW + 15, NOW + 10, b"two"), "second"),
        (OutlookRow(NOW + 15, NOW + 10, b"two"), ONE, "first"),
        (ONE, OutlookRow(NOW + 60, NOW - 20, b"later, of older demand"), "first"),
        (ONE, OutlookRow(NOW + 1, NOW - 5, b"later, of the same demand"), "second"),
        (OutlookRow(NOW + DAY, NOW + DAY, b"from a wrong clock"), ONE, "second"),
        (OutlookRow(NOW - 2 * KEPT_SECONDS, NOW, b"too old"), ONE, "second"),
    ],
)
async def test_the_newest_demand_stays(table: SqlOutlooks, first: OutlookRow, second: OutlookRow, stays: str) -> None:
    """Whichever replica ends last, and whatever a clock that was wrong has left."""
    await table.save({"a": first})
    await table.save({"a": second})
    assert await loaded(table) == {"a": first if stays == "first" else second}


async def test_installations_do_not_see_each_other(store: Store) -> None:
    mine, others = table_of(store, "mine"), table_of(store, "others")
    await mine.save({"a": ONE})
    await others.save({"a": OutlookRow(NOW + 9, NOW + 9, b"theirs")})
    assert await loaded(mine) == {"a": ONE}


@pytest.mark.parametrize(
    ("at", "record"),
    [
        (NOW - KEPT_SECONDS - 1, b"old"),
        (NOW + KEPT_SECONDS + 1, b"ahead"),
        (NOW, b"much" * MOST_BYTES),
        (float("inf"), b"never"),
    ],
)
async def test_what_cannot_count_is_not_read(table: SqlOutlooks, at: float, record: bytes) -> None:
    """It comes without its bytes, beside what can."""
    await table.save({"a": OutlookRow(at, 0.0, record), "b": ONE})
    found = await loaded(table)
    assert (found["a"].record, found["b"]) == (b"", ONE)


async def test_a_row_of_another_type_is_no_outlook(store: Store) -> None:
    """SQLite takes any value in any column."""
    table = table_of(store)
    await table.save({"b": ONE})
    values: dict[str, Any] = {"installation": "", "key": "a", "at": NOW, "observed_at": NOW, "record": b""}
    async with store.database.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(insert(outlooks).values(values))
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql(
                "INSERT INTO outlooks VALUES ('', 'c', 'soon', 'never', 'text'), ('', 'd', 1700006400.0, 'x', 12)"
            )
    found = await loaded(table)
    assert found.pop("b") == ONE
    assert [row.record for row in found.values()] == [b""] * (len(found))
    assert len(found) == (3 if store.database.dialect == "sqlite" else 1)  # type: ignore[attr-defined]


async def test_what_is_old_is_swept(table: SqlOutlooks) -> None:
    """By a moment that has passed for certain; and what a wrong clock has written far ahead."""
    ahead = OutlookRow(NOW + 3 * DAY, NOW, b"ahead")
    await table.save({"old": ONE, "new": OutlookRow(NOW + KEPT_SECONDS, NOW, b"new"), "ahead": ahead})
    await table.sweep(NOW + KEPT_SECONDS - 1, NOW + DAY)
    assert set(await loaded(table)) == {"old", "new"}
    await table.sweep(NOW + KEPT_SECONDS + 1, NOW + KEPT_SECONDS + 1)
    assert set(await loaded(table)) == {"new"}


async def test_two_replicas_write_the_same_rows_at_once(reopen: Opener) -> None:
    tables = [table_of(reopen()) for _ in range(2)]
    rows = {f"app-{number:03}": ONE for number in range(500)}
    await asyncio.gather(*(table.save(rows) for table in tables))
    assert await loaded(tables[0]) == rows


async def test_a_database_that_is_away_says_so(place: Place, reopen: Opener) -> None:
    store = reopen()
    assert isinstance(store, SqlStore)
    await table_of(store).save({"a": ONE})
    table = SqlOutlooks(store.database, timeout_seconds=1.0)
    place.lose()
    with pytest.raises(StoreUnavailable):
        await table.save({"a": ONE})
    with pytest.raises(StoreUnavailable):
        await loaded(table)
    place.restore()

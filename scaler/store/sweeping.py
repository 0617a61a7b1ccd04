"""Removing what nobody has called for: decided in the database, on what all replicas have stored there.

A replica's own memory never decides: it may just have started, or may not be the one that KEDA calls.
"""

from sqlalchemy import ColumnElement, Float, Table, and_, case, cast, delete, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.savings import HOUR_SECONDS
from scaler.store.database import Database, fetched
from scaler.store.pages import PAGE_BLOCKS
from scaler.store.schema import anomalies, long_history, minutes, savings, watched

DAY = 86400.0
OTHERS_KEPT_SECONDS = 30 * DAY
"""how long the triggers of other installations stay: each removes its own earlier, by its own setting"""
HISTORY_KEPT_SECONDS = 91 * DAY
"""how old a page may get that no watched trigger leads to"""
MINUTES_KEPT_DAYS = 15
"""how old a day of minutes may get: a ring holds two weeks, and today may be yesterday in its time zone"""
SAVINGS_KEPT_SECONDS = 366 * DAY
ANOMALIES_KEPT_SECONDS = 366 * DAY
ROWS = 250
"""triggers, or PAGES pages, that one transaction removes"""
PAGES = 5000


def _history_key() -> ColumnElement[str]:
    """Under which key the history of a watched trigger lies; rows of the first version used their own."""
    return case((watched.c.history_key == "", watched.c.key), else_=watched.c.history_key)


async def remove_silent(connection: AsyncConnection, database: Database, installation: str, limit: float) -> int:
    """Remove up to ROWS triggers that were last called before `limit`, with the history that no other one needs.

    They are locked first: one that another replica is called for meanwhile stays, or is inserted again.
    """
    query = select(database.address(watched)).where(_is_silent(installation, limit))
    ordered = query.order_by(watched.c.last_called, watched.c.key).limit(ROWS)
    # Who holds a row is about to renew or to remove it.
    silent = [row[0] for row in await fetched(connection, ordered.with_for_update(skip_locked=True))]
    if silent:
        removed = database.is_at(watched, silent)
        theirs, needed = select(_history_key()).where(removed), select(_history_key()).where(not_(removed))
        for history in (long_history, minutes):
            await connection.execute(delete(history).where(history.c.key.in_(theirs.except_(needed))))
        await connection.execute(delete(watched).where(removed))
    return len(silent)


def _is_silent(installation: str, limit: float) -> ColumnElement[bool]:
    own = and_(watched.c.installation == installation, watched.c.last_called < limit)
    return or_(own, watched.c.last_called < limit - OTHERS_KEPT_SECONDS)


async def remove_aged(connection: AsyncConnection, database: Database, called_before: float, now: float) -> None:
    """Remove pages of history that ended HISTORY_KEPT_SECONDS ago, at most PAGES at a time."""
    before = min(called_before, await database.now(connection, now)) - HISTORY_KEPT_SECONDS
    # As floats: a row that somebody wrote may hold numbers whose product is no integer of the database.
    ends = (cast(long_history.c.page, Float) + 1) * PAGE_BLOCKS * cast(long_history.c.block_seconds, Float)
    await remove_some(connection, database, long_history, ends < before)


async def remove_aged_minutes(connection: AsyncConnection, database: Database, passed: float, now: float) -> int:
    """Remove days by the minute that were over MINUTES_KEPT_DAYS before `passed`, at most PAGES at a time; how many."""
    before = int(min(passed, await database.now(connection, now)) // DAY) - MINUTES_KEPT_DAYS
    return await remove_some(connection, database, minutes, minutes.c.day < before)


async def remove_aged_savings(connection: AsyncConnection, database: Database, passed: float, now: float) -> int:
    """Remove hours of savings that are a year older than `passed`, at most PAGES at a time; how many."""
    before = int((min(passed, await database.now(connection, now)) - SAVINGS_KEPT_SECONDS) // HOUR_SECONDS)
    return await remove_some(connection, database, savings, savings.c.hour < before)


async def remove_aged_anomalies(connection: AsyncConnection, database: Database, passed: float, now: float) -> int:
    """Remove anomalies that began a year before `passed`, at most PAGES at a time; how many."""
    before = min(passed, await database.now(connection, now)) - ANOMALIES_KEPT_SECONDS
    return await remove_some(connection, database, anomalies, anomalies.c.since < before)


async def remove_some(
    connection: AsyncConnection, database: Database, table: Table, condition: ColumnElement[bool]
) -> int:
    address = database.address(table)
    found = [row[0] for row in await fetched(connection, select(address).where(condition).limit(PAGES))]
    if found:
        # the condition again: another row may be in the place of one that is gone
        await connection.execute(delete(table).where(database.is_at(table, found), condition))
    return len(found)


async def bring_back(connection: AsyncConnection, now: float) -> None:
    """Give calls from the future, which a wrong clock has written, the moment `now`: they would never expire."""
    await connection.execute(update(watched).where(watched.c.last_called > now + DAY).values(last_called=now))

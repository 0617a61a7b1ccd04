"""A table of PostgreSQL in partitions by week, and its default partition for what belongs to no week.

A week's partition is made ahead of it, and dropped whole when all of it is old. Whatever is in the default partition by
then moves along. A role that may not create tables loses nothing: all rows lie in the default partition, and are
deleted there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Column, Integer, MetaData, Table, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.store.database import Database, fetched

MINUTE_SECONDS = 60
WEEK_MINUTES = 7 * 24 * 60
_MONDAY = 4 * 24 * 60
"""minutes from the epoch to a Monday"""
LOCK_SECONDS = 1.0
"""how long a change of partitions waits for readers and writers, which would wait behind it"""
ROWS = 5000
"""that one transaction deletes"""


@dataclass(frozen=True, slots=True)
class Week:
    """[first, last) minutes since the epoch: a week of UTC that begins on a Monday."""

    first: int

    @property
    def last(self) -> int:
        return self.first + WEEK_MINUTES

    @property
    def suffix(self) -> str:
        """The Monday, as `20261123`."""
        return f"{datetime.fromtimestamp(self.first * MINUTE_SECONDS, UTC):%Y%m%d}"


def week_of(moment: float) -> Week:
    """The week in which `moment` (seconds since the epoch) lies."""
    return Week((int(moment // MINUTE_SECONDS) - _MONDAY) // WEEK_MINUTES * WEEK_MINUTES + _MONDAY)


def week_named(parent: str, partition: str) -> Week | None:
    """Which week a partition of this name holds; None for the default one, and for one that somebody else has made."""
    found = re.fullmatch(rf"{re.escape(parent)}_([0-9]{{8}})", partition)
    if found is None:
        return None
    try:
        begins = datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return week_of(begins.timestamp()) if begins.weekday() == 0 else None


class Partitions:
    """The partitions of one table, whose column `minute` they divide. Every method is one transaction's work."""

    def __init__(self, database: Database, parent: Table) -> None:
        self._database = database
        self._parent = parent.name
        self._default = Table(f"{parent.name}_default", MetaData(), Column("minute", Integer))

    async def add(self, connection: AsyncConnection, week: Week) -> bool:
        """Make the partition of a week, with what the default one holds of it; False where it is there already. Raises
        what the driver raises where that is not allowed."""
        name = f"{self._parent}_{week.suffix}"
        if name in await self._names(connection):
            return False
        await self._database.lock(connection)  # another replica may be making it
        if name in await self._names(connection):
            return False
        await self._wait_shortly(connection)
        within = f"minute >= {week.first} AND minute < {week.last}"
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {self._parent} INCLUDING ALL)"))
        await connection.execute(
            text(
                f"WITH moved AS (DELETE FROM {self._parent}_default WHERE {within} RETURNING *) "
                f"INSERT INTO {name} SELECT * FROM moved"
            )
        )
        bounds = f"FROM ({week.first}) TO ({week.last})"
        await connection.execute(text(f"ALTER TABLE {self._parent} ATTACH PARTITION {name} FOR VALUES {bounds}"))
        return True

    async def drop_before(self, connection: AsyncConnection, minute: int) -> int:
        """Drop the partitions that end before `minute`; how many. Raises as `add`."""
        old = [
            name
            for name in await self._names(connection)
            if (week := week_named(self._parent, name)) is not None and week.last <= minute
        ]
        if old:
            await self._wait_shortly(connection)
        for name in old:
            await connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
        return len(old)

    async def are_own(self, connection: AsyncConnection) -> bool:
        """Whether all partitions but the default one hold a week, as `add` makes them."""
        names = set(await self._names(connection)) - {f"{self._parent}_default"}
        return all(week_named(self._parent, name) is not None for name in names)

    async def delete_before(self, connection: AsyncConnection, minute: int) -> int:
        """Delete up to ROWS rows of the default partition from before `minute`; how many."""
        rows, old = self._default, self._default.c.minute < minute
        found = [
            row[0] for row in await fetched(connection, select(self._database.address(rows)).where(old).limit(ROWS))
        ]
        if found:
            # the condition again: another row may be in the place of one that is gone
            await connection.execute(delete(rows).where(self._database.is_at(rows, found), old))
        return len(found)

    async def _names(self, connection: AsyncConnection) -> Sequence[str]:
        query = text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(:parent) ORDER BY c.relname"
        )
        return [row[0] for row in (await connection.execute(query, {"parent": self._parent})).all()]

    async def _wait_shortly(self, connection: AsyncConnection) -> None:
        await connection.execute(text(f"SET LOCAL lock_timeout = {round(1000 * LOCK_SECONDS)}"))

"""Reading rows one by one where they cannot be read together: a driver that fails to decode one text loses the page."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from scaler.chunks import chunks
from scaler.errors import StoreUnavailable
from scaler.quotas import Limits
from scaler.store.database import Database, fetched
from scaler.store.database_errors import is_undecodable
from scaler.store.quarantine import Source

ROWS = 250
"""rows of one transaction: a few milliseconds of this process's event loop"""
MOST_UNREADABLE = 50
"""unreadable rows that one reading isolates; the pages of further ones wait for the next reading"""
MOST_MOVED = 3
"""looks for rows that PostgreSQL has moved, because another replica has updated them meanwhile"""


class Reading:
    """Reads rows of a table. Each row begins with its address in the table."""

    def __init__(self, database: Database, source: Source) -> None:
        self.unreadable: list[Any] = []
        """addresses of rows that the driver cannot decode"""
        self.left_out = 0
        """rows beyond the limits"""
        self._database = database
        self._source = source

    async def rows(self, condition: ColumnElement[bool], limits: Limits, newest: ColumnElement[float]) -> list[Any]:
        """The readable rows where `condition` holds; of each namespace, and in all, the newest that `limits` let in.
        Raises StoreUnavailable."""
        found: list[Any] = []
        seen: set[Any] = set()
        where = self._ranked(condition, limits, newest)
        for _ in range(MOST_MOVED):
            ranked = await self._database.run(fetched, where)
            if not seen and ranked:
                self.left_out = ranked[0].matching - len(ranked)
            addresses = [row.address for row in ranked if row.address not in seen]
            if not addresses:
                break
            seen.update(addresses)
            for chunk in chunks(addresses, ROWS):
                found += await self._at(chunk)
        return found

    def _ranked(self, condition: ColumnElement[bool], limits: Limits, newest: ColumnElement[float]) -> Select[Any]:
        """The addresses of rows, the newest of every namespace first, and how many rows there are in all."""
        table = self._source.table
        place = func.row_number().over(partition_by=table.c.namespace, order_by=newest.desc())
        ranked = (
            select(
                self._database.address(table).label("address"),
                place.label("place"),
                func.count().over().label("matching"),
            )
            .where(condition)
            .subquery()
        )
        own = ranked.c.place <= limits.per_namespace
        return select(ranked.c.address, ranked.c.matching).where(own).order_by(ranked.c.place).limit(limits.total)

    async def _at(self, addresses: Sequence[Any]) -> list[Any]:
        try:
            return list(await self._database.run(fetched, self._source.at(self._database, addresses)))
        except StoreUnavailable as error:
            if not is_undecodable(error.__cause__):
                raise
        if len(addresses) == 1:
            self.unreadable.append(addresses[0])
        if len(addresses) == 1 or len(self.unreadable) >= MOST_UNREADABLE:
            return []
        middle = len(addresses) // 2
        return [*await self._at(addresses[:middle]), *await self._at(addresses[middle:])]

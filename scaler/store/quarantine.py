"""Rows that cannot be used are moved into the table `quarantined`: nothing reads them again, and people can look.

Between the reading of a row and its move another replica may write it, or another row in its place. So a row is only
moved where it still holds what was read, which the same transaction reads again under a lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.store.database import Database, fetched
from scaler.store.database_errors import is_undecodable
from scaler.store.schema import quarantined

MOST_KEPT = 1000
"""rows in quarantine; the oldest leave first"""
LONGEST_CONTENT = 2000
LONGEST_KEY = 200
UNDECODABLE = "a text cannot be decoded; its bytes are in hexadecimal digits"


@dataclass(frozen=True, slots=True)
class Source:
    """How rows of a table are read: the names of columns, the key first, and what is selected of each."""

    table: Table
    names: Sequence[str]
    columns: Sequence[ColumnElement[Any]]

    def select(self, database: Database) -> Select[Any]:
        """Rows that begin with their address in the table."""
        return select(database.address(self.table), *self.columns)

    def at(self, database: Database, addresses: Sequence[Any]) -> Select[Any]:
        """The rows at these addresses."""
        return self.select(database).where(database.is_at(self.table, addresses))


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row to be moved: where it is, why, and what was read of it; None where no driver can decode it."""

    address: Any
    reason: str
    values: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a row."""

    key: str
    reason: str
    content: str


async def move(
    connection: AsyncConnection, database: Database, source: Source, rows: Sequence[BadRow], now: float
) -> list[Kept]:
    """Move the rows that are still as they were read, and remove the oldest from quarantine where it holds more than
    MOST_KEPT. What is kept of each."""
    still = await _unchanged(connection, database, source, rows)
    if not still:
        return []
    kept = [await _kept(connection, database, source, row) for row in still]
    await connection.execute(
        quarantined.insert(),
        [
            {"source": source.table.name, "key": row.key, "reason": row.reason, "since": now, "content": row.content}
            for row in kept
        ],
    )
    await connection.execute(delete(source.table).where(database.is_at(source.table, [row.address for row in still])))
    newest = select(func.max(quarantined.c.id) - MOST_KEPT).scalar_subquery()
    await connection.execute(delete(quarantined).where(quarantined.c.id <= newest))
    return kept


def shown_key(row: BadRow) -> str:
    """The key of a bad row on one line, cut; empty where it cannot be decoded."""
    return _shown(row.values[0])[:LONGEST_KEY] if row.values else ""


async def _unchanged(
    connection: AsyncConnection, database: Database, source: Source, rows: Sequence[BadRow]
) -> list[BadRow]:
    """The rows that hold what was read of them. They are locked until this transaction ends."""
    there = database.is_at(source.table, [row.address for row in rows])
    locked = select(database.address(source.table)).select_from(source.table).where(there).with_for_update()
    held = {row[0] for row in await fetched(connection, locked)}
    decoded = [row.address for row in rows if row.values is not None and row.address in held]
    found = {}
    if decoded:
        for address, *values in await fetched(connection, source.at(database, decoded)):
            found[address] = repr(values)  # NaN is not equal to itself
    return [
        row
        for row in rows
        if row.address in held
        and (
            await _is_undecodable(connection, database, source, row.address)
            if row.values is None
            else found.get(row.address) == repr(list(row.values))
        )
    ]


async def _is_undecodable(connection: AsyncConnection, database: Database, source: Source, address: Any) -> bool:
    try:
        async with connection.begin_nested():
            await fetched(connection, source.at(database, [address]))
    except Exception as error:
        if not is_undecodable(error):
            raise
        return True
    return False


async def _kept(connection: AsyncConnection, database: Database, source: Source, row: BadRow) -> Kept:
    values = row.values
    if values is None:
        digits = [database.hex_digits(source.table.c[name], LONGEST_CONTENT // 4) for name in source.names]
        where = database.is_at(source.table, [row.address])
        values = (await connection.execute(select(*digits).select_from(source.table).where(where))).one()
    content = ", ".join(f"{name}={_shown(one)}" for name, one in zip(source.names, values, strict=True))
    return Kept(_shown(values[0])[:LONGEST_KEY], row.reason, content[:LONGEST_CONTENT])


def _shown(value: Any) -> str:
    """One line of plain ASCII, which every database takes."""
    text = value if isinstance(value, str) else repr(value)
    text = text[:LONGEST_CONTENT].encode("ascii", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)

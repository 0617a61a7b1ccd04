"""Rows that cannot be used are moved into the table `quarantined`: nothing reads them again, and people can look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.store.database import Database, fetched
from scaler.store.schema import quarantined

MOST_KEPT = 1000
"""rows in quarantine; the oldest leave first"""
LONGEST_CONTENT = 2000
LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row to be moved: where it is, and what is kept of it."""

    address: Any
    key: str
    reason: str
    content: str


def bad_row(address: Any, reason: str, columns: Sequence[str], values: Sequence[Any]) -> BadRow:
    """What is kept of a row that could be read. The key is the first of its values."""
    content = ", ".join(f"{name}={_shown(one)}" for name, one in zip(columns, values, strict=True))
    return BadRow(address, _shown(values[0])[:LONGEST_KEY], reason, content[:LONGEST_CONTENT])


async def unreadable_row(
    connection: AsyncConnection, database: Database, table: Table, columns: Sequence[str], address: Any
) -> BadRow:
    """What is kept of a row that no driver can decode: its bytes in hexadecimal digits."""
    digits = [database.hex_digits(table.c[name], LONGEST_CONTENT // 4) for name in columns]
    rows = await fetched(connection, select(*digits).where(database.is_at(table, [address])))
    values = list(rows[0]) if rows else [""] * len(columns)
    return bad_row(address, "a text cannot be decoded; its bytes are in hexadecimal digits", columns, values)


async def move(
    connection: AsyncConnection, database: Database, table: Table, rows: Sequence[BadRow], now: float
) -> None:
    """Move rows out of `table`, and remove the oldest from quarantine where it holds more than MOST_KEPT."""
    await connection.execute(
        quarantined.insert(),
        [
            {"source": table.name, "key": row.key, "reason": row.reason, "since": now, "content": row.content}
            for row in rows
        ],
    )
    await connection.execute(delete(table).where(database.is_at(table, [row.address for row in rows])))
    newest = select(func.max(quarantined.c.id) - MOST_KEPT).scalar_subquery()
    await connection.execute(delete(quarantined).where(quarantined.c.id <= newest))


def _shown(value: Any) -> str:
    """One line of plain ASCII, which every database takes."""
    text = value if isinstance(value, str) else repr(value)
    text = text[:LONGEST_CONTENT].encode("ascii", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)

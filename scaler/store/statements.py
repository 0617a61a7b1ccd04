"""What the tables of one database share: the INSERT of its dialect, a bound on the time, many rows of one statement."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.errors import StoreUnavailable
from scaler.store.database import Database

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_into(database: Database, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """The INSERT of the dialect in use; the other one is not loaded."""
    if database.dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


@asynccontextmanager
async def bounded(database: Database, seconds: float, transactions: int = 1) -> AsyncIterator[None]:
    """Raises StoreUnavailable where the work takes longer than `seconds`, and a twentieth more for each transaction."""
    try:
        async with asyncio.timeout(seconds * (1 + transactions / 20)):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"{database.name}: no answer in time") from error


async def execute(connection: AsyncConnection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run the statement for every row."""
    await connection.execute(statement, rows)

"""The `Store` in SQL: a few statements that SQLite and PostgreSQL share, in short transactions."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Executable, Table, case, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.chunks import chunks
from scaler.errors import SettingsError, StoreUnavailable
from scaler.series import Blocks
from scaler.settings.database_url import parse_database_url
from scaler.store import Store, WatchedRecord
from scaler.store.database import TIMEOUT_SECONDS, Database, Postgres, Sqlite
from scaler.store.null import NullStore
from scaler.store.pages import PAGE_BLOCKS, Pages, merged, page_of, paged, unpaged
from scaler.store.schema import long_history, set_apart, watched
from scaler.telemetry.redaction import excerpt

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

log = structlog.get_logger()

SQLITE_NAME = "headway.db"

# Sizes of one transaction: a few milliseconds of this process's event loop each.
RECORDS = 250
PAGES = 500
KEYS_LOADED = 32
MOST_APART = 100_000
"""hashes of queries that are read at a start"""

_Row = dict[str, Any]
_RECORD = ("key", "namespace", "name", "metadata", "last_called", "history_key")


def open_store(url: str | None, data_dir: Path | None, installation: str = "") -> Store:
    """The store at `url` (postgresql://… or sqlite:///FILE), else a file in `data_dir`, else one that keeps nothing.

    It holds the triggers of one installation; others may keep theirs in the same database.

    Nothing is connected before it is used: a database that is down is reported by the store's methods. Raises
    SettingsError for a URL that cannot be used.
    """
    if url is not None:
        return SqlStore(_database(url), installation=installation)
    return NullStore() if data_dir is None else SqlStore(Sqlite(data_dir / SQLITE_NAME), installation=installation)


class SqlStore:
    """A store in one database. Work on many triggers is cut into transactions, each of which is done or not done.

    `timeout_seconds` bounds an operation; one of many transactions gets a twentieth of it more for each.
    """

    def __init__(self, database: Database, timeout_seconds: float = TIMEOUT_SECONDS, installation: str = "") -> None:
        self.database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds
        self._dropped_before: dict[int, int] = {}

    async def watched(self, called_since: float) -> list[WatchedRecord]:
        records: list[WatchedRecord] = []
        own = select(*(watched.c[name] for name in _RECORD)).where(watched.c.installation == self._installation)
        by_key = own.where(watched.c.last_called >= called_since).order_by(watched.c.key).limit(RECORDS)
        refused: list[str] = []
        query = by_key
        while True:
            async with self._bounded():
                rows = await self.database.run(_fetch, query)
            read = [(row.key, _record(*row)) for row in rows]
            records += [record for _, record in read if record is not None]
            refused += [excerpt(str(key)) for key, record in read if record is None]
            if len(rows) < RECORDS:
                break
            query = by_key.where(watched.c.key > rows[-1].key)
        if refused:
            log.warning("store_rows_refused", database=self.database.name, count=len(refused), first_key=refused[0])
        return records

    async def watch(self, records: Sequence[WatchedRecord]) -> None:
        """Insert or update by key; the latest `last_called` stays, whichever replica saw it."""
        statement = self._insert(watched)
        sent = statement.excluded
        latest = case((sent.last_called > watched.c.last_called, sent.last_called), else_=watched.c.last_called)
        upsert = statement.on_conflict_do_update(
            index_elements=[watched.c.key],
            set_={"metadata": sent.metadata, "last_called": latest, "history_key": sent.history_key},
        )
        # In the order of keys, so that replicas which write the same rows cannot wait for each other in a circle.
        parts = list(chunks(sorted(records, key=lambda record: record.key), RECORDS))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(_execute, upsert, [self._row(record) for record in chunk])

    async def forget(self, keys: Sequence[str]) -> None:
        parts = list(chunks(sorted(keys), RECORDS))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(_forget, chunk)

    async def save_blocks(self, blocks: Mapping[str, Blocks], block_seconds: int, keep_since: float) -> None:
        """Merge coarse blocks (by key and block start). Older ones than `keep_since` are dropped, 96 at a time."""
        parts = list(_by_pages(blocks))
        async with self._bounded(len(parts)):
            await self._drop_before(page_of(keep_since, block_seconds), block_seconds)
            for chunk in parts:
                await self.database.run(self._merge, paged(chunk, block_seconds, keep_since), block_seconds)

    async def load_blocks(self, keys: Sequence[str], block_seconds: int, since: float) -> dict[str, Blocks]:
        """The blocks of each key that start at `since` or later; keys without any are left out."""
        loaded: dict[str, Blocks] = {}
        parts = list(chunks(keys, KEYS_LOADED))
        async with self._bounded(len(parts)):
            for chunk in parts:
                rows = await self.database.run(_fetch, _pages(chunk, block_seconds, page_of(since, block_seconds)))
                loaded.update(unpaged(rows, block_seconds, since))
        return loaded

    async def set_apart(self, hashes: Sequence[str], now: float) -> None:
        """Remember queries (by their hashes) that must not be joined with others."""
        parts = list(chunks(sorted(set(hashes)), RECORDS))
        insert = self._insert(set_apart).on_conflict_do_nothing()
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(_execute, insert, [{"hash": one, "since": now} for one in chunk])

    async def apart(self) -> set[str]:
        """The hashes that were set apart, the newest 100,000 of them."""
        newest = select(set_apart.c.hash).order_by(set_apart.c.since.desc()).limit(MOST_APART)
        async with self._bounded():
            rows = await self.database.run(_fetch, newest)
        return {row.hash for row in rows if isinstance(row.hash, str)}

    async def close(self) -> None:
        await self.database.close()

    async def _drop_before(self, page: int, block_seconds: int) -> None:
        """Drop older pages, also of triggers that were not forgotten. Reads the whole table, so once per page."""
        if page > self._dropped_before.get(block_seconds, 0):
            await self.database.run(_delete_before, page, block_seconds)
            self._dropped_before[block_seconds] = page

    async def _merge(self, connection: AsyncConnection, pages: Pages, block_seconds: int) -> None:
        if not pages.rows:
            return
        await self.database.lock(connection)
        keys, numbers = zip(*pages.rows, strict=True)
        query = _pages(sorted(set(keys)), block_seconds, min(numbers)).where(long_history.c.page <= max(numbers))
        stored = {(key, page): packed for key, page, packed in await _fetch(connection, query)}
        statement = self._insert(long_history)
        upsert = statement.on_conflict_do_update(
            index_elements=list(long_history.primary_key), set_={"blocks": statement.excluded.blocks}
        )
        packed_pages = merged(pages, stored).packed()
        await connection.execute(
            upsert,
            [
                {"key": key, "block_seconds": block_seconds, "page": page, "blocks": packed}
                for (key, page), packed in zip(pages.rows, packed_pages, strict=True)
            ],
        )

    def _row(self, record: WatchedRecord) -> _Row:
        values = {name: getattr(record, name) for name in _RECORD}
        return {**values, "metadata": dict(record.metadata), "installation": self._installation}

    def _insert(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """The INSERT of the dialect in use; the other one is not loaded."""
        if self.database.dialect == "postgresql":
            from sqlalchemy.dialects import postgresql

            return postgresql.insert(table)
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)

    @asynccontextmanager
    async def _bounded(self, transactions: int = 1) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds * (1 + transactions / 20)):
                yield
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.database.name}: no answer in time") from error


def _database(url: str) -> Database:
    try:
        place = parse_database_url(url)
    except ValueError as error:
        raise SettingsError(f"database: {error}") from error
    return Sqlite(place) if isinstance(place, Path) else Postgres(place)


async def _fetch(connection: AsyncConnection, query: Executable) -> Sequence[Any]:
    return (await connection.execute(query)).all()


async def _execute(connection: AsyncConnection, statement: Executable, rows: Sequence[_Row]) -> None:
    await connection.execute(statement, rows)


async def _forget(connection: AsyncConnection, keys: Sequence[str]) -> None:
    for table in (watched, long_history):
        await connection.execute(delete(table).where(table.c.key.in_(keys)))


async def _delete_before(connection: AsyncConnection, page: int, block_seconds: int) -> None:
    aged = long_history.c
    await connection.execute(delete(long_history).where(aged.block_seconds == block_seconds, aged.page < page))


def _pages(keys: Sequence[str], block_seconds: int, first_page: int) -> Any:
    kept = long_history.c
    return (
        select(kept.key, kept.page, kept.blocks)
        .where(kept.key.in_(keys), kept.block_seconds == block_seconds, kept.page >= first_page)
        .order_by(kept.key, kept.page)
    )


def _record(
    key: Any, namespace: Any, name: Any, metadata: Any, last_called: Any, history_key: Any
) -> WatchedRecord | None:
    """What a row says; None where it was not written by this program: neither SQLite nor JSON checks types."""
    texts = (
        (key, namespace, name, history_key, *metadata, *metadata.values()) if isinstance(metadata, dict) else (None,)
    )
    if all(isinstance(text, str) for text in texts) and isinstance(last_called, float) and isfinite(last_called):
        return WatchedRecord(key, namespace, name, metadata, last_called, history_key)
    return None


def _by_pages(blocks: Mapping[str, Blocks]) -> Iterator[dict[str, Blocks]]:
    """The blocks in parts of about PAGES pages, in the order of keys."""
    part: dict[str, Blocks] = {}
    pages = 0
    for key in sorted(blocks):
        part[key] = blocks[key]
        pages += 1 + len(blocks[key].starts) // PAGE_BLOCKS
        if pages >= PAGES:
            yield part
            part, pages = {}, 0
    if part:
        yield part

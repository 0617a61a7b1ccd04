"""The `Store` in SQL: a few statements that SQLite and PostgreSQL share, in short transactions."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import (
    BigInteger,
    Executable,
    LargeBinary,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.chunks import chunks
from scaler.errors import SettingsError, StoreUnavailable
from scaler.quotas import NO_LIMITS, Limits
from scaler.savings import DAY_HOURS, SavedDay, SavedHour, SavingsAsked
from scaler.series import Blocks, MinuteDay
from scaler.settings.database_url import parse_database_url
from scaler.store import Store, WatchedRecord, stored_minutes, stored_savings, sweeping
from scaler.store.database import TIMEOUT_SECONDS, Database, Postgres, Sqlite, fetched
from scaler.store.null import NullStore
from scaler.store.pages import PAGE_BLOCKS, PAGE_BYTES, Pages, faults_of, merged, page_of, paged, unpaged
from scaler.store.quarantine import UNDECODABLE, BadRow, Source, move, shown_key
from scaler.store.reading import Reading
from scaler.store.schema import long_history, minutes, savings, set_apart, watched
from scaler.store.statements import bounded, execute, insert_into
from scaler.store.watched_rows import LONGEST_METADATA_BYTES, LONGEST_TEXT_BYTES, Unusable, record_of
from scaler.telemetry.redaction import excerpt

log = structlog.get_logger()

SQLITE_NAME = "headway.db"

# Sizes of one transaction: a few milliseconds of this process's event loop each.
RECORDS = 250
PAGES = 500
KEYS_LOADED = 32
MOST_PAGES_READ = 100
"""transactions for which a start or a sweep may wait"""
MOST_APART = 100_000
"""hashes of queries that are read at a start"""

_Row = dict[str, Any]
_PAGE = ("key", "page", "blocks")
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
        self._swept_pages_at = 0.0

    async def identity(self) -> str:
        """What changes when rows that were written may be gone."""
        async with self._bounded():
            return await self.database.run(self.database.identity)

    async def watched(self, called_since: float, limits: Limits = NO_LIMITS) -> list[WatchedRecord]:
        """The usable rows of this installation, the latest that `limits` let in; bad ones are quarantined, and the log
        names the first."""
        source = self._records()
        reading = Reading(self.database, source)
        wanted = and_(watched.c.installation == self._installation, watched.c.last_called >= called_since)
        async with self._bounded(MOST_PAGES_READ):
            rows = await reading.rows(wanted, limits, watched.c.last_called)
        if reading.left_out > 0:
            log.warning("store_rows_left_out", count=reading.left_out)
        records, bad = [], []
        for address, *values in rows:
            try:
                records.append(record_of(*values))
            except Unusable as fault:
                bad.append(BadRow(address, str(fault), values))
        bad += [BadRow(address, UNDECODABLE) for address in reading.unreadable]
        await self._quarantine(source, bad)
        return records

    async def watch(self, records: Sequence[WatchedRecord]) -> None:
        """Insert or update by key; the latest `last_called` stays, whichever replica saw it."""
        statement = insert_into(self.database, watched)
        sent = statement.excluded
        stays = watched.c.last_called.between(sent.last_called, sent.last_called + sweeping.DAY)  # no wrong clock's
        latest = case((stays, watched.c.last_called), else_=sent.last_called)
        upsert = statement.on_conflict_do_update(
            index_elements=[watched.c.key],
            set_={name: sent[name] for name in (*_RECORD, "installation")} | {"last_called": latest},
        )
        # In the order of keys, so that replicas which write the same rows cannot wait for each other in a circle.
        parts = list(chunks(sorted(records, key=lambda record: record.key), RECORDS))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(execute, upsert, [self._row(record) for record in chunk])

    async def quarantine(self, broken: Sequence[tuple[WatchedRecord, str]]) -> None:
        """Move watched triggers, with the reason of each, out of the way of every later start. One that somebody has
        written again since it was read stays."""
        reasons = {record.key: (record, reason) for record, reason in broken[:RECORDS]}
        source = self._records()
        async with self._bounded():
            query = source.select(self.database).where(watched.c.key.in_(sorted(reasons)))
            rows = await self.database.run(fetched, query)
        bad = []
        for address, *values in rows:
            record, reason = reasons[values[0]]
            with suppress(Unusable):
                if record_of(*values) == record:
                    bad.append(BadRow(address, reason, values))
        await self._quarantine(source, bad)

    async def sweep(self, called_before: float, silence_seconds: float, now: float) -> int:
        """Remove the triggers that no replica was called for since `called_before`, with their history; how many.

        Where the database's clock is behind this one, it decides what `silence_seconds` ago was. Pages of history that
        no trigger leads to are removed when they are three months old, and days by the minute when they are older than
        two weeks. `called_before` is `silence_seconds` before a moment that has passed for certain.
        """
        removed, more = 0, sweeping.ROWS
        async with self._bounded(MOST_PAGES_READ):
            while more == sweeping.ROWS:
                more = await self.database.run(self._remove_silent, called_before, silence_seconds, now)
                removed += more
            if abs(now - self._swept_pages_at) > sweeping.DAY:
                await self.database.run(sweeping.remove_aged, self.database, called_before, now)
                days, passed = sweeping.PAGES, called_before + silence_seconds
                while days == sweeping.PAGES:
                    days = await self.database.run(sweeping.remove_aged_minutes, self.database, passed, now)
                hours, merged_objects = sweeping.PAGES, stored_savings.OBJECTS_MERGED
                while hours == sweeping.PAGES:
                    hours = await self.database.run(sweeping.remove_aged_savings, self.database, passed, now)
                while merged_objects == stored_savings.OBJECTS_MERGED:
                    merged_objects = await self.database.run(self._merge_hours, passed, now)
                self._swept_pages_at = now
        return removed

    async def adopt_history(self, new_keys: Mapping[str, str]) -> None:
        """Give the history under each old key to a new one that has none yet."""
        other = long_history.alias("other")
        parts = list(chunks(sorted(new_keys.items()), KEYS_LOADED))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(self._rename, other, chunk)

    async def page_counts(self, keys: Sequence[str], block_seconds: int, since: float, until: float) -> dict[str, int]:
        """How many pages of history are stored of each key, from the page of `since` to that of `until`."""
        kept = long_history.c
        pages = kept.page.between(page_of(since, block_seconds), page_of(until, block_seconds))
        query = (
            select(kept.key, func.count())
            .where(kept.key.in_(keys), kept.block_seconds == block_seconds, pages)
            .group_by(kept.key)
        )
        async with self._bounded():
            return {key: int(count) for key, count in await self.database.run(fetched, query)}

    async def save_blocks(self, blocks: Mapping[str, Blocks], block_seconds: int, keep_since: float) -> None:
        """Merge coarse blocks (by key and block start). Older ones of these keys are dropped, 96 at a time."""
        parts = list(_by_pages(blocks))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(self._merge, paged(chunk, block_seconds, keep_since), block_seconds, keep_since)

    async def load_blocks(self, keys: Sequence[str], block_seconds: int, since: float) -> dict[str, Blocks]:
        """The blocks of each key that start at `since` or later; keys without any are left out, and rows that hold no
        blocks are quarantined."""
        loaded: dict[str, Blocks] = {}
        bad: list[BadRow] = []
        parts = list(chunks(keys, KEYS_LOADED))
        async with self._bounded(len(parts)):
            for chunk in parts:
                query = self._page_rows(chunk, block_seconds, page_of(since, block_seconds))
                rows = await self.database.run(fetched, query)
                faults = faults_of([row[1:] for row in rows], block_seconds)
                found = [row[1:] for row, fault in zip(rows, faults, strict=True) if not fault]
                loaded.update(unpaged(found, block_seconds, since))
                bad += [BadRow(row[0], fault, row[1:]) for row, fault in zip(rows, faults, strict=True) if fault]
        await self._quarantine(self._pages(), bad)
        return loaded

    async def save_minutes(self, days: Sequence[MinuteDay]) -> None:
        """Insert or replace days by key, zone and day. Nothing else is touched: `sweep` removes what is old."""
        rows = await asyncio.to_thread(stored_minutes.packed_rows, days)
        parts = list(chunks(rows, stored_minutes.ROWS))
        async with self._bounded(len(parts)):
            for chunk in parts:
                await self.database.run(self._put_minutes, chunk)

    async def load_minutes(self, owners: Sequence[tuple[str, str]], days: tuple[int, int]) -> list[MinuteDay]:
        """The days of each (key, zone) within `days`; rows that hold none are quarantined."""
        loaded: list[MinuteDay] = []
        bad: list[BadRow] = []
        parts = list(chunks(owners, stored_minutes.OWNERS_LOADED))
        async with self._bounded(len(parts)):
            for chunk in parts:
                rows = await self.database.run(fetched, stored_minutes.rows_of(self.database, chunk, days))
                found, faulty = await asyncio.to_thread(stored_minutes.days_in, rows)
                loaded += [one for one in found if (one.key, one.zone) in chunk]
                bad += faulty
        await self._quarantine(stored_minutes.source(self.database), bad)
        return loaded

    async def save_hours(self, hours: Sequence[SavedHour]) -> None:
        """Insert hours of savings, in the order of the primary key; one that is there already stays."""
        ordered = sorted(hours, key=lambda one: (one.namespace, one.name, one.trigger, one.hour, one.part))
        parts = list(chunks(ordered, stored_savings.ROWS))
        statement = insert_into(self.database, savings).on_conflict_do_nothing()
        async with self._bounded(len(parts)):
            for chunk in parts:
                rows = [stored_savings.row_of(one, self._installation) for one in chunk]
                await self.database.run(execute, statement, rows)

    async def load_savings(self, asked: SavingsAsked) -> list[SavedDay]:
        """The days of savings that are asked for."""
        found: list[SavedDay] = []
        async with self._bounded(MOST_PAGES_READ):
            if asked.one is not None:
                parameters = stored_savings.one_asked(self._installation, asked.hours, asked.one)
                query = stored_savings.days_of_one()
                return stored_savings.days_in(await self.database.run(fetched, query, parameters))
            for chunk in chunks(await self._objects(asked), stored_savings.objects_at_a_time(asked.hours)):
                query = stored_savings.days(self._installation, asked.hours, chunk)
                found += stored_savings.days_in(await self.database.run(fetched, query))
        return found

    async def _objects(self, asked: SavingsAsked) -> list[tuple[str, str]]:
        query = stored_savings.objects(self._installation, asked.hours, asked.after, asked.limit)
        return [(namespace, name) for namespace, name in await self.database.run(fetched, query)]

    async def set_apart(self, hashes: Sequence[str], now: float, keep_since: float) -> None:
        """Remember queries (by their hashes) that must not be joined with others; older ones are dropped."""
        parts = list(chunks(sorted(set(hashes)), RECORDS))
        statement = insert_into(self.database, set_apart)
        upsert = statement.on_conflict_do_update(
            index_elements=[set_apart.c.hash], set_={"since": statement.excluded.since}
        )
        async with self._bounded(1 + len(parts)):
            await self.database.run(_forget_apart, keep_since)
            for chunk in parts:
                await self.database.run(execute, upsert, [{"hash": one, "since": now} for one in chunk])

    async def apart(self, since: float) -> dict[str, float]:
        """The hashes that were set apart at `since` or later, and when; the newest 100,000 of them."""
        stored = set_apart.c
        newest = select(stored.hash, stored.since).where(stored.since >= since).order_by(stored.since.desc())
        async with self._bounded():
            rows = await self.database.run(fetched, newest.limit(MOST_APART))
        return {row.hash: row.since for row in rows if isinstance(row.hash, str) and isinstance(row.since, float)}

    async def close(self) -> None:
        await self.database.close()

    async def _remove_silent(
        self, connection: AsyncConnection, called_before: float, silence_seconds: float, now: float
    ) -> int:
        moment = await self.database.now(connection, now)
        await sweeping.bring_back(connection, moment)
        limit = min(called_before, moment - silence_seconds)
        return await sweeping.remove_silent(connection, self.database, self._installation, limit)

    async def _rename(self, connection: AsyncConnection, other: Any, pairs: Sequence[tuple[str, str]]) -> None:
        await self.database.lock(connection)
        for old, new in pairs:
            taken = exists(select(1).where(other.c.key == new))
            await connection.execute(update(long_history).where(long_history.c.key == old, ~taken).values(key=new))

    async def _merge(self, connection: AsyncConnection, pages: Pages, block_seconds: int, keep_since: float) -> None:
        if not pages.rows:
            return
        await self.database.lock(connection)
        keys, numbers = zip(*pages.rows, strict=True)
        await self._check_clock(connection, max(numbers) * PAGE_BLOCKS * block_seconds)
        own = sorted(set(keys))
        query = self._page_rows(own, block_seconds, min(numbers)).where(long_history.c.page <= max(numbers))
        stored = {(key, page): packed for _, key, page, packed in await fetched(connection, query)}
        statement = insert_into(self.database, long_history)
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
        await connection.execute(_older(own, block_seconds, page_of(keep_since, block_seconds)))

    async def _merge_hours(self, connection: AsyncConnection, passed: float, now: float) -> int:
        """Turn old hours of savings into days, of OBJECTS_MERGED ScaledObjects at a time; of how many."""
        await self.database.lock(connection)
        moment = min(passed, await self.database.now(connection, now))
        before = (int(moment // sweeping.DAY) - stored_savings.HOURS_KEPT_DAYS) * DAY_HOURS
        wanted = [
            tuple(row) for row in await fetched(connection, stored_savings.with_old_hours(self._installation, before))
        ]
        if wanted:
            old = stored_savings.old_hours(self._installation, before, wanted)
            days = stored_savings.days_in(await fetched(connection, stored_savings.days_where(old)))
            statement = insert_into(self.database, savings)
            upsert = statement.on_conflict_do_update(
                index_elements=list(savings.primary_key), set_=stored_savings.added(statement.excluded)
            )
            if days:
                await connection.execute(upsert, [stored_savings.day_row(one, self._installation) for one in days])
            await connection.execute(delete(savings).where(old))
        return len(wanted)

    async def _put_minutes(self, connection: AsyncConnection, rows: Sequence[_Row]) -> None:
        await self._check_clock(connection, (max(row["day"] for row in rows) - 1) * sweeping.DAY)
        statement = insert_into(self.database, minutes)
        upsert = statement.on_conflict_do_update(
            index_elements=list(minutes.primary_key), set_={"packed": statement.excluded.packed}
        )
        await connection.execute(upsert, rows)

    async def _check_clock(self, connection: AsyncConnection, newest: float) -> None:
        """Write nothing that begins later than the database's own clock shows."""
        if await self.database.now(connection, newest) < newest:
            raise StoreUnavailable("the clock of this machine is ahead of the database's: no history is written")

    async def _quarantine(self, source: Source, bad: Sequence[BadRow]) -> None:
        """Move what cannot be used. A database that cannot be written keeps it: it is left out again next time."""
        named = [(shown_key(row), row.reason) for row in bad]
        with suppress(StoreUnavailable):
            async with self._bounded(1 + len(bad) // RECORDS):
                kept = [
                    await self.database.run(move, self.database, source, chunk, time.time())
                    for chunk in chunks(bad, RECORDS)
                ]
            named = [(row.key, row.reason) for part in kept for row in part]
        if named:
            key, reason = named[0]
            log.error(
                "store_rows_quarantined",
                database=self.database.name,
                table=source.table.name,
                count=len(named),
                first_key=excerpt(key, 80),
                reason=reason,
            )

    def _records(self) -> Source:
        """The columns of `watched` as text, None instead of what is too long to be ours."""
        sizes = dict.fromkeys(_RECORD, LONGEST_TEXT_BYTES) | {"metadata": LONGEST_METADATA_BYTES}
        texts = {name: cast(watched.c[name], Text) for name in _RECORD}
        cut = {name: case((self.database.size(texts[name]) <= sizes[name], texts[name])) for name in _RECORD}
        return Source(watched, _RECORD, list((cut | {"last_called": watched.c.last_called}).values()))

    def _pages(self) -> Source:
        """The rows of long history, None instead of what is no page."""
        kept = long_history.c
        packed = cast(kept.blocks, LargeBinary)
        whole = case((self.database.size(packed) == PAGE_BYTES, packed))
        return Source(long_history, _PAGE, [kept.key, cast(kept.page, BigInteger), whole])

    def _page_rows(self, keys: Sequence[str], block_seconds: int, first_page: int) -> Select[Any]:
        kept = long_history.c
        return (
            self._pages()
            .select(self.database)
            .where(kept.key.in_(keys), kept.block_seconds == block_seconds, kept.page >= first_page)
            .order_by(kept.key, kept.page)
        )

    def _row(self, record: WatchedRecord) -> _Row:
        values = {name: getattr(record, name) for name in _RECORD}
        return {**values, "metadata": dict(record.metadata), "installation": self._installation}

    def _bounded(self, transactions: int = 1) -> AbstractAsyncContextManager[None]:
        return bounded(self.database, self._timeout_seconds, transactions)


def _database(url: str) -> Database:
    try:
        place = parse_database_url(url)
    except ValueError as error:
        raise SettingsError(f"database: {error}") from error
    return Sqlite(place) if isinstance(place, Path) else Postgres(place)


async def _forget_apart(connection: AsyncConnection, keep_since: float) -> None:
    await connection.execute(delete(set_apart).where(set_apart.c.since < keep_since))


def _older(keys: Sequence[str], block_seconds: int, page: int) -> Executable:
    kept = long_history.c
    return delete(long_history).where(kept.key.in_(keys), kept.block_seconds == block_seconds, kept.page < page)


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

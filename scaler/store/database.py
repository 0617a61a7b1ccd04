"""One SQL database behind the store: connecting, transactions, the schema, and what happens when it breaks.

`Postgres` and `Sqlite` differ in how they connect, lock and fail; `Database` is what they share.
"""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import (
    ARRAY,
    URL,
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Inspector,
    LargeBinary,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    event,
    func,
    inspect,
    literal_column,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import UserDefinedType

from scaler.errors import StoreRefused, StoreUnavailable
from scaler.settings.database_url import PostgresUrl
from scaler.store.database_errors import driver_error, is_refusal, reason
from scaler.store.schema import HEAD, alembic_version, metadata
from scaler.store.sqlite_files import Files, files_at, remove_orphans, set_aside
from scaler.telemetry.redaction import os_error_text

T = TypeVar("T")
P = ParamSpec("P")
Work = Callable[Concatenate[AsyncConnection, P], Awaitable[T]]

log = structlog.get_logger()

TIMEOUT_SECONDS = 5.0
"""how long work waits for a connection, and for an answer of the server"""
POSTGRES_CONNECTIONS = 2
CONNECT_SECONDS = 2.0
BUSY_SECONDS = 2.0
"""how long SQLite waits for another process that writes to the same file"""
LOCK = 0x68656164
"""number of the PostgreSQL advisory lock under which the schema changes and long history is merged"""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database(ABC):
    """Runs work in transactions. Connects, and brings the schema up to date, when first used and after a failure."""

    def __init__(self, name: str, engine: AsyncEngine, connections: int, timeout_seconds: float) -> None:
        self.name = name
        """as people may read it: without user and password"""
        self.engine = engine
        # Work waits here, not for the pool of the engine: who waits for a pool that is disposed of waits in vain.
        self._turns = asyncio.Semaphore(connections)
        self._timeout_seconds = timeout_seconds
        self._prepared = False
        self._preparing = asyncio.Lock()
        self._renewals = 0
        """how often tables were made, or the file was changed for another"""

    @property
    def dialect(self) -> str:
        """`postgresql` or `sqlite`"""
        return self.engine.dialect.name

    @abstractmethod
    async def lock(self, connection: AsyncConnection) -> None:
        """Keep every other process from reading, merging and writing back until this transaction ends."""

    @abstractmethod
    def address(self, table: Table) -> ColumnElement[Any]:
        """Where a row of `table` is, whatever its columns hold. An update may move it."""

    @abstractmethod
    def is_at(self, table: Table, addresses: Sequence[Any]) -> ColumnElement[bool]:
        """Whether a row of `table` is at one of the addresses."""

    @abstractmethod
    def size(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """How many bytes a text or binary value has."""

    @abstractmethod
    def hex_digits(self, column: ColumnElement[Any], most_bytes: int) -> ColumnElement[str]:
        """The first bytes of a value of any type, as text that every driver can decode."""

    @abstractmethod
    async def now(self, connection: AsyncConnection, local: float) -> float:
        """The moment that counts where something is removed: `local`, unless the server's clock is behind it."""

    @abstractmethod
    async def identity(self, connection: AsyncConnection) -> str:
        """What changes where tables, or the file, are not those that were written to: rows may be gone with them."""

    async def run(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work(connection, …)`, done in one transaction. Raises StoreUnavailable."""
        try:
            async with self._turn():
                await self._prepare()
                async with self.engine.begin() as connection:
                    return await work(connection, *args, **kwargs)
        except Exception as error:  # whatever a driver raises where a server or a file is not what it seems
            self._prepared = False
            kind = StoreRefused if is_refusal(error) else StoreUnavailable
            raise kind(f"{self.name}: {reason(error)}") from error

    async def close(self) -> None:
        with suppress(Exception):
            await self.engine.dispose()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A connection is free meanwhile. On SQLite, which has one, nothing else happens to the file."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailable("no answer in time") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _prepare(self) -> None:
        async with self._preparing:
            if not self._prepared:
                await self._bring_to_head()
                self._prepared = True

    async def _bring_to_head(self) -> None:
        async with self.engine.begin() as connection:
            if await connection.run_sync(_is_at_head):
                return
            await self.lock(connection)
            if not await connection.run_sync(_create):
                await connection.run_sync(await asyncio.to_thread(_load_upgrade))
            self._renewals += 1


class _Tid(UserDefinedType[Any]):
    """Where PostgreSQL keeps a row."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "tid"


class Postgres(Database):
    """PostgreSQL, also behind a pooler that gives every transaction another connection (PgBouncer's transaction mode).

    Therefore nothing outlives a transaction: statements have no names and are not cached, locks are held by the
    transaction, and nothing is SET.
    """

    def __init__(self, url: PostgresUrl, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        import asyncpg

        from scaler.store import postgres_connection

        async def connect() -> Any:
            try:
                return await postgres_connection.connect(
                    url.dsn, timeout=CONNECT_SECONDS, command_timeout=timeout_seconds, statement_cache_size=0
                )
            except (OSError, asyncpg.PostgresError):
                raise  # SQLAlchemy expects these
            except Exception as error:  # an option or a file that asyncpg cannot use fails in many ways
                raise StoreUnavailable(f"no connection can be made: {reason(error)}") from error

        engine = create_async_engine(
            "postgresql+asyncpg://",
            # not `async_creator`: with it, SQLAlchemy ignores the other arguments
            connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": 0},
            pool_size=POSTGRES_CONNECTIONS,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        super().__init__(url.name, engine, POSTGRES_CONNECTIONS, timeout_seconds)

    async def run(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await super().run(work, *args, **kwargs)
        except StoreUnavailable:
            # After a failover, the name of the server leads to another one, and this one refuses to write.
            await self.engine.dispose()
            raise

    async def lock(self, connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK})

    def address(self, table: Table) -> ColumnElement[Any]:
        return literal_column(f"CAST({table.name}.ctid AS text)")

    def is_at(self, table: Table, addresses: Sequence[Any]) -> ColumnElement[bool]:
        given: BindParameter[Sequence[Any]] = bindparam(None, list(addresses), ARRAY(Text))
        return literal_column(f"{table.name}.ctid", _Tid) == any_(cast(given, ARRAY(_Tid)))

    def size(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        return func.octet_length(column)

    def hex_digits(self, column: ColumnElement[Any], most_bytes: int) -> ColumnElement[str]:
        # SQL_ASCII: no conversion, which would fail as it did for the driver
        return func.left(func.encode(func.convert_to(cast(column, Text), "SQL_ASCII"), "hex"), 2 * most_bytes)

    async def now(self, connection: AsyncConnection, local: float) -> float:
        found = await connection.scalar(text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS float8)"))
        return min(local, float(found))

    async def identity(self, connection: AsyncConnection) -> str:
        """By the files of the tables: dropping, truncating or restoring a table gives it another file."""
        tables = [f"pg_relation_filenode(to_regclass('{table}'))" for table in metadata.tables]
        return str((await connection.execute(text(f"SELECT {', '.join(tables)}"))).one())


class Sqlite(Database):
    """A SQLite file in WAL mode, made with its folder where missing. A damaged one is set aside, never overwritten.

    SQLite itself goes on writing into a file that was deleted or replaced while it is open; here, it is left.
    """

    def __init__(self, path: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.path = path
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(path)),
            connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
            pool_size=1,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            hide_parameters=True,
        )
        self._opened: Files | None = None
        """which files the connection uses, as soon as a transaction has opened them all"""
        event.listen(engine.sync_engine, "connect", _configure)
        for name in ("connect", "close"):
            event.listen(engine.sync_engine, name, self._forget_opened)
        event.listen(engine.sync_engine, "begin", _begin)
        self._set_aside_times = 0
        super().__init__(f"SQLite file {path}", engine, 1, timeout_seconds)

    async def lock(self, connection: AsyncConnection) -> None:
        """Nothing to do: every transaction begins with the lock."""

    def address(self, table: Table) -> ColumnElement[Any]:
        return literal_column(f"{table.name}.rowid")

    def is_at(self, table: Table, addresses: Sequence[Any]) -> ColumnElement[bool]:
        return self.address(table).in_(addresses)

    def size(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        return func.length(cast(column, LargeBinary))

    def hex_digits(self, column: ColumnElement[Any], most_bytes: int) -> ColumnElement[str]:
        return func.hex(func.substr(cast(column, LargeBinary), 1, most_bytes))

    async def now(self, connection: AsyncConnection, local: float) -> float:
        """The file has no other clock than this machine's."""
        return local

    async def identity(self, connection: AsyncConnection) -> str:
        return str(self._renewals)

    async def run(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self._leave_what_is_gone()
        seen = self._set_aside_times
        try:
            done = await super().run(work, *args, **kwargs)
        except StoreUnavailable as error:
            if not _is_damage(error.__cause__):
                raise
            await self._start_anew(seen, str(error))
            done = await super().run(work, *args, **kwargs)
        if self._opened is None:
            self._opened = await asyncio.to_thread(files_at, self.path)
        return done

    def _forget_opened(self, *_: object) -> None:
        self._opened = None

    async def _leave_what_is_gone(self) -> None:
        """Close files that are no longer where they were opened; where only the log is gone, SQLite saves it."""
        opened = self._opened
        if opened is None or (files := await asyncio.to_thread(files_at, self.path)) == opened:
            return
        async with self._turn(), self._preparing:
            if opened is not self._opened:
                return  # another operation noticed it first
            self._opened, self._prepared = None, False
            self._renewals += 1
            await self.engine.dispose()
            await asyncio.to_thread(remove_orphans, self.path, opened)
        changed = next(name for name in files if files[name] != opened[name])
        log.error("store_file_replaced", file=f"{self.path}{changed}", found="another" if files[changed] else "none")

    async def _bring_to_head(self) -> None:
        await asyncio.to_thread(self.path.parent.mkdir, parents=True, exist_ok=True)
        await super()._bring_to_head()

    async def _start_anew(self, seen: int, why: str) -> None:
        async with self._turn(), self._preparing:
            if seen != self._set_aside_times:
                return  # another operation noticed the same damage first
            self._opened, self._prepared = None, False
            await self.engine.dispose()
            try:
                aside = await asyncio.to_thread(set_aside, self.path)
            except OSError as error:
                raise StoreUnavailable(
                    f"{self.name}: damaged, and cannot be set aside: {os_error_text(error)}"
                ) from error
            self._set_aside_times += 1
            self._renewals += 1
            log.error("store_set_aside", file=str(self.path), aside=str(aside), error=why)


async def fetched(
    connection: AsyncConnection, query: Executable, parameters: Mapping[str, Any] | None = None
) -> Sequence[Any]:
    """All rows of the answer."""
    return (await connection.execute(query, parameters)).all()


def _configure(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # SQLite does not wait here; the process that holds the file sets WAL for all
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _load_upgrade() -> Callable[[Connection], None]:
    """Alembic takes a third of a second and 8 MB to load, and only a database with an old schema needs it."""
    from scaler.store.migrations import upgrade

    return upgrade


def _create(connection: Connection) -> bool:
    """Create the newest schema, or what is missing of it, also where only the revision is missing; False where there is
    something to migrate."""
    revision, found = _revision(connection), inspect(connection)
    there = [table for table in metadata.sorted_tables if found.has_table(table.name)]
    if revision not in (None, HEAD) or (revision is None and not all(_is_whole(found, table) for table in there)):
        return False
    metadata.create_all(connection)
    alembic_version.create(connection, checkfirst=True)
    if revision is None:
        connection.execute(alembic_version.insert().values(version_num=HEAD))
    return True


def _is_whole(found: Inspector, table: Table) -> bool:
    return set(table.columns.keys()) <= {column["name"] for column in found.get_columns(table.name)}


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _is_at_head(connection: Connection) -> bool:
    """Whether nothing has to be done; a table that somebody has dropped is not there."""
    found = inspect(connection)
    return _revision(connection) == HEAD and all(found.has_table(table) for table in metadata.tables)


def _is_damage(error: BaseException | None) -> bool:
    code = getattr(driver_error(error), "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGED

"""Every kind of store that remembers, empty at first."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from scaler.store import Store
from scaler.store.sql_store import open_store
from tests.servers.pgbouncer import PgBouncer, pgbouncer
from tests.servers.postgres import PostgresServer, postgres_server

Opener = Callable[[], Store]


@dataclass(frozen=True)
class Place:
    """An empty database, and how it is lost and comes back with what it holds."""

    url: str
    lose: Callable[[], None]
    restore: Callable[[], None]


def sqlite_file(request: pytest.FixtureRequest) -> Place:
    """Lost while another program keeps the file locked."""
    file: Path = request.getfixturevalue("tmp_path") / "kept" / "headway.db"
    locks: list[sqlite3.Connection] = []

    def lock() -> None:
        locks.append(sqlite3.connect(file, isolation_level=None))
        locks[-1].execute("BEGIN IMMEDIATE")

    return Place(f"sqlite:///{file}", lock, lambda: locks.pop().close())


def postgres_database(request: pytest.FixtureRequest) -> Place:
    server: PostgresServer = request.getfixturevalue("postgres")
    return Place(server.fresh_database(), server.stop, server.start)


def behind_pgbouncer(mode: str, request: pytest.FixtureRequest) -> Place:
    pooler: PgBouncer = request.getfixturevalue(f"{mode}_pooler")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Place(pooler.url(server.fresh_database()), pooler.stop, pooler.start)


PLACES = {
    "sqlite": sqlite_file,
    "postgresql": postgres_database,
    "pgbouncer-transaction": partial(behind_pgbouncer, "transaction"),
    "pgbouncer-session": partial(behind_pgbouncer, "session"),
}
"""a new implementation is one line here: where it keeps its data"""
_NEEDS_SERVER = [name for name in PLACES if name != "sqlite"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def transaction_pooler(postgres: PostgresServer) -> Iterator[PgBouncer]:
    """With one connection to the server for each database, so that all replicas share it."""
    with pgbouncer(postgres, "transaction", ["default_pool_size = 1"]) as pooler:
        yield pooler


@pytest.fixture(scope="module")
def session_pooler(postgres: PostgresServer) -> Iterator[PgBouncer]:
    with pgbouncer(postgres, "session") as pooler:
        yield pooler


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.server] if name in _NEEDS_SERVER else []) for name in PLACES]
)
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param](request)


@pytest.fixture
async def reopen(place: Place) -> AsyncIterator[Opener]:
    """Opens a store on the same, at first empty, database each time it is called."""
    opened: list[Store] = []

    def open_again() -> Store:
        opened.append(open_store(place.url, None))
        return opened[-1]

    yield open_again
    for store in opened:
        await store.close()


@pytest.fixture
def store(reopen: Opener) -> Store:
    return reopen()

"""PostgreSQL, in which replicas keep what outlives them. Nothing that happens to it may reach an answer."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg

from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.redis import redis_server

from .record import Injection, Row, fill
from .suite import Fault, Run, down, hanging, one_by_one
from .world import WRITES_OFTEN, Group, hooked, newcomers, replicas, settled, triggers

FAMILY = "PostgreSQL"
REPLICAS = 3

DROPPED = "table dropped"

BAD_ROWS = (
    ("bad/number", "bad", "number", "5", 2e9),
    ("bad/list", "bad", "list", "[1, 2]", 2e9),
    ("bad/null", "bad", "null", "null", 2e9),
    ("bad/nested", "bad", "nested", '{"query": {"a": [1]}}', 2e9),
    ("bad/no-query", "bad", "no-query", "{}", 2e9),
    ("bad/faulty", "bad", "faulty", '{"query": "up", "threshold": "many"}', 2e9),
    ("bad/never", "bad", "never", '{"query": "up", "threshold": "1"}', float("nan")),
    ("bad/always", "bad", "always", '{"query": "up", "threshold": "1"}', float("inf")),
    ("", "", "", '{"query": "up", "threshold": "1"}', 2e9),
    ("bad/\\u0001", "BAD NAME", "../..", '{"query": "up", "threshold": "1"}', 2e9),
    ("bad/large", "bad", "large", json.dumps({"query": "x" * 1_000_000, "threshold": "1"}), 2e9),
    ("bad/many", "bad", "many", json.dumps({f"key-{n}": "1" for n in range(20_000)}), 2e9),
)


class Database:
    """The faults of one database."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server, self.url = server, url
        self.name = url.partition("@/")[2].partition("?")[0]

    def execute(self, *statements: str, database: str | None = None) -> None:
        async def work(connection: Any) -> None:
            for statement in statements:
                await connection.execute(statement)

        self._with(work, database)

    def _with(self, work: Callable[[Any], Awaitable[None]], database: str | None = None) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(database or self.url, timeout=10)
            try:
                await work(connection)
            finally:
                await connection.close()

        asyncio.run(run())

    def rows(self) -> Mapping[str, float]:
        """Watched triggers that were not made up here, with their last calls."""
        found: dict[str, float] = {}

        async def read(connection: Any) -> None:
            query = "SELECT key, last_called FROM watched WHERE namespace IN ('bystander', 'newcomers')"
            found.update({row["key"]: row["last_called"] for row in await connection.fetch(query)})

        self._with(read)
        return found

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self._set_read_only("on")
        try:
            yield
        finally:
            self._set_read_only("off")

    def _set_read_only(self, how: str) -> None:
        self.execute(
            f"ALTER DATABASE {self.name} SET default_transaction_read_only = {how}",
            self._terminate(),
            database=self.server.url(),
        )

    def _terminate(self) -> str:
        return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'"

    @contextmanager
    def disconnecting(self) -> Iterator[None]:
        with _repeated(lambda: self.execute(self._terminate(), database=self.server.url())):
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another session holds both tables."""
        ready, ends = threading.Event(), threading.Event()

        async def hold(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute("LOCK TABLE watched, long_history IN ACCESS EXCLUSIVE MODE")
                ready.set()
                await asyncio.to_thread(ends.wait, 60)

        thread = threading.Thread(target=self._with, args=(hold,), daemon=True)
        thread.start()
        ready.wait(20)
        try:
            yield
        finally:
            ends.set()
            thread.join(10)

    @contextmanager
    def dropped(self) -> Iterator[None]:
        """Somebody drops the table of triggers; the replicas make it again."""
        self.execute("DROP TABLE watched")
        yield

    def bad_rows(self, group: Group, columns: str = "") -> Callable[[], AbstractContextManager[None]]:
        """Rows that no replica wrote, read by one that starts."""

        @contextmanager
        def injected() -> Iterator[None]:
            async def insert(connection: Any) -> None:
                for row in BAD_ROWS:
                    await connection.execute(
                        "INSERT INTO watched (key, namespace, name, metadata, last_called) "
                        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                        *row,
                    )
                await connection.execute("UPDATE long_history SET blocks = 'short'")

            self._with(insert)
            _restarted(group.replicas[0])
            yield
            self.execute("DELETE FROM watched WHERE namespace IN ('bad', '', 'BAD NAME')")

        return injected


def _restarted(replica: Any) -> None:
    replica.kill()
    replica.restart()


@contextmanager
def _repeated(work: Callable[[], object]) -> Iterator[None]:
    ends = threading.Event()

    def run() -> None:
        while not ends.wait(0.2):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(10)


def faults(database: Database, group: Group) -> list[Fault]:
    def with_start(break_it: Callable[[], AbstractContextManager[None]]) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def injected() -> Iterator[None]:
            with break_it():
                _restarted(group.replicas[0])
                yield

        return injected

    start = "one replica is killed and starts meanwhile"
    return [
        Fault("down", partial(down, database.server)),
        Fault("hanging", partial(hanging, database.server)),
        Fault("read-only", database.read_only),
        Fault("sessions terminated", database.disconnecting),
        Fault("tables locked", database.locked),
        Fault(DROPPED, database.dropped),
        Fault("bad rows, and a start", database.bad_rows(group), start, 10, 3),
        Fault("down, and a start", with_start(partial(down, database.server)), start, 15, 3),
        Fault("hanging, and a start", with_start(partial(hanging, database.server)), start, 20, 3),
        Fault("read-only, and a start", with_start(database.read_only), start, 15, 3),
    ]


QUICK = ("down", "bad rows, and a start")


def run_family(run: Run) -> None:
    """Three replicas that share PostgreSQL and Redis."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        cache = stack.enter_context(redis_server())
        database = Database(server, server.fresh_database())
        options = ("--prometheus", run.prometheus.url, "--redis", cache.url, "--database", database.url)
        folder = run.place("postgres")
        often = hooked(folder, WRITES_OFTEN)
        group = stack.enter_context(replicas(folder, REPLICAS, *options, environment=often))
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        stack.enter_context(newcomers(group))
        watches = stack.enter_context(group.watched(wanted))
        made = [one if one.name == DROPPED else replace(one, rows=database.rows) for one in faults(database, group)]
        chosen = [one for one in made if not run.quick or one.name in QUICK]
        one_by_one(run, FAMILY, chosen, watches, REPLICAS, run.times(3, 2))
    with postgres_server() as server:
        run.add(_migrating(run, server))


def _migrating(run: Run, server: PostgresServer) -> Row:
    """Three replicas start at once on an empty database; well means that all three answer."""
    row = Row(FAMILY, "three replicas migrate an empty database at once", 0, note="from the start of the processes")
    for number in range(run.times(5, 1)):
        options = ("--prometheus", run.prometheus.url, "--database", server.fresh_database())
        start = time.time()
        with replicas(run.place(f"migrating-{number}"), REPLICAS, *options) as group:
            wanted = triggers(run.prometheus.url, f"migrating-{number}")
            up = time.time()
            with group.watched(wanted[:1]) as watches:
                if not settled(watches, REPLICAS, 60):
                    row.wrong("not every replica answered well within a minute")
                row.injected += 1
                fill(row, watches, [Injection(start, up)], time.time())
            logs = [one.process.log.read_text() for one in group.replicas]
            row.errors["store refused"] += sum("store_refused" in log for log in logs)
    row.errors = +row.errors
    return row

"""A year of stored scores: reading one trigger's days, its week after a take-over, and what an hour of all costs.

    python benchmarks/stored_scores.py [--quick] [--triggers N] [--leads N] [--json FILE]

In a SQLite file and in a PostgreSQL (`tests/servers/postgres.py`). Rows are made by SQL, day by day, as they come:
those of one trigger lie far apart. What is timed is the store that serves (scaler/store/sql_scores.py). CPU
time is that of this process, which holds SQLite. Read the ratios: machines are noisy. It takes about two minutes.
"""

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.scored import SUMS, Owner, ScoredHour, ScoresAsked, WeekAsked
from scaler.scoring.pending import BUCKETS
from scaler.scoring.scores import DAY_KEEPS
from scaler.store.schema import scores
from scaler.store.sql_scores import SqlScores, scores_beside
from scaler.store.sql_store import SqlStore, open_store
from tests.servers.postgres import postgres_server

DAYS = 365
TODAY = 20_786
"""days since the epoch"""
READS = 30
WRITTEN = 250
"""hours of a trigger"""

_COLUMNS = [column.name for column in scores.columns]
_VALUES = {
    "namespace": "'shop'",
    "name": "'app-' || n",
    "lead": "lead",
    "hour": "{hour}",
    "trigger": "'0123456789ab'",
    "part": "'day'",
    "installation": "''",
    "hours": "24",
    "quantile": "0.9",
    "minutes": "1440",
}
A_DAY = (
    "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {triggers}) "
    f"INSERT INTO scores ({', '.join(_COLUMNS)}) "
    f"SELECT {', '.join(_VALUES.get(name, '1000.5 + n') for name in _COLUMNS)} "
    "FROM numbers CROSS JOIN ({leads}) AS leads"
)
"""rows of all triggers, of each with its leads one after the other, as hours become days"""
BEFORE_FILLING = ("ALTER TABLE scores DROP CONSTRAINT scores_pkey", "DROP INDEX scores_by_age")
AFTER_FILLING = (
    f"ALTER TABLE scores ADD PRIMARY KEY ({', '.join(column.name for column in scores.primary_key)})",
    "CREATE INDEX scores_by_age ON scores (hours, hour)",
    "VACUUM ANALYZE scores",
)
"""PostgreSQL's indexes come after the rows, which lie in the order in which they came"""


def owner(number: int) -> Owner:
    return Owner("shop", f"app-{number}", "0123456789ab")


def by_day(triggers: int, leads: tuple[str, ...], days: int) -> list[str]:
    """The statements that insert the rows of a day, for each day."""
    of_leads = " UNION ALL ".join(f"SELECT '{lead}' AS lead" for lead in leads)
    first = TODAY - days + 1
    return [A_DAY.format(hour=24 * day, triggers=triggers, leads=of_leads) for day in range(first, TODAY + 1)]


def fill_sqlite(file: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for line in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -1000000"):
            connection.execute(f"PRAGMA {line}")
        for statement in ("BEGIN", *statements, "COMMIT"):
            connection.execute(statement)


async def fill_postgres(url: str, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        for statement in (*BEFORE_FILLING, *statements):
            await connection.execute(statement)
    for statement in AFTER_FILLING:
        await connection.execute(statement)
    await connection.close()


async def make_tables(url: str) -> None:
    store = open_store(url, None)
    await scores_beside(store).days(ScoresAsked("", "", "peak", (0, 1)))
    await store.close()


async def milliseconds(work: Callable[[int], Awaitable[Any]], times: int) -> list[float]:
    found = []
    for number in range(times):
        started = time.perf_counter()
        await work(number)
        found.append(1000 * (time.perf_counter() - started))
    return sorted(found)


async def measure(url: str, triggers: int, days: int) -> dict[str, float]:
    store = open_store(url, None)
    assert isinstance(store, SqlStore)
    kept = SqlScores(store.database, timeout_seconds=60.0)

    async def a_year(number: int) -> None:
        place = number * 7919 % triggers
        hours = (24 * (TODAY - days + 1), 24 * (TODAY + 1))
        found = await kept.days(ScoresAsked("shop", f"app-{place}", "peak", hours))
        assert len(found) == days

    async def weeks(number: int) -> None:
        asked = [WeekAsked(owner((32 * number + n) % triggers), 24 * TODAY + 5) for n in range(32)]
        found = await kept.weeks(asked, DAY_KEEPS)
        assert len(found) == min(32, triggers)

    async def save(number: int) -> None:
        sums = (60.0,) * len(SUMS)
        hours = [
            ScoredHour(owner(n), lead, 0.9, 24 * TODAY + 1 + number, "a0", 60, sums)
            for n in range(WRITTEN)
            for lead in BUCKETS
        ]
        await kept.save(hours)

    (first,) = await milliseconds(a_year, 1)  # it connects, looks at the schema and compiles the statement
    began = time.process_time()
    year = await milliseconds(a_year, READS)
    cpu = 1000 * (time.process_time() - began) / READS
    week, written = await milliseconds(weeks, 5), await milliseconds(save, 3)
    await store.close()
    return {
        "first_year_ms": first,
        "year_ms_best": year[0],
        "year_ms_median": statistics.median(year),
        "year_ms_worst": year[-1],
        "year_cpu_ms": cpu,
        "weeks_of_32_ms": statistics.median(week),
        "write_ms_per_row": statistics.median(written) / (WRITTEN * len(BUCKETS)),
    }


async def _bytes_of_postgres(url: str, rows: int) -> float:
    store = open_store(url, None)
    assert isinstance(store, SqlStore)

    async def size(connection: AsyncConnection) -> Any:
        return await connection.scalar(text("SELECT pg_total_relation_size('scores')"))

    found = await store.database.run(size)
    await store.close()
    return float(found) / rows


def main(
    triggers: Annotated[int, typer.Option(help="That are stored.")] = 1000,
    leads: Annotated[int, typer.Option(min=1, max=len(BUCKETS), help="That are stored of each.")] = len(BUCKETS),
    quick: Annotated[bool, typer.Option("--quick", help="100 triggers and one lead.")] = False,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Fill a year, read and write it, print a table."""
    triggers, leads = (100, 1) if quick else (triggers, leads)
    stored, rows, found = BUCKETS[-leads:], triggers * DAYS * leads, {}
    statements = by_day(triggers, stored, DAYS)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "headway.db"
        url = f"sqlite:///{file}"
        asyncio.run(make_tables(url))
        fill_sqlite(file, statements)
        bytes_per_row = file.stat().st_size / rows
        found["sqlite"] = asyncio.run(measure(url, triggers, DAYS)) | {"bytes_per_row": bytes_per_row}
    with postgres_server() as server:
        url = server.fresh_database()
        asyncio.run(make_tables(url))
        asyncio.run(fill_postgres(url, statements))
        bytes_per_row = asyncio.run(_bytes_of_postgres(url, rows))
        found["postgresql"] = asyncio.run(measure(url, triggers, DAYS)) | {"bytes_per_row": bytes_per_row}
    table = Table(title=f"{triggers:,} triggers, {DAYS} days, {leads} leads: {rows:,} rows")
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    for figure in found["sqlite"]:
        table.add_row(figure.replace("_", " "), *(f"{found[name][figure]:.3g}" for name in found))
    Console().print(table)
    if as_json is not None:
        summary = {f"{name}_{figure}": value for name, figures in found.items() for figure, value in figures.items()}
        as_json.write_text(json.dumps({"triggers": triggers, "rows": rows, "summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

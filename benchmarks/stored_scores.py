"""A year of stored scores: reading one trigger's days, its week after a take-over, and what an hour of all costs.

    python benchmarks/stored_scores.py [--quick] [--triggers N] [--leads N] [--json FILE]

In a SQLite file and in a PostgreSQL (`tests/servers/postgres.py`). Rows are made by SQL, day by day, as they come:
those of one trigger lie far apart. What is timed is the store that serves (scaler/store/sql_scores.py). CPU
time is that of this process, which holds SQLite. Read the ratios: machines are noisy.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

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
from scaler.store.sql_scores import SqlScores
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
    "lead": ":lead",
    "hour": ":hour",
    "trigger": "'0123456789ab'",
    "part": "'day'",
    "installation": "''",
    "hours": "24",
    "quantile": "0.9",
    "minutes": "1440",
}
FILL = (
    "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :triggers) "
    f"INSERT INTO scores ({', '.join(_COLUMNS)}) "
    f"SELECT {', '.join(_VALUES.get(name, '1000.5 + n') for name in _COLUMNS)} FROM numbers"
)


def owner(number: int) -> Owner:
    return Owner("shop", f"app-{number}", "0123456789ab")


async def fill(store: SqlStore, triggers: int, leads: tuple[str, ...], days: int) -> None:
    """Rows of each day, of all triggers."""

    async def a_day(connection: AsyncConnection, day: int) -> None:
        for lead in leads:
            await connection.execute(text(FILL), {"triggers": triggers, "lead": lead, "hour": 24 * day})

    for day in range(TODAY - days + 1, TODAY + 1):
        await store.database.run(a_day, day)


async def milliseconds(work: Callable[[int], Awaitable[Any]], times: int) -> list[float]:
    found = []
    for number in range(times):
        started = time.perf_counter()
        await work(number)
        found.append(1000 * (time.perf_counter() - started))
    return sorted(found)


async def measure(url: str, triggers: int, leads: tuple[str, ...], days: int) -> dict[str, float]:
    store = open_store(url, None)
    assert isinstance(store, SqlStore)
    kept = SqlScores(store.database, timeout_seconds=60.0)
    await kept.days(ScoresAsked("", "", "peak", (0, 1)))
    started = time.perf_counter()
    await fill(store, triggers, leads, days)
    filled = time.perf_counter() - started
    if store.database.dialect == "postgresql":
        await store.database.run(_analyze)
    await store.close()  # what follows reads through a new connection

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

    began = time.process_time()
    year = await milliseconds(a_year, READS)
    cpu = 1000 * (time.process_time() - began) / READS
    week, written = await milliseconds(weeks, 5), await milliseconds(save, 3)
    await store.close()
    return {
        "fill_seconds": filled,
        "year_ms_best": year[0],
        "year_ms_median": statistics.median(year),
        "year_ms_worst": year[-1],
        "year_cpu_ms": cpu,
        "weeks_of_32_ms": statistics.median(week),
        "write_ms_per_row": statistics.median(written) / (WRITTEN * len(BUCKETS)),
    }


async def _analyze(connection: AsyncConnection) -> None:
    await connection.execute(text("ANALYZE scores"))


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
    stored, rows = BUCKETS[-leads:], triggers * DAYS * leads
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "headway.db"
        found["sqlite"] = asyncio.run(measure(f"sqlite:///{file}", triggers, stored, DAYS))
        found["sqlite"]["bytes_per_row"] = file.stat().st_size / rows
    with postgres_server() as server:
        url = server.fresh_database()
        found["postgresql"] = asyncio.run(measure(url, triggers, stored, DAYS))
        found["postgresql"]["bytes_per_row"] = asyncio.run(_bytes_of_postgres(url, rows))
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

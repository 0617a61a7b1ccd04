"""Two weeks by the minute: storing them, and reading them back instead of fetching them again.

    python benchmarks/minutes.py [--quick] [--json FILE]

Stored in a SQLite file, and without --quick in a PostgreSQL (`tests/servers/postgres.py`). What is timed is the store
and the restoring that serve (scaler/store/, scaler/refresh/restoring.py), and, for a few triggers, the thirteen range
queries of a day that they save, on a real Prometheus (needs the `prometheus` binary). Demand has noise of a tenth,
which compresses badly. Read the ratios: machines are noisy.
"""

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.app.scheduling import prefer_answers
from scaler.chunks import chunks
from scaler.clock import SystemClock
from scaler.forecast.catalog import Catalog
from scaler.history.minutes import KEPT_MINUTES, LOCAL_DAYS
from scaler.history.prometheus import PrometheusSource
from scaler.pool import Integers
from scaler.refresh.combining import Combining
from scaler.refresh.restoring import MinuteRestoring
from scaler.refresh.spans import missing
from scaler.refresh.tracked import Tracked, Tracking
from scaler.registry import Registry
from scaler.series import DAY_MINUTES, Floats, MinuteDay
from scaler.store.database import fetched
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_minutes import packed_rows
from scaler.trigger import Trigger, TriggerRules
from tests.servers.postgres import postgres_server
from tests.servers.prometheus import Recorded, prometheus

DAY = 86400.0
FETCHED = 24
"""triggers whose minutes are fetched from Prometheus"""
WORKERS = 8
"""as `backfill-concurrency`"""
SAVED_AT_A_TIME = 32
IDLE_SECONDS = 5.0
LOGGED = "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
"""bytes of the write-ahead log so far"""


def tracked(count: int, tracking: Tracking) -> list[Tracked]:
    """So many triggers of which nothing is known yet."""
    registry = Registry(TriggerRules(default_server="http://prometheus.example:9090"), 15.0)
    now = time.time()
    return tracking.adopt(
        registry.register("bench", f"workload-{n}", {"query": f"sum(rate(r_{n}[1m]))", "threshold": "10"}, now)
        for n in range(count)
    )


def demand(number: int, minute_M: Integers) -> Floats:
    """A daily curve with noise of a tenth."""
    daily = 1 + 0.6 * np.sin(2 * np.pi * (minute_M / DAY_MINUTES + number / 10_000))
    noise = np.random.default_rng(number).normal(1, 0.1, len(minute_M))
    return np.asarray((50 + number % 500) * daily * noise, np.float32)


def days_of(trigger: Trigger, number: int, today: int, days: int) -> list[MinuteDay]:
    """The last days, as they are stored at the end of today."""
    minute_M = np.arange((today - days + 1) * DAY_MINUTES, (today + 1) * DAY_MINUTES)
    values = demand(number, minute_M).reshape(days, DAY_MINUTES)
    return [MinuteDay(trigger.history_key, "UTC", today - days + 1 + n, values[n], DAY_MINUTES) for n in range(days)]


async def note_delays(late: list[float]) -> None:
    """What a call that arrives would wait for the event loop, every millisecond."""
    while True:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - due)


async def save(store: SqlStore, members: Sequence[Tracked], today: int, days: int) -> tuple[float, list[float]]:
    """Seconds to store the last days of each, without making them up; and how late a timer of 1 ms was meanwhile."""
    seconds, late = 0.0, list[float]()
    for chunk in chunks(list(enumerate(members)), SAVED_AT_A_TIME):
        rows = [day for number, t in chunk for day in days_of(t.trigger, number, today, days)]
        started = time.perf_counter()
        watching = asyncio.create_task(note_delays(late))
        await store.save_minutes(rows)
        seconds += time.perf_counter() - started
        watching.cancel()
    return seconds, late


async def restore(store: SqlStore, members: Sequence[Tracked], combining: Combining) -> tuple[float, list[float]]:
    """Seconds until the stored minutes of each are in memory, and how late a timer of 1 ms was meanwhile."""
    left, done = {one.key for one in members}, asyncio.Event()

    def note(one: Tracked) -> None:
        left.discard(one.key)
        if not left:
            done.set()

    restoring = MinuteRestoring(store, combining, SystemClock(), note)
    for one in members:
        restoring.want(one)
    started = time.perf_counter()
    late: list[float] = []
    tasks = [asyncio.create_task(restoring.run()), asyncio.create_task(note_delays(late))]
    await done.wait()
    for task in tasks:
        task.cancel()
    return time.perf_counter() - started, late


async def postgres_number(store: SqlStore, expression: str) -> float:
    """What PostgreSQL says; 0 where the store is a SQLite file."""
    if store.database.dialect == "sqlite":
        return 0.0
    return float((await store.database.run(fetched, text(f"SELECT {expression}")))[0][0])


async def measure_store(url: str, count: int) -> dict[str, float]:
    """Seconds and bytes of one store with `count` triggers."""
    store = open_store(url, None)
    assert isinstance(store, SqlStore)
    tracking, today = Tracking(Catalog.open(""), SystemClock(), 15.0), int(time.time() // DAY)
    members = tracked(count, tracking)
    idle_late: list[float] = []
    idle = asyncio.create_task(note_delays(idle_late))
    await asyncio.sleep(IDLE_SECONDS)
    idle.cancel()
    all_days, save_late = await save(store, members, today, LOCAL_DAYS)
    logged = await postgres_number(store, LOGGED)
    one_day, _ = await save(store, members, today, 1)
    logged = await postgres_number(store, LOGGED) - logged
    process = psutil.Process()
    before, cpu = process.memory_info().rss, process.cpu_times().user
    seconds, late = await restore(store, members, tracking.combining)
    known = sum(len(tracking.combining.memory.known(t.key)[0]) for t in members[:: max(1, count // 50)])
    if known < 0.9 * KEPT_MINUTES * len(members[:: max(1, count // 50)]):
        raise RuntimeError("not all minutes came back: what was timed is not a restart")
    stored = await postgres_number(store, "pg_total_relation_size('minutes')")
    await store.close()
    return {
        "stored_bytes_per_trigger": stored / count,
        "save_all_s": all_days,
        "save_today_s": one_day,
        "idle_loop_delay_p99_ms": 1000 * float(np.quantile(idle_late, 0.99)),
        "save_loop_delay_p99_ms": 1000 * float(np.quantile(save_late, 0.99)),
        "save_today_log_bytes_per_trigger": logged / count,
        "restore_s": seconds,
        "restore_loop_delay_p99_ms": 1000 * float(np.quantile(late, 0.99)),
        "restore_cpu_s": process.cpu_times().user - cpu,
        "restored_bytes_per_trigger": (process.memory_info().rss - before) / count,
    }


def apart(url: str, count: int) -> dict[str, float]:
    """`measure_store` in a process of its own, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, url, count).result()


def _measure(url: str, count: int) -> dict[str, float]:
    prefer_answers()
    return asyncio.run(measure_store(url, count))


async def measure_fetching() -> float:
    """Seconds of each trigger for what a restart without a store fetches."""
    end = time.time() // 60 * 60
    minute_M = np.arange(int(end // 60) - KEPT_MINUTES, int(end // 60) + 1)
    series = [
        Recorded(f"r_{n}", zip((minute_M * 60.0).tolist(), demand(n, minute_M).tolist(), strict=True))
        for n in range(FETCHED)
    ]
    combining, turn = Combining(), asyncio.Semaphore(WORKERS)
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder) / "prometheus", series) as server:
        source = PrometheusSource()

        async def fetch(number: int) -> None:
            trigger = Trigger("bench", f"w-{number}", f"sum(r_{number})", 10.0, server.url, key=f"{number}")
            combining.add(trigger.key)
            async with turn:
                for first, last in missing([(end - DAY, end)], (end - 60.0 * KEPT_MINUTES, end), DAY):
                    samples = await source.samples(trigger, first, last, 60)
                    combining.remember(trigger.key, samples, np.zeros(len(samples.times), np.int64), 60)

        started = time.perf_counter()
        await asyncio.gather(*(fetch(number) for number in range(FETCHED)))
        seconds = time.perf_counter() - started
        await source.close()
    return seconds / FETCHED


def row_bytes(sampled: int = 200) -> float:
    """Mean size of a packed day."""
    trigger = Trigger("bench", "w", "sum(r)", 10.0, "http://p:9090", key="k", history_key="k")
    days = [day for number in range(sampled) for day in days_of(trigger, number, 20_000, 1)]
    return sum(len(row["packed"]) for row in packed_rows(days)) / len(days)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="1,000 triggers and no PostgreSQL")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    count = 1000 if quick else 10_000
    summary: dict[str, float] = {"triggers": count, "day_bytes": row_bytes()}
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        found["sqlite"] = apart(f"sqlite:///{folder}/headway.db", count)
        found["sqlite"]["stored_bytes_per_trigger"] = (Path(folder) / "headway.db").stat().st_size / count
    if not quick:
        with postgres_server() as server:
            found["postgresql"] = apart(server.fresh_database(), count)
    fetched = asyncio.run(measure_fetching())
    summary["fetch_s_per_trigger"] = fetched
    table = Table("store", "figure", "value")
    for name, figures in found.items():
        figures["fetch_over_restore"] = fetched * count / figures["restore_s"]
        for figure, value in figures.items():
            table.add_row(name, figure, f"{value:,.2f}")
            summary[f"{name}_{figure}"] = value
    Console().print(table, summary)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

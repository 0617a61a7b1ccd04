"""The page for browsers: how long the scaler takes for it, and how much a browser loads.

    python benchmarks/page.py [--quick] [--postgres] [--json FILE]

The real HTTP port in this process, over a registry of 1,000 and 10,000 triggers that have forecasts, and a SQLite file,
or a PostgreSQL, with a year of scores of one workload, all five leads, and 2,000 plans of it. The client runs in the
same process, so its time is a part. CPU time is that of the process, which holds SQLite. Pages are warm; the first one
also reads the templates.
"""

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.page.routes import all_pages
from scaler.past_plans import PastPlan
from scaler.registry import Registry
from scaler.scored import LEADS, SUMS, Owner, ScoredHour
from scaler.series import Floats, Observation, Outlook
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.store.scores import ScoreStore
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_plans import SqlPlans
from scaler.store.stored_scores import HOURS_KEPT_DAYS
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger, TriggerRules
from tests.servers.postgres import postgres_server
from tests.status.registry import NOW, forecast

ASKED = 20
PLANS = 2000
REASONS = tuple(
    {"rule": rule, "text": "the peak over the next 495 s, p90 by general@1 0.9", "before": 60.0, "after": 62.0}
    for rule in ("need", "coverage", "floor")
)
PAGES = {
    "overview": "/",
    "overview_sorted": "/?sort=saved_replica_hours",
    "workload": "/workloads/shop/app-7",
    "workload_year": "/workloads/shop/app-7?days=365",
    "workload_moment": f"/workloads/shop/app-7?at={NOW - 3600:.0f}",
}
TIMELINE = "/api/v1/timeline/shop/app-7?since=6h"
TARGETS_MS = {
    (1000, "overview"): 150,
    (1000, "overview_sorted"): 150,
    (10_000, "overview"): 300,
    (10_000, "overview_sorted"): 300,
    **{(count, name): 100 for count in (1000, 10_000) for name in ("workload", "workload_year", "workload_moment")},
}
MOST_KB = 300


def filled(count: int) -> Registry:
    """So many triggers of as many ScaledObjects, each with an observation and a forecast."""
    registry = Registry(TriggerRules("http://prometheus:9090"), 15.0)
    expected = forecast()
    for number in range(count):
        metadata = {"query": f"sum(app_{number})", "threshold": "10", "scalerAddress": "headway:50051"}
        key = registry.register("shop", f"app-{number}", metadata, NOW).trigger.key
        registry.receive(key, Outlook(NOW, Observation(NOW - 5, 20.0 + number % 50, 50.0, 80.0), expected), NOW)
    return registry


async def demand(trigger: Trigger, since: float, until: float) -> Floats:
    """As memory has it."""
    moment_M = 60.0 * np.arange(np.ceil(since / 60), np.floor(until / 60) + 1)
    return np.asarray(40 + 20 * np.sin(moment_M / 3000), np.float32)


async def fill(store: SqlStore, owner: Owner, now: float) -> tuple[ScoreStore, SqlPlans]:
    """A year of scores and the last plans of one trigger."""
    scores, plans = scores_beside(store), SqlPlans(store.database)
    hour, sums = int(now // 3600), tuple(1000.0 for _ in SUMS)
    ages = (*range(24 * HOURS_KEPT_DAYS), *range(24 * HOURS_KEPT_DAYS, 365 * 24, 24))
    await scores.save([ScoredHour(owner, lead, 0.9, hour - age, "a0", 60, sums) for lead in LEADS for age in ages])
    await scores.sweep(now, now)  # old hours become days
    rung, model = "forecast_and_observation", "general@1"
    kept = [
        PastPlan(*owner, now - 240.0 * n, rung, 62.0, 62.0, 60.0, 0.9, 42.5, True, 7, model, "", REASONS)
        for n in range(PLANS)
    ]
    await plans.save(kept)
    return scores, plans


@asynccontextmanager
async def port(count: int, database: str | None, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the port that shows so many triggers. database: a PostgreSQL's URL; None for a file in `folder`."""
    registry, store = filled(count), open_store(database, folder)
    assert isinstance(store, SqlStore)
    watched = registry.page(1, namespace="shop", name="app-7")[0]
    scores, plans = await fill(store, Owner("shop", "app-7", watched.trigger.short_key), NOW)
    reads = Reads(store.load_savings, scores.days, None, plans.load, None, demand, score_totals=scores.totals)
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(
        settings, registry, Telemetry(), dict, lambda key: None, lambda: NOW, reads=reads, pages=all_pages
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await server.start()}", timeout=60) as client:
        yield client
    await server.stop()
    await store.close()


async def milliseconds(client: httpx.AsyncClient, path: str, asked: int) -> tuple[float, float]:
    """Of a page, the median, and that of its CPU time."""
    taken, worked = [], []
    for _ in range(asked + 1):
        begin, cpu = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        taken.append(1000 * (time.perf_counter() - begin))
        worked.append(1000 * (time.process_time() - cpu))
        assert answer.status_code == httpx.codes.OK, answer.text
    return statistics.median(taken[1:]), statistics.median(worked[1:])


async def kilobytes(client: httpx.AsyncClient, path: str, *more: str) -> float:
    """All that a browser loads for a page, uncompressed."""
    page = await client.get(path)
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    loaded = [await client.get(one) for one in (*dict.fromkeys(files), *more)]
    return (len(page.content) + sum(len(one.content) for one in loaded)) / 1000


async def measured(count: int, asked: int, database: str | None) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with port(count, database, Path(folder)) as client:
            found: dict[str, float] = {}
            for name, path in PAGES.items():
                names = f"{name}_{count}_ms", f"{name}_{count}_cpu_ms"
                found |= zip(names, await milliseconds(client, path, asked), strict=True)
            found[f"overview_{count}_kb"] = await kilobytes(client, "/")
            found[f"workload_{count}_kb"] = await kilobytes(client, PAGES["workload"], TIMELINE)
            return found


def target_of(figure: str) -> str:
    """What a figure is to stay below, as text; empty where there is no target."""
    if figure.endswith("_kb"):
        return f"{MOST_KB}"
    limit = next((ms for (count, name), ms in TARGETS_MS.items() if figure == f"{name}_{count}_ms"), None)
    return "" if limit is None else f"{limit}"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="1,000 triggers alone")] = False,
    postgres: Annotated[bool, typer.Option("--postgres", help="a PostgreSQL in place of the SQLite file")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    summary: dict[str, float] = {}
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server()) if postgres else None
        for count in (1000,) if quick else (1000, 10_000):
            database = None if server is None else server.fresh_database()
            summary |= asyncio.run(measured(count, 5 if quick else ASKED, database))
    table = Table("figure", "value", "below")
    for figure, value in summary.items():
        table.add_row(figure, f"{value:,.1f}", target_of(figure))
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

"""How fast KEDA is answered while people look at the page, next to how fast without them.

    python benchmarks/viewers.py [--quick] [--triggers N] [--think SECONDS] [--json FILE]

A real scaler with 1,000 triggers, a Prometheus, and a SQLite file that holds a year of scores and the plans of some
days of the workloads that are looked at. KEDA asks for each trigger every 15 s, at a steady rate. In blocks that
alternate, there is

* quiet: nothing else
* viewers: 20 browsers, each at an address of its own, that open one view after the other, and read each for a second
  in the mean (--think)
* tries: one client that has the largest text that is taken tried on the page, again and again

The figure is the median of the ratios of blocks that follow each other. The scaler, KEDA and the viewers are processes
of their own; with two cores, viewers also take processor time from the other two.
"""

import asyncio
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from grpc_load import Call, Seen, call, open_loop
from page import fill
from restart import Scaler, all_forecast, is_open, running, triggers_of, until
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.registry import Registry
from scaler.scored import Owner
from scaler.store.sql_store import SqlStore, open_store
from scaler.trigger import TriggerRules
from tests.servers.prometheus import Recorded, prometheus

KEDA_SECONDS = 15.0
"""between two calls for the same trigger, as an HPA syncs"""
CALLS = ("GetMetricSpec", "GetMetrics", "IsActive")
VIEWERS = 20
LOOKED_AT = 5
"""workloads with a past that viewers open"""
SETTLE_SECONDS = 1.0
"""after what viewers asked for in a block is answered, before the next one"""
KINDS = ("quiet", "viewers", "tries")
TEXT_BYTES = 61_000
HEAD = "kind: ScaledObject\nmetadata: {name: web}\nspec:\n  triggers: ["
TEXT = HEAD + "1," * ((TEXT_BYTES - len(HEAD)) // 2) + "1]\n"
"""of all texts of this size that were tried, the one that takes longest to read"""


def views(name: str) -> dict[str, tuple[str, ...]]:
    """By name, what a browser loads for a view. name: of a workload."""
    timeline = f"/api/v1/timeline/bench/{name}?since=6h"
    return {
        "overview": ("/",),
        "overview_sorted": ("/?sort=saved_replica_hours&order=asc",),
        "overview_filtered": ("/?q=web-0&rung=forecast_and_observation",),
        "workload": (f"/workloads/bench/{name}", timeline),
        "workload_year": (f"/workloads/bench/{name}?days=365", timeline),
        "workload_moment": (f"/workloads/bench/{name}?at=1h", timeline),
        "system": ("/system",),
        "models": ("/models",),
        "events": ("/events",),
        "savings": ("/savings",),
    }


class Viewers:
    """Clients in this process: how long each view took. kind: which of KINDS is on. think: seconds that a view is read,
    in the mean."""

    def __init__(self, url: str, think: float) -> None:
        self._url, self._think = url, think
        self.kind = "quiet"
        self.seconds: dict[str, list[float]] = {}
        self.faults: list[str] = []

    async def view(self, number: int) -> None:
        """Open views, at random, while viewers are on."""
        chosen = random.Random(number)
        own_address = httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number + 1}")
        async with httpx.AsyncClient(
            base_url=self._url, timeout=60, transport=own_address, follow_redirects=True
        ) as client:
            while self.kind == "viewers":
                await asyncio.sleep(chosen.uniform(0, 2 * self._think))
                found = views(f"web-{chosen.randrange(LOOKED_AT):04}")
                name = chosen.choice(list(found))
                await self._timed(name, [client.build_request("GET", path) for path in found[name]], client)

    async def try_text(self) -> None:
        """Have the text tried while tries are on."""
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            while self.kind == "tries":
                await self._timed("try", [client.build_request("POST", "/try", data={"manifest": TEXT})], client)

    async def _timed(self, name: str, asked: Sequence[httpx.Request], client: httpx.AsyncClient) -> None:
        began = time.perf_counter()
        for request in asked:
            try:
                answer = await client.send(request)
                fault = "" if answer.is_success else f"{answer.status_code}"
            except httpx.HTTPError as error:
                fault = repr(error)
            if fault:
                self.faults.append(f"{request.url}: {fault}")
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)


async def obey(url: str, think: float, orders: Connection) -> None:
    """Be of the kind that is ordered, and say when nothing of the one before is left; report at the end."""
    found, at_work = Viewers(url, think), list[asyncio.Task[None]]()
    while (order := await asyncio.to_thread(orders.recv)) != "end":
        found.kind = order
        await asyncio.gather(*at_work)
        numbers = range(VIEWERS if order == "viewers" else 0)
        at_work = [asyncio.create_task(found.view(number)) for number in numbers]
        at_work += [asyncio.create_task(found.try_text())] if order == "tries" else []
        orders.send(order)
    orders.send((found.seconds, found.faults))


def serve_viewers(url: str, think: float, orders: Connection) -> None:
    """The process of the viewers; it yields to the others, as browsers run on machines of their own."""
    os.nice(19)
    asyncio.run(obey(url, think, orders))


@contextmanager
def viewers(url: str, think: float) -> Iterator[Connection]:
    """A process of viewers that takes orders."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_viewers, args=(url, think, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the death of the process is an end, and not a silence
    yield ours
    process.join(60)


def told(orders: Connection, order: str) -> Any:
    """What is answered to an order."""
    orders.send(order)
    return orders.recv()


def calls_of(triggers: Sequence[Mapping[str, str]]) -> list[list[Call]]:
    """For each trigger what KEDA asks in a cycle."""
    made = []
    for number, metadata in enumerate(triggers):
        ref = wire.ScaledObjectRef(namespace="bench", name=f"web-{number:04}", scalerMetadata=metadata)
        metrics = wire.GetMetricsRequest(scaledObjectRef=ref, metricName="headway").SerializeToString()
        reference = ref.SerializeToString()
        made.append([call(name, metrics if name == "GetMetrics" else reference) for name in CALLS])
    return made


async def keep_a_past(folder: Path, triggers: Sequence[Mapping[str, str]]) -> None:
    """Of the workloads that are looked at."""
    registry, now = Registry(TriggerRules(triggers[0]["serverAddress"]), KEDA_SECONDS), time.time()
    store = open_store(None, folder)
    assert isinstance(store, SqlStore)
    for number, metadata in enumerate(triggers[:LOOKED_AT]):
        name = f"web-{number:04}"
        hash_ = registry.register("bench", name, dict(metadata), now).trigger.short_key
        await fill(store, Owner("bench", name, hash_), now)
    await store.close()


def blocks(
    scaler: Scaler, calls: Sequence[Sequence[Call]], rounds: int, seconds: float, kinds: Sequence[str], think: float
) -> tuple[dict[str, list[Seen]], Mapping[str, list[float]]]:
    """What KEDA saw in each block, by its kind, and how long each view took."""
    rate = len(CALLS) * len(calls) / KEDA_SECONDS
    seen: dict[str, list[Seen]] = {kind: [] for kind in kinds}
    with viewers(f"http://127.0.0.1:{scaler.http_port}", think) as orders:
        for number in range(rounds):
            for kind in kinds[:: -1 if number % 2 else 1]:
                told(orders, "quiet")
                told(orders, kind)
                time.sleep(SETTLE_SECONDS)
                seen[kind].append(open_loop(scaler.grpc_port, calls, rate, seconds))
                p50, p99 = (seen[kind][-1].quantile_ms(level) for level in (0.5, 0.99))
                print(f"round {number + 1}, {kind}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
        told(orders, "quiet")
        taken, faults = told(orders, "end")
    failed = sum(one.failed for each in seen.values() for one in each)
    if failed or faults:
        raise RuntimeError(f"{failed} calls failed, and {len(faults)} views: {faults[:5]}")
    return seen, taken


def measure(
    count: int, rounds: int, seconds: float, kinds: Sequence[str], think: float
) -> tuple[dict[str, list[Seen]], Mapping[str, list[float]]]:
    """All blocks, with a scaler that has a forecast of each trigger."""
    now = time.time() // 60 * 60
    samples = [(now - minute * 60, 100.0 + minute % 3) for minute in range(2 * 1440, -60, -1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with prometheus(folder / "prometheus", [Recorded("demand", samples)]) as source:
            triggers = triggers_of(count, source.url)
            asyncio.run(keep_a_past(folder / "data", triggers))
            options = ["--allow-server-address", source.url, "--data-dir", str(folder / "data")]
            with running(folder, options, triggers) as (scaler, keda):
                until(lambda: is_open(scaler), "the port is open")
                until(lambda: len(keda.answers(range(count))) == count, "all triggers are answered", 0.5)
                until(lambda: all_forecast(scaler, count), "all triggers have a forecast", 1.0)
                until(lambda: has_all_history(scaler), "all history has been read", 2.0)
                return blocks(scaler, calls_of(triggers), rounds, seconds, kinds, think)


def has_all_history(scaler: Scaler) -> bool:
    """Whether no trigger waits for a part of its history: reading it takes processor time, too."""
    lines = httpx.get(f"http://127.0.0.1:{scaler.http_port}/metrics", timeout=60).text.splitlines()
    (waiting,) = (line for line in lines if line.startswith('headway_backfill_triggers{state="waiting"}'))
    return float(waiting.split()[-1]) == 0


def summary_of(seen: Mapping[str, Sequence[Seen]], taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Named figures: medians over the blocks of a kind, and of the ratios to the quiet block of the same round."""
    found: dict[str, float] = {}
    for kind, each in seen.items():
        for level, name in ((0.5, "p50"), (0.99, "p99")):
            times = [one.quantile_ms(level) for one in each]
            found[f"keda_{name}_ms_{kind}"] = statistics.median(times)
            if kind != "quiet":
                quiet = [one.quantile_ms(level) for one in seen["quiet"]]
                ratios = [ours / theirs for ours, theirs in zip(times, quiet, strict=True)]
                found[f"keda_{name}_ratio_{kind}"] = statistics.median(ratios)
        found[f"keda_max_ms_{kind}"] = max(one.quantile_ms(1.0) for one in each)
    for name, seconds in sorted(taken.items()):
        found[f"{name}_p50_ms"] = 1000 * statistics.median(seconds)
        found[f"{name}_max_ms"] = 1000 * max(seconds)
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="100 triggers, two short rounds")] = False,
    triggers: Annotated[int, typer.Option(help="watched triggers")] = 1000,
    rounds: Annotated[int, typer.Option(help="blocks of each kind")] = 6,
    only: Annotated[list[str] | None, typer.Option(help=f"beside quiet, one of {', '.join(KINDS[1:])}")] = None,
    think: Annotated[float, typer.Option(help="seconds that a viewer reads a view, in the mean")] = 1.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    kinds = [kind for kind in KINDS if kind == "quiet" or not only or kind in only]
    count, times, seconds = (100, 2, 5.0) if quick else (triggers, rounds, KEDA_SECONDS)
    summary = summary_of(*measure(count, times, seconds, kinds, think))
    table = Table("figure", "value")
    for figure, value in summary.items():
        table.add_row(figure, f"{value:,.2f}")
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

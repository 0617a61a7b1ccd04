"""Refreshing 1,000 and 10,000 triggers with 14 days of one-minute history; starting; memory.

    python benchmarks/refresh.py [--quick] [--json FILE]

What is timed is the real refresh (scaler/refresh/loop.py) with the bundle that ships, on a source that answers at once,
so that Prometheus is not what is measured. Start-up and the first forecast are measured on real processes and a real
Prometheus (needs the `prometheus` binary). Read the ratios and the orders of magnitude: machines are noisy.
"""

import asyncio
import json
import math
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.chunks import chunks
from scaler.clock import SystemClock
from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.forecast.cache import MemoryCache
from scaler.forecast.catalog import Catalog
from scaler.history.arriving import Arriving
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.registry import Registration, Registry
from scaler.series import Blocks, Floats, Samples
from scaler.store.null import NullStore
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger, TriggerRules
from tests.servers.prometheus import Recorded, prometheus
from tests.servers.redis import redis_server

DAY = 86400.0
STEPS = ("refresh", "lease", "observe", "forecast", "publish")
KEPT = ("history_bytes", "rss_bytes")
SERVER = "http://prometheus.example:9090"


QUERIES_OF_A_REQUEST = 50
"""as PrometheusSource joins them at most"""


class DailySource:
    """Every trigger's demand: its own noisy daily curve, computed, not fetched."""

    def _demand(self, trigger: Trigger, times: NDArray[np.float64]) -> Floats:
        number = int(trigger.name.rpartition("-")[2])
        daily = 1 + 0.6 * np.sin(2 * np.pi * (times / DAY + number / 10_000))
        restless = 1 + 0.05 * np.sin(times * (0.37 + number % 7))
        return np.asarray((50 + number % 500) * daily * restless, dtype=np.float32)

    async def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        for part in chunks(list(enumerate(triggers)), QUERIES_OF_A_REQUEST):
            yield [(i, self._now(int(trigger.name.rpartition("-")[2]), at)) for i, trigger in part]
            await asyncio.sleep(0)

    def _now(self, number: int, at: float) -> float:
        daily = 1 + 0.6 * math.sin(2 * math.pi * (at / DAY + number / 10_000))
        return (50 + number % 500) * daily * (1 + 0.05 * math.sin(at * (0.37 + number % 7)))

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        times = np.arange(start, end + 1e-6, step_seconds)
        return Samples(times, self._demand(trigger, times))

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        starts = np.arange(np.ceil(start / block_seconds) * block_seconds, end - block_seconds + 1e-6, block_seconds)
        mean = self._demand(trigger, starts)
        return Blocks(starts, mean, np.asarray(mean * 1.1, dtype=np.float32))

    def reachable(self, trigger: Trigger) -> bool:
        return True

    def circuits(self) -> dict[str, bool]:
        return {}

    def queue_lengths(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        pass


class Loaded:
    """A refresh with `count` triggers whose history is complete."""

    def __init__(self, count: int, settings: RefreshSettings = RefreshSettings()) -> None:  # noqa: B008  frozen
        self.telemetry = Telemetry()
        self.registry = Registry(TriggerRules(default_server=SERVER), 15.0, on_new=self._welcome)
        self.refresh = Refresh(
            self.registry,
            DailySource(),
            Catalog.open(""),
            MemoryCache(),
            NullStore(),
            SystemClock(),
            self.telemetry,
            settings,
        )
        self._count = count

    def _welcome(self, registration: Registration) -> None:
        self.refresh.add(registration)

    async def fill(self) -> None:
        """Register every trigger and wait until its past has been read."""
        workers = [
            asyncio.create_task(run()) for run in (self.refresh.run_new_registrations, self.refresh.backfill.run)
        ]
        for number in range(self._count):
            metadata = {"query": f"sum(rate(requests_{number}[1m]))", "threshold": "10"}
            self.registry.register("bench", f"workload-{number}", metadata, time.time())
        while len(self.refresh.tracking) < self._count or self.refresh.backfill.waiting():  # noqa: ASYNC110 - polls once per run
            await asyncio.sleep(0.05)
        for worker in workers:
            worker.cancel()

    async def tick(self) -> dict[str, float]:
        """Seconds of one refresh, total and per step."""
        before = self._seconds()
        await self.refresh.tick(time.time() // 15 * 15)
        return {step: seconds - before[step] for step, seconds in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        name = "headway_refresh_step_duration_seconds_sum"
        return {step: self.telemetry.registry.get_sample_value(name, {"step": step}) or 0.0 for step in STEPS}


async def measure_refresh(count: int, rounds: int) -> dict[str, float]:
    """Median seconds by step over `rounds` refreshes of `count` triggers, and what they keep in memory."""
    process = psutil.Process()
    before = process.memory_info().rss
    loaded = Loaded(count)
    await loaded.fill()
    ticks = [await loaded.tick() for _ in range(rounds)]
    figures = {step: statistics.median(tick[step] for tick in ticks) for step in STEPS}
    figures["history_bytes"] = loaded.refresh.tracking.bytes_per_trigger
    figures["rss_bytes"] = (process.memory_info().rss - before) / count
    forecasts = sum(w.current.outlook.forecast is not None for w in loaded.registry if w.current)
    if forecasts < count:
        raise RuntimeError(f"only {forecasts} of {count} triggers have a forecast: what was timed is not a refresh")
    return figures


class Started:
    """A scaler process whose first answers are timed from exec."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.began = time.perf_counter()
        command = [
            *(sys.executable, "-m", "scaler.cli", "serve", "--data-dir", str(folder)),
            *("--grpc-address", f"127.0.0.1:{self.port}", "--http-address", f"127.0.0.1:{free_port()}", *options),
        ]
        folder.mkdir(exist_ok=True)
        self._log = (folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    @property
    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def seconds_until(self, client: KedaClient, trigger: OurTrigger, is_wanted: Callable[[float], bool]) -> float:
        """Seconds from exec until GetMetrics gives a number that is `enough`; asks as soon as the port opens."""
        self._wait_for_port()
        while time.perf_counter() - self.began < 60:
            call = client.metrics(trigger, "headway", "poll")
            if call.number is not None and is_wanted(call.number):
                return time.perf_counter() - self.began
            time.sleep(0.01)
        raise RuntimeError(f"no answer within 60 s: {call}")

    def _wait_for_port(self) -> None:
        """gRPC's own client would try again only a second after a refused connection."""
        while time.perf_counter() - self.began < 60:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.005)


def measure_start(folder: Path) -> dict[str, float]:
    """Seconds from exec to the first right answer with an empty and a warm shared cache, and to the first forecast.

    With an empty cache they are mostly the same: first calls wait for the forecast that is on its way.

    Also the memory of a process that nobody asks anything.
    """
    now = time.time() // 60 * 60
    samples = [(now - minute * 60, 100.0 + minute % 60) for minute in range(14 * 1440, -60, -1)]
    figures: dict[str, float] = {}
    with prometheus(folder / "prometheus", [Recorded("demand", samples)]) as server, redis_server() as redis:
        metadata = {"serverAddress": server.url, "query": "demand", "threshold": "10", "leadTime": "30m"}
        trigger = OurTrigger(0, "bench", "web", metadata)
        options = ("--allow-server-address", server.url, "--redis", redis.url)
        for kind in ("empty", "warm"):
            with Started(folder / kind, *options) as scaler, KedaClient(f"127.0.0.1:{scaler.port}") as client:
                figures[f"first_answer_{kind}_s"] = scaler.seconds_until(client, trigger, lambda _: True)
                # demand is a saw-tooth up to 159: a planned value above all that was is a forecast's
                asked = scaler.seconds_until(client, trigger, lambda number: number > 150)
                if kind == "empty":
                    figures["first_forecast_s"] = asked
    with Started(folder / "idle") as idle:
        time.sleep(5)
        figures["idle_rss_mb"] = idle.rss_mb
    return figures


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(
    quick: Annotated[bool, typer.Option(help="fewer rounds: under 50 s")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the tables, and write the summary."""
    console = Console()
    summary: dict[str, float] = {}
    table = Table("triggers", *(f"{step} s" for step in STEPS), "history B", "RSS B/trigger")
    for count in (1_000, 10_000):
        figures = asyncio.run(measure_refresh(count, rounds=2 if quick else 5))
        table.add_row(
            f"{count:,}", *(f"{figures[step]:.2f}" for step in STEPS), *(f"{figures[kind]:,.0f}" for kind in KEPT)
        )
        summary |= {f"{step}_s_{count}": figures[step] for step in STEPS}
        summary["bytes_per_trigger"] = figures["rss_bytes"]
        summary["history_bytes_per_trigger"] = figures["history_bytes"]
    console.print(table)
    with tempfile.TemporaryDirectory() as folder:
        started = measure_start(Path(folder))
    summary |= started | {"first_answer_s": started["first_answer_empty_s"]}
    console.print({name: round(value, 3) for name, value in started.items()})
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

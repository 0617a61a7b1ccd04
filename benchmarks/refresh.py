"""Refreshing 1,000 and 10,000 triggers with 14 days of one-minute history; starting; memory.

    python benchmarks/refresh.py [--quick] [--json FILE]

What is timed is the real refresh (scaler/refresh.py) with the bundle that ships, on a source that answers at once, so
that Prometheus is not what is measured. Start-up and the first forecast are measured on real processes and a real
Prometheus (needs the `prometheus` binary). Read the ratios and the orders of magnitude: machines are noisy.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from scaler.clock import SystemClock
from scaler.decide import Desk
from scaler.errors import DependencyError
from scaler.forecast.cache import MemoryCache
from scaler.forecast.catalog import Catalog
from scaler.refresh import Refresh, RefreshSettings
from scaler.series import Blocks, Samples
from scaler.store.null_store import NullStore
from scaler.telemetry import Telemetry
from scaler.trigger import Trigger, TriggerRules

DAY = 86400.0
SERVER = "http://prometheus.example:9090"


class DailySource:
    """Every trigger's demand: a noisy daily curve of its own, computed, not fetched."""

    def _demand(self, trigger: Trigger, times: np.ndarray) -> np.ndarray:
        seed = int(trigger.name.rpartition("-")[2])
        level, phase = 50 + seed % 500, seed % 86400
        daily = 1 + 0.6 * np.sin(2 * np.pi * (times + phase) / DAY)
        noise = np.random.default_rng(seed).normal(1, 0.05, len(times))
        return np.asarray(np.maximum(level * daily * noise, 0), dtype=np.float32)

    async def observe(self, triggers: Sequence[Trigger], at: float) -> list[float | DependencyError]:
        return [float(self._demand(trigger, np.array([at]))[0]) for trigger in triggers]

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        times = np.arange(start, end + 1e-6, step_seconds)
        return Samples(times, self._demand(trigger, times))

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        starts = np.arange(np.ceil(start / block_seconds) * block_seconds, end - block_seconds + 1e-6, block_seconds)
        mean = self._demand(trigger, starts)
        return Blocks(starts, mean, np.asarray(mean * 1.1, dtype=np.float32))

    def reachable(self, trigger: Trigger) -> bool:
        return True

    async def close(self) -> None:
        pass


class Loaded:
    """A refresh with `count` triggers whose history is complete."""

    def __init__(self, count: int) -> None:
        self.telemetry = Telemetry()
        self.desk = Desk(TriggerRules(default_server=SERVER), 15.0, on_new=self._welcome)
        self.refresh = Refresh(
            self.desk,
            DailySource(),
            Catalog.open(""),
            MemoryCache(),
            NullStore(),
            SystemClock(),
            self.telemetry,
            RefreshSettings(),
        )
        self._count = count

    def _welcome(self, watched: Any) -> None:
        self.refresh.welcome(watched)

    async def fill(self) -> None:
        """Register every trigger and wait until its past has been read."""
        workers = [
            asyncio.create_task(run())
            for run in (self.refresh.run_newcomers, self.refresh.backfill.run)
        ]
        for number in range(self._count):
            metadata = {"query": f"sum(rate(requests_{number}[1m]))", "threshold": "10"}
            self.desk.watch("bench", f"workload-{number}", metadata, time.time())
        while len(self.refresh) < self._count or self.refresh.backfill.waiting():
            await asyncio.sleep(0.05)
        for worker in workers:
            worker.cancel()

    async def tick(self) -> dict[str, float]:
        """Seconds of one refresh, whole and by step."""
        before = self._seconds()
        await self.refresh.once(time.time() // 15 * 15)
        return {step: seconds - before[step] for step, seconds in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        name = "headway_refresh_step_duration_seconds_sum"
        return {step: self.telemetry.registry.get_sample_value(name, {"step": step}) or 0.0 for step in STEPS}


STEPS = ("refresh", "lease", "observe", "forecast", "publish")


async def measure_refresh(count: int, rounds: int) -> dict[str, float]:
    """Median seconds by step over `rounds` refreshes of `count` triggers, and what they keep in memory."""
    process = psutil.Process()
    before = process.memory_info().rss
    loaded = Loaded(count)
    await loaded.fill()
    ticks = []
    for _ in range(rounds):
        ticks.append(await loaded.tick())
    figures = {step: statistics.median(tick[step] for tick in ticks) for step in STEPS}
    figures["history_bytes"] = loaded.refresh.bytes_per_trigger
    figures["rss_bytes"] = (process.memory_info().rss - before) / count
    forecasts = sum(w.current.outlook.forecast is not None for w in loaded.desk if w.current)
    if forecasts < count:
        raise RuntimeError(f"only {forecasts} of {count} triggers have a forecast: what was timed is not a refresh")
    return figures


def measure_start(folder: Path) -> dict[str, float]:
    """Seconds from exec to the first right answer with empty and warm caches, to the first forecast; idle memory."""
    samples = [(time.time() // 60 * 60 - minute * 60, 100.0 + minute % 60) for minute in range(14 * 1440, -60, -1)]
    with prometheus(folder / "prometheus", [Recorded("demand", samples)]) as server, redis(folder / "redis") as cache:
        options = ("--allow-server-address", server.url, "--redis", cache.url)
        with scaler_running(folder, *options, name="idle") as idle:
            time.sleep(2)
            idle_rss_mb = psutil.Process(idle.process.pid).memory_info().rss / 2**20
        figures = {"idle_rss_mb": idle_rss_mb}
        for kind in ("empty", "warm"):
            port = free_port()
            started = time.perf_counter()
            with scaler_running(folder, *options, name="scaler", grpc_port=port, wait=False) as scaler:
                figures[f"first_answer_{kind}_s"] = seconds_until_answer(f"127.0.0.1:{port}", server.url, started)
                if kind == "empty":
                    figures["first_forecast_s"] = seconds_until_forecast(scaler, started)
                    time.sleep(35)
        return figures

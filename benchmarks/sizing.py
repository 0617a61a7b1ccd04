"""What one process needs by the number of triggers: memory, and processor time per refresh.

    python benchmarks/sizing.py [--quick] [--json FILE]

Each size runs in its own process: the whole service, with the bundle that ships and a source that answers at once.
Reading Prometheus and answering KEDA are not included; docs/operations.md adds them. Processor time does not
depend on who else uses the machine, apart from its caches.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from refresh import SERVER, DailySource

from scaler.app.service import Service
from scaler.settings import load_settings
from scaler.telemetry.logs import configure_logs

SIZES = (1, 100, 1_000, 3_000, 10_000)
INTERVAL_SECONDS = 15.0


async def serve(triggers: int, refreshes: int, folder: Path) -> dict[str, float]:
    """Run one process with `triggers` watched triggers; its figures after `refreshes` refreshes."""
    flags = {
        "prometheus": SERVER,
        "data_dir": str(folder),
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
    }
    service = Service(load_settings(flags), DailySource())
    await service.start()
    for number in range(triggers):
        metadata = {"query": f"sum(rate(requests_{number}[1m]))", "threshold": "10"}
        service.registry.register("bench", f"workload-{number}", metadata, time.time())
    while any(w.current is None or not w.current.outlook.forecast for w in service.registry):  # noqa: ASYNC110
        await asyncio.sleep(1)
    await asyncio.sleep(2 * INTERVAL_SECONDS)
    process = psutil.Process()
    before, peak = _cpu_seconds(process), 0.0
    for _ in range(int(refreshes * INTERVAL_SECONDS * 4)):
        await asyncio.sleep(0.25)
        peak = max(peak, process.memory_info().rss / 2**20)
    used = _cpu_seconds(process) - before
    await service.stop()
    return {"cores": used / (refreshes * INTERVAL_SECONDS), "rss_mb": peak}


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measured(triggers: int, refreshes: int) -> dict[str, float]:
    """The figures of a fresh process, so that no size inherits the memory of another."""
    command = [sys.executable, __file__, "--child", str(triggers), "--refreshes", str(refreshes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(
    quick: Annotated[bool, typer.Option(help="two sizes, two refreshes each")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
    child: Annotated[int, typer.Option(hidden=True)] = 0,
    refreshes: Annotated[int, typer.Option(hidden=True)] = 4,
) -> None:
    """Measure each size, print the table, and write the summary."""
    if child:
        configure_logs("json", "error")
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(serve(child, refreshes, Path(folder)))))
        return
    table = Table("triggers", "memory, MB", "cores of refreshing")
    summary: dict[str, float] = {}
    for triggers in (100, 1_000) if quick else SIZES:
        figures = measured(triggers, 2 if quick else refreshes)
        table.add_row(f"{triggers:,}", f"{figures['rss_mb']:.0f}", f"{figures['cores']:.3f}")
        summary |= {f"{name}_{triggers}": figure for name, figure in figures.items()}
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

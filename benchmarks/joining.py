"""What joining the queries of a namespace gains: 10,000 triggers in few and in many namespaces, on a real Prometheus.

    python benchmarks/joining.py [--quick] [--json FILE]

One refresh is one observe() of the source that serves (scaler/history/prometheus.py), without forecasts and plans. The
first one asks each query alone and tries it together; later ones ask what is trusted together. Where joining is off,
each query is asked alone every time. Needs the `prometheus` binary. Read the ratios: machines are noisy.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import psutil
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.errors import DependencyError
from scaler.history import connection, observe_all, rounds
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.servers.prometheus import Recorded, prometheus

NEVER = 10**9
"""the fewest queries worth joining, where none are"""
SAMPLES = 8
STEP_SECONDS = 15.0


@dataclass(frozen=True)
class Cost:
    """Of one refresh."""

    requests: int
    seconds: float
    cpu_seconds: float
    """of this process"""
    server_cpu_seconds: float


@dataclass(frozen=True)
class Row:
    """One way to spread the triggers."""

    triggers: int
    namespaces: int
    first: Cost
    joined: Cost
    alone: Cost


def triggers_of(count: int, namespaces: int, server: str) -> list[Trigger]:
    """The triggers of `namespaces` namespaces, as many in each."""
    return [
        Trigger(
            f"team-{n % namespaces}",
            f"web-{n}",
            f'sum(rate(http_requests_total{{app="{n}"}}[1m]))',
            10.0,
            server,
            key=f"{n}",
        )
        for n in range(count)
    ]


def measure(triggers: Sequence[Trigger], at: float, rounds_measured: int, server_process: psutil.Process) -> Row:
    """Costs of a first refresh, and the least of later ones with and without joining."""

    async def run() -> tuple[Cost, Cost, Cost]:
        source = PrometheusSource(limits=connection.Limits(round_seconds=3600, observe_seconds=600))
        try:
            first = await _refresh(source, triggers, at, server_process)
            later = [await _refresh(source, triggers, at + n, server_process) for n in range(1, 1 + rounds_measured)]
            with patch.object(rounds, "FEWEST_JOINED", NEVER):
                alone = [
                    await _refresh(source, triggers, at + n, server_process) for n in range(1, 1 + rounds_measured)
                ]
        finally:
            await source.close()
        return first, _least(later), _least(alone)

    namespaces = len({one.namespace for one in triggers})
    return Row(len(triggers), namespaces, *asyncio.run(run()))


async def _refresh(source: PrometheusSource, triggers: Sequence[Trigger], at: float, server: psutil.Process) -> Cost:
    with _counted() as asked:
        before, began, cpu = _cpu(server), time.perf_counter(), time.process_time()
        answers = await observe_all(source, triggers, at)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        of_server = _cpu(server) - before
    failed = [answer for answer in answers if isinstance(answer, DependencyError)]
    if failed:
        raise RuntimeError(f"{len(failed)} queries failed, the first with: {failed[0]}")
    return Cost(len(asked), seconds, used, of_server)


@contextmanager
def _counted() -> Iterator[list[str]]:
    asked: list[str] = []
    once = connection.Server._once

    async def counting(self: connection.Server, *arguments: object) -> object:
        asked.append("")
        return await once(self, *arguments)  # type: ignore[arg-type]

    with patch.object(connection.Server, "_once", counting):
        yield asked


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _least(costs: Sequence[Cost]) -> Cost:
    return min(costs, key=lambda cost: cost.cpu_seconds)


def series(count: int, at: float) -> list[Recorded]:
    """A counter for each trigger."""
    moments = [at - STEP_SECONDS * back for back in range(SAMPLES, -1, -1)]
    return [
        Recorded("http_requests_total", [(t, (t - moments[0]) * (1 + n % 50)) for t in moments], {"app": str(n)})
        for n in range(count)
    ]


def main(
    quick: Annotated[bool, typer.Option(help="1,000 triggers and one round of each")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    count, rounds_measured = (1_000, 1) if quick else (10_000, 2)
    spread = [n for n in (1, 100, 1_000, 2_000, 3_333, 5_000, 10_000) if n <= count]
    at = time.time() // 60 * 60 - 300
    rows = []
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder) / "prometheus", series(count, at)) as server:
        process = next(p for p in psutil.Process().children(recursive=True) if "prometheus" in p.name())
        for namespaces in spread:
            rows.append(measure(triggers_of(count, namespaces, server.url), at, rounds_measured, process))
            print_table(rows[-1:])
    print_table(rows)
    if json_file is not None:
        summary = {
            f"{name}_{kind}_{row.namespaces}": value
            for row in rows
            for kind in ("first", "joined", "alone")
            for name, value in asdict(getattr(row, kind)).items()
        }
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


def print_table(rows: Sequence[Row]) -> None:
    """Requests, seconds and CPU seconds of each kind of refresh."""
    table = Table("namespaces", "each", "refresh", "requests", "seconds", "CPU s", "server CPU s")
    for row in rows:
        for kind in ("first", "joined", "alone"):
            cost: Cost = getattr(row, kind)
            table.add_row(
                f"{row.namespaces:,}",
                f"{row.triggers / row.namespaces:.0f}",
                kind,
                f"{cost.requests:,}",
                f"{cost.seconds:.2f}",
                f"{cost.cpu_seconds:.2f}",
                f"{cost.server_cpu_seconds:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

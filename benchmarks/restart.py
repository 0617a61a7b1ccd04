"""Restarting a scaler that watches 1,000 triggers: seconds from exec until all of them are answered as before.

    python benchmarks/restart.py [--quick] [--triggers N] [--json FILE]

A real scaler, Prometheus, PostgreSQL and Redis. The scaler is ended by SIGTERM and started again with the same
database, and all its triggers are called for as KEDA would, again and again, from the moment the port is open. Three
moments are taken, of all triggers together:

* port: the gRPC port is open
* answered: each answer is a number of at least what the trigger demands, as a reactive trigger would answer
* forecast: each answer rests on forecast and observation again, and is as before within a tenth

With Redis the outlooks outlive the process; without, the forecast needs the fine history of the source first. Read the
orders of magnitude: machines are noisy.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from tests.servers.postgres import postgres_server
from tests.servers.process import free_port
from tests.servers.prometheus import Recorded, prometheus
from tests.servers.redis import redis_server

LONGEST_SECONDS = 300.0
PLANNED = "forecast_and_observation"
PAGE = 500
KINDS = ("sqlite", "postgres", "sqlite_redis", "postgres_redis")
"""what outlives the process"""
DEMAND = 100.0


@dataclass
class Restarted:
    """Seconds from exec."""

    port: float = 0.0
    """until the gRPC port is open"""
    answered: float = 0.0
    """until every trigger is answered with at least its demand"""
    forecast: float = 0.0
    """until every answer rests on a forecast again"""
    rungs: dict[str, int] = field(default_factory=dict)
    """how many answers were on which rung when all were answered"""


class Scaler:
    """One scaler process, and how long ago it was started."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "scaler.cli", "serve", *options),
            *("--grpc-address", f"127.0.0.1:{self.grpc_port}", "--http-address", f"127.0.0.1:{self.http_port}"),
        ]
        self._log = (folder / "log").open("ab")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)

    @property
    def age(self) -> float:
        """Seconds since exec."""
        return time.perf_counter() - self.began

    def stop(self) -> None:
        """SIGTERM, and wait until it has stored everything."""
        self.process.terminate()
        self.process.wait(60)
        self._log.close()

    def plans(self) -> list[dict[str, Any]]:
        """All records of /api/v1/plans; none while the port is not open."""
        found: list[dict[str, Any]] = []
        after = ""
        with suppress(OSError):
            while after is not None:
                url = f"http://127.0.0.1:{self.http_port}/api/v1/plans?limit={PAGE}&after={after}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    page = json.load(answer)
                found += page["plans"]
                after = page["next"]
        return found


class Keda:
    """Calls for all triggers, as KEDA does: who has answered is not called for again."""

    def __init__(self, scaler: Scaler, triggers: Sequence[dict[str, str]]) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{scaler.grpc_port}")
        self._stub: Any = ExternalScalerStub(self._channel)  # type: ignore[no-untyped-call]
        self._references = [
            wire.ScaledObjectRef(namespace="bench", name=f"web-{n:04}", scalerMetadata=one)
            for n, one in enumerate(triggers)
        ]

    def answers(self, wanted: Sequence[int]) -> dict[int, float]:
        """What each of these triggers is answered; those that get an error are left out."""
        calls = {
            n: self._stub.GetMetrics.future(
                wire.GetMetricsRequest(scaledObjectRef=self._references[n], metricName="headway"), timeout=30
            )
            for n in wanted
        }
        found = {}
        for n, call in calls.items():
            with suppress(grpc.RpcError):
                found[n] = call.result().metricValues[0].metricValueFloat
        return found

    def close(self) -> None:
        self._channel.close()


def factor(number: int) -> float:
    """By which the demand of a trigger is larger than that of the first one."""
    return 1 + number / 100


def triggers_of(count: int, server: str) -> list[dict[str, str]]:
    """As many different queries: none shares its history with another."""
    common = {"serverAddress": server, "threshold": "10", "leadTime": "5m"}
    return [{**common, "query": f"demand * {factor(n):g}"} for n in range(count)]


@contextmanager
def running(folder: Path, options: Sequence[str], triggers: Sequence[dict[str, str]]) -> Iterator[tuple[Scaler, Keda]]:
    scaler = Scaler(folder, options)
    keda = Keda(scaler, triggers)
    try:
        yield scaler, keda
    finally:
        keda.close()
        scaler.stop()


def until(wanted: Any, what: str, pause: float = 0.02) -> None:
    """Return when `wanted()` holds."""
    began = time.perf_counter()
    while not wanted():
        if time.perf_counter() - began > LONGEST_SECONDS:
            raise RuntimeError(f"not within {LONGEST_SECONDS:g} s: {what}")
        time.sleep(pause)


def is_open(scaler: Scaler) -> bool:
    if scaler.process.poll() is not None:
        raise RuntimeError("the scaler has ended: see its log")
    with suppress(OSError), socket.create_connection(("127.0.0.1", scaler.grpc_port), 0.2):
        return True
    return False


def all_forecast(scaler: Scaler, count: int, before: dict[str, float] | None = None) -> bool:
    """Whether every trigger is answered by forecast and observation, about as before."""
    plans = [one for one in scaler.plans() if one["plan"] is not None and one["plan"]["rung"] == PLANNED]
    if before is not None:
        plans = [one for one in plans if abs(one["plan"]["metric"] / before[one["name"]] - 1) < 0.1]
    return len(plans) == count


def restarted(folder: Path, options: Sequence[str], triggers: Sequence[dict[str, str]]) -> Restarted:
    """Fill the database by a first process, and time a second one."""
    count = len(triggers)
    with running(folder, options, triggers) as (scaler, keda):
        until(lambda: is_open(scaler), "the port is open")
        until(lambda: len(keda.answers(range(count))) == count, "all triggers are answered", 0.5)
        until(lambda: all_forecast(scaler, count), "all triggers have a forecast", 1.0)
        before = {one["name"]: one["plan"]["metric"] for one in scaler.plans()}
    found = Restarted()
    with running(folder, options, triggers) as (scaler, keda):
        until(lambda: is_open(scaler), "the port is open", 0.005)
        found.port = scaler.age
        waiting = set(range(count))
        while waiting and scaler.age < LONGEST_SECONDS:
            good = {n for n, value in keda.answers(sorted(waiting)).items() if value >= DEMAND * factor(n)}
            waiting -= good
        found.answered = scaler.age
        for one in scaler.plans():
            rung = "error" if one["plan"] is None else one["plan"]["rung"]
            found.rungs[rung] = found.rungs.get(rung, 0) + 1
        until(lambda: all_forecast(scaler, count, before), "all triggers are answered as before", 0.3)
        found.forecast = scaler.age
    return found


def measure(count: int, kinds: Sequence[str], times: int) -> dict[str, list[Restarted]]:
    """Each kind of restart, several times."""
    now = time.time() // 60 * 60
    # nearly steady: what all models make of it is the same, before the restart and after it
    samples = [(now - minute * 60, DEMAND + minute % 3) for minute in range(2 * 1440, -60, -1)]
    found: dict[str, list[Restarted]] = {kind: [] for kind in kinds}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(prometheus(folder / "prometheus", [Recorded("demand", samples)]))
        postgres = stack.enter_context(postgres_server()) if any("postgres" in kind for kind in kinds) else None
        redis = stack.enter_context(redis_server()) if any("redis" in kind for kind in kinds) else None
        for kind in kinds:
            for number in range(times):
                own = folder / f"{kind}-{number}"
                own.mkdir()
                options = ["--allow-server-address", source.url]
                options += (
                    ["--database", postgres.fresh_database()]
                    if postgres is not None and "postgres" in kind
                    else ["--data-dir", str(own)]
                )
                if redis is not None and "redis" in kind:
                    options += ["--redis", redis.url, "--installation", own.name.replace("_", "-")]
                found[kind].append(restarted(own, options, triggers_of(count, source.url)))
    return found


def main(
    quick: Annotated[bool, typer.Option(help="100 triggers, once")] = False,
    triggers: Annotated[int, typer.Option(help="watched triggers")] = 1000,
    times: Annotated[int, typer.Option(help="restarts of each kind; the best one counts")] = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(KINDS)}; all by default")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    count, rounds = (100, 1) if quick else (triggers, times)
    found = measure(count, [kind for kind in KINDS if not only or kind in only], rounds)
    console, summary = Console(), {"triggers": float(count)}
    table = Table("", "port open s", "answered s", "forecast again s", "rungs when all were answered")
    for kind, each in found.items():
        best = {name: min(getattr(one, name) for one in each) for name in ("port", "answered", "forecast")}
        rungs = " ".join(f"{rung} {number}" for rung, number in sorted(each[-1].rungs.items()))
        table.add_row(kind, *(f"{value:.2f}" for value in best.values()), rungs)
        summary |= {
            f"seconds_to_open_{kind}": best["port"],
            f"seconds_to_answers_{kind}": best["answered"],
            f"seconds_to_right_answers_{kind}": best["forecast"],
            f"median_seconds_to_right_answers_{kind}": statistics.median(one.forecast for one in each),
        }
    console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

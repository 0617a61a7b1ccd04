"""How fast KEDA is answered: Headway with 10,000 triggers in its process against a bare server of the same kind.

    python benchmarks/rpc_latency.py [--quick] [--json FILE]

A cycle is what KEDA does for one trigger: GetMetricSpec, GetMetrics, IsActive. Servers have one processor to
themselves, the client has another one. The two servers are measured in turn, in short rounds, and the figure is the
median of the rounds' ratios: other work on the machine touches both alike.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from grpc_load import Call, Seen, call, closed_loop, once_each, open_loop
from rpc_server import metadata

from scaler.metric.wire import externalscaler_pb2 as wire

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
KEDA_RPS = 3000
"""what KEDA asks for 10,000 workloads: three calls per HPA sync and per poll of each"""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long to measure, in seconds, and how often."""

    rounds: int
    round_seconds: float
    open_seconds: float
    kind_seconds: float
    spellings: int
    """orders of the metadata's keys in which each trigger is asked for: Go's maps have no order"""


QUICK = Lengths(rounds=5, round_seconds=0.8, open_seconds=3.0, kind_seconds=0.8, spellings=1)
FULL = Lengths(rounds=15, round_seconds=2.0, open_seconds=15.0, kind_seconds=4.0, spellings=6)


@dataclass(slots=True)
class Server:
    """One server process under test."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@dataclass(slots=True)
class Report:
    """Everything measured: `summary` is flat, `tables` are what is printed."""

    summary: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def add(self, table: str, **row: object) -> None:
        rows = self.tables.setdefault(table, [])
        if not rows:
            print(f"\n{table}\n" + "".join(f"{name:>16}" for name in row))
        rows.append(row)
        print("".join(f"{_shown(value):>16}" for value in row.values()), flush=True)


def main() -> int:
    options = _options()
    lengths = QUICK if options.quick else FULL
    os.sched_setaffinity(0, {CLIENT_CORE})
    cycles = prepared(options.triggers, lengths.spellings)
    report = Report()
    print(f"{machine()}; {options.triggers} triggers; server on one processor, client on another")
    against_bare(report, cycles, lengths, options.triggers)
    while_refreshing(report, cycles, lengths, options.triggers)
    kinds(report, cycles, lengths)
    print("\nsummary\n" + "\n".join(f"  {name}: {_shown(value)}" for name, value in report.summary.items()))
    if options.json:
        figures = {"machine": machine(), "summary": report.summary, "tables": report.tables}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def against_bare(report: Report, cycles: Sequence[Sequence[Call]], lengths: Lengths, triggers: int) -> None:
    """Calls per second of KEDA's cycle, Headway and a bare server in turn; then times at KEDA's own rate."""
    with ExitStack() as running:
        servers = {kind: running.enter_context(started(kind, triggers)) for kind in ("headway", "bare")}
        for server in servers.values():
            once_each(server.port, cycles)
        for concurrency in (1, 32):
            _compare(report, servers, cycles, concurrency, lengths)
        for kind, server in servers.items():
            seen = open_loop(server.port, cycles, KEDA_RPS, lengths.open_seconds)
            _times(report, f"at {KEDA_RPS} calls/s, times from the moment a call was due", kind, seen)
            if kind == "headway":
                report.summary[f"p99_ms_at_{KEDA_RPS}_rps"] = round(seen.quantile_ms(0.99), 3)


def _compare(
    report: Report, servers: dict[str, Server], cycles: Sequence[Sequence[Call]], concurrency: int, lengths: Lengths
) -> None:
    runs: dict[str, list[Seen]] = {kind: [] for kind in servers}
    cpu: dict[str, list[float]] = {kind: [] for kind in servers}
    for turn in range(lengths.rounds):
        for kind in sorted(servers, reverse=bool(turn % 2)):
            before = servers[kind].cpu_seconds()
            seen = closed_loop(servers[kind].port, cycles, concurrency, lengths.round_seconds)
            cpu[kind].append(1e6 * (servers[kind].cpu_seconds() - before) / len(seen.calls))
            runs[kind].append(seen)
    for kind, seen_each in runs.items():
        report.add(
            "KEDA's cycle, median of the rounds",
            server=kind,
            callers=concurrency,
            calls_per_s=statistics.median(seen.per_second for seen in seen_each),
            p50_ms=statistics.median(seen.quantile_ms(0.5) for seen in seen_each),
            p99_ms=statistics.median(seen.quantile_ms(0.99) for seen in seen_each),
            cpu_us_per_call=statistics.median(cpu[kind]),
            failed=sum(seen.failed for seen in seen_each),
        )
    ratios = [ours.per_second / bare.per_second for ours, bare in zip(runs["headway"], runs["bare"], strict=True)]
    ending = "" if concurrency == 32 else f"_c{concurrency}"
    report.summary[f"cycle_ratio{ending}"] = round(statistics.median(ratios), 4)
    costs = [bare / ours for ours, bare in zip(cpu["headway"], cpu["bare"], strict=True)]
    report.summary[f"cpu_ratio{ending}"] = round(statistics.median(costs), 4)


def while_refreshing(report: Report, cycles: Sequence[Sequence[Call]], lengths: Lengths, triggers: int) -> None:
    """Times at KEDA's rate while the whole service refreshes all its triggers, one refresh after another."""
    with started("refreshing", triggers, core=None) as server:
        once_each(server.port, cycles)
        seen = open_loop(server.port, cycles, KEDA_RPS, lengths.open_seconds * 2)
    _times(report, "while all triggers refresh without a pause", "headway", seen)
    report.summary["p99_ms_during_refresh"] = round(seen.quantile_ms(0.99), 3)


def kinds(report: Report, cycles: Sequence[Sequence[Call]], lengths: Lengths) -> None:
    """Bare servers of each kind that Headway could stand on, by calls per second on one processor."""
    for kind in ("bare-aio", "bare", "bare-threads", "bare-typed"):
        with started(kind, 0) as server:
            closed_loop(server.port, cycles, 32, 0.3)
            for callers in (1, 32):
                before = server.cpu_seconds()
                seen = closed_loop(server.port, cycles, callers, lengths.kind_seconds)
                cost = 1e6 * (server.cpu_seconds() - before) / len(seen.calls)
                _kind(report, kind, callers, seen, cost)
    with two_processes() as servers:
        before = sum(server.cpu_seconds() for server in servers)
        seen = closed_loop(servers[0].port, cycles, 32, lengths.kind_seconds)
        cost = 1e6 * (sum(server.cpu_seconds() for server in servers) - before) / len(seen.calls)
        _kind(report, "2 processes", 32, seen, cost)


def _kind(report: Report, kind: str, callers: int, seen: Seen, cost: float) -> None:
    report.add(
        "kinds of server, constants only, one connection as KEDA has",
        server=kind,
        callers=callers,
        calls_per_s=seen.per_second,
        p50_ms=seen.quantile_ms(0.5),
        p99_ms=seen.quantile_ms(0.99),
        cpu_us_per_call=cost,
    )


def _times(report: Report, table: str, kind: str, seen: Seen) -> None:
    report.add(
        table,
        server=kind,
        calls=len(seen.calls),
        p50_ms=seen.quantile_ms(0.5),
        p99_ms=seen.quantile_ms(0.99),
        worst_ms=seen.quantile_ms(1),
        failed=seen.failed,
    )


@contextmanager
def started(kind: str, triggers: int, core: int | None = SERVER_CORE, port: int = 0) -> Iterator[Server]:
    """A server process that is ready to be called; it ends when we leave, or die."""
    command = [sys.executable, str(HERE / "rpc_server.py"), kind, "--triggers", str(triggers), "--port", str(port)]
    command += ["--core", str(core)] if core is not None else ["--all-cores"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server {kind} did not start")
        try:
            yield Server(process, json.loads(line)["port"])
        finally:
            process.stdin.close()
            process.wait(30)


@contextmanager
def two_processes() -> Iterator[list[Server]]:
    """Two bare servers that share a port, each on a processor of its own where there are two."""
    with started("bare", 0, port=_free_port()) as first, started("bare", 0, CLIENT_CORE, first.port) as second:
        yield [first, second]


def prepared(triggers: int, spellings: int) -> list[list[Call]]:
    """The cycles of all triggers in a fixed random order, each in so many orders of its metadata's keys."""
    cycles = []
    for number in range(triggers):
        items = list(metadata(number).items())
        for turn in range(min(spellings, len(items))):
            cycles.append(_cycle(number, dict(items[turn:] + items[:turn])))
    random.Random(1).shuffle(cycles)
    return cycles


def _cycle(number: int, spelled: dict[str, str]) -> list[Call]:
    ref = wire.ScaledObjectRef(name=f"shop-{number}", namespace=f"team-{number % 100}", scalerMetadata=spelled)
    asked = wire.GetMetricsRequest(scaledObjectRef=ref, metricName="headway").SerializeToString()
    reference = ref.SerializeToString()
    return [call("GetMetricSpec", reference), call("GetMetrics", asked), call("IsActive", reference)]


def machine() -> str:
    """The machine in words, for whoever reads the figures later."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{len(CORES)} x {name}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _shown(value: object) -> str:
    return (
        f"{value:.3f}"
        if isinstance(value, float) and value < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds, under 50 s in all")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--triggers", type=int, default=10_000)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

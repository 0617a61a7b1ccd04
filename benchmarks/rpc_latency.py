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
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from grpc_load import Call, Seen, call, closed_loop, open_loop
from rpc_server import cycles

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
KEDA_RPS = 3000
"""what KEDA asks for 10,000 workloads: three calls per HPA sync and per poll of each"""
MODEST_RPS = 1000
"""the same for 3,300 workloads: what two processors can answer while they refresh without a pause"""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long to measure, in seconds, and how often."""

    rounds: int
    round_seconds: float
    open_rounds: int
    open_seconds: float
    callers: tuple[int, ...]
    """of the servers that are compared by kind"""
    spellings: int
    """orders of the metadata's keys in which each trigger is asked for: Go's maps have no order"""


QUICK = Lengths(rounds=4, round_seconds=0.3, open_rounds=3, open_seconds=1.0, callers=(32,), spellings=1)
FULL = Lengths(rounds=20, round_seconds=1.0, open_rounds=7, open_seconds=3.0, callers=(1, 32), spellings=6)
KINDS = ("bare", "bare-aio", "bare-switching", "bare-threads", "bare-typed")


@dataclass(slots=True)
class Server:
    """One server under test: the ids of its processes, and where it is called."""

    processes: list[int]
    port: int

    def cpu_seconds(self) -> float:
        times = [psutil.Process(pid).cpu_times() for pid in self.processes]
        return float(sum(time.user + time.system for time in times))


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
    asked = prepared(options.triggers, lengths.spellings)
    report = Report()
    print(f"{machine()}; {options.triggers} triggers; server on one processor, client on another")
    against_bare(report, asked, lengths, options.triggers)
    while_refreshing(report, asked, lengths, options.triggers)
    kinds(report, asked, lengths)
    print("\nsummary\n" + "\n".join(f"  {name}: {_shown(value)}" for name, value in report.summary.items()))
    if options.json:
        figures = {"machine": machine(), "summary": report.summary, "tables": report.tables}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def against_bare(report: Report, asked: Sequence[Sequence[Call]], lengths: Lengths, triggers: int) -> None:
    """Calls per second of KEDA's cycle, Headway and a bare server in turn; then times at KEDA's own rate."""
    with ExitStack() as running:
        servers = {kind: running.enter_context(started(kind, triggers, lengths)) for kind in ("headway", "bare")}
        for callers, rounds in ((1, lengths.rounds), (32, 2 * lengths.rounds)):
            runs = in_turn(servers, asked, callers, rounds, lengths.round_seconds)
            _show(report, "KEDA's cycle, medians of the rounds", callers, runs)
            ending = "" if callers == 32 else f"_c{callers}"
            report.summary[f"cycle_ratio{ending}"] = _ratio(runs, lambda run: run.seen.per_second)
            report.summary[f"cpu_ratio{ending}"] = _ratio(runs, lambda run: 1 / run.cpu_us)
        at_rate(report, f"at {KEDA_RPS} calls/s", servers, asked, lengths)


def at_rate(
    report: Report, table: str, servers: Mapping[str, Server], asked: Sequence[Sequence[Call]], lengths: Lengths
) -> None:
    """Times from the moment a call was due, servers in turn: medians of the rounds, and the worst of all calls."""
    seen: dict[str, list[Seen]] = {kind: [] for kind in servers}
    for _ in range(lengths.open_rounds):
        for kind, server in servers.items():
            seen[kind].append(open_loop(server.port, asked, KEDA_RPS, lengths.open_seconds))
    for kind, rounds in seen.items():
        p99 = _times(report, table, kind, rounds)
        name = f"p99_ms_at_{KEDA_RPS}_rps"
        report.summary[name if kind == "headway" else f"{kind}_{name}"] = p99


def while_refreshing(report: Report, asked: Sequence[Sequence[Call]], lengths: Lengths, triggers: int) -> None:
    """Times while all triggers are refreshed, one refresh after another without a pause."""
    with started("refreshing", triggers, lengths, core=None) as server:
        for rate, name in (
            (MODEST_RPS, f"p99_ms_during_refresh_at_{MODEST_RPS}_rps"),
            (KEDA_RPS, "p99_ms_during_refresh"),
        ):
            rounds = [open_loop(server.port, asked, rate, lengths.open_seconds) for _ in range(lengths.open_rounds)]
            report.summary[name] = _times(report, "while all triggers refresh without a pause", f"at {rate}/s", rounds)


def kinds(report: Report, asked: Sequence[Sequence[Call]], lengths: Lengths) -> None:
    """Servers of each kind that Headway could stand on, with constants, over one connection as KEDA has."""
    with ExitStack() as running:
        servers = {kind: running.enter_context(started(kind, 0, lengths)) for kind in KINDS}
        servers["2 processes"] = running.enter_context(two_processes(lengths))
        for callers in lengths.callers:
            runs = in_turn(servers, asked, callers, max(2, lengths.rounds // 3), lengths.round_seconds)
            _show(report, "kinds of server, constants alone", callers, runs)


@dataclass(frozen=True, slots=True)
class Run:
    """One round of one server."""

    seen: Seen
    cpu_us: float
    """processor time of the server per call, in microseconds"""


def in_turn(
    servers: Mapping[str, Server], asked: Sequence[Sequence[Call]], callers: int, rounds: int, seconds: float
) -> dict[str, list[Run]]:
    """Short rounds of every server in turn, each time in the opposite order."""
    runs: dict[str, list[Run]] = {kind: [] for kind in servers}
    for turn in range(rounds):
        for kind in list(servers)[:: -1 if turn % 2 else 1]:
            before = servers[kind].cpu_seconds()
            seen = closed_loop(servers[kind].port, asked, callers, seconds)
            spent = servers[kind].cpu_seconds() - before
            runs[kind].append(Run(seen, 1e6 * spent / max(1, len(seen.calls))))
    return runs


def _ratio(runs: Mapping[str, list[Run]], figure: Callable[[Run], float]) -> float:
    pairs = [pair for pair in zip(runs["headway"], runs["bare"], strict=True) if all(run.seen.calls for run in pair)]
    return round(statistics.median(figure(ours) / figure(bare) for ours, bare in pairs), 4)


def _show(report: Report, table: str, callers: int, runs: Mapping[str, list[Run]]) -> None:
    for kind, each in runs.items():
        report.add(
            table,
            server=kind,
            callers=callers,
            calls_per_s=statistics.median(run.seen.per_second for run in each),
            p50_ms=statistics.median(run.seen.quantile_ms(0.5) for run in each),
            p99_ms=statistics.median(run.seen.quantile_ms(0.99) for run in each),
            cpu_us_per_call=statistics.median(run.cpu_us for run in each),
            failed=sum(run.seen.failed for run in each),
        )


def _times(report: Report, table: str, kind: str, rounds: Sequence[Seen]) -> float:
    p99 = statistics.median(seen.quantile_ms(0.99) for seen in rounds)
    report.add(
        table,
        server=kind,
        calls=sum(len(seen.calls) for seen in rounds),
        p50_ms=statistics.median(seen.quantile_ms(0.5) for seen in rounds),
        p99_ms=p99,
        least_p99_ms=min(seen.quantile_ms(0.99) for seen in rounds),
        worst_ms=max(seen.quantile_ms(1) for seen in rounds),
        failed=sum(seen.failed for seen in rounds),
    )
    return round(p99, 3)


@contextmanager
def started(
    kind: str, triggers: int, lengths: Lengths, core: int | None = SERVER_CORE, port: int = 0
) -> Iterator[Server]:
    """A server process that is ready to be called; it ends when we leave, or die."""
    command = [sys.executable, str(HERE / "rpc_server.py"), kind, "--triggers", str(triggers), "--port", str(port)]
    command += ["--core", str(core)] if core is not None else ["--all-cores"]
    command += ["--spellings", str(lengths.spellings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server {kind} did not start")
        try:
            yield Server([process.pid], json.loads(line)["port"])
        finally:
            process.stdin.close()
            process.wait(30)


@contextmanager
def two_processes(lengths: Lengths) -> Iterator[Server]:
    """Two bare servers that share a port, the second on the other processor."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with started("bare", 0, lengths, port=port) as first, started("bare", 0, lengths, CLIENT_CORE, port) as second:
        yield Server([*first.processes, *second.processes], port)


def prepared(triggers: int, spellings: int) -> list[list[Call]]:
    """The calls of all cycles, ready to be sent."""
    return [[call(method, request) for method, request in cycle.items()] for cycle in cycles(triggers, spellings)]


def machine() -> str:
    """A description of the machine, for later readers of the figures."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{len(CORES)} x {name}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if value < 100 else f"{value:.0f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds, under 50 s in all")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--triggers", type=int, default=10_000)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

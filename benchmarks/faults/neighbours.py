"""Hostile neighbours: another namespace does what it likes, and the bystander shares server and replica with it."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from scaler.commands.check.keda_client import OurTrigger
from tests.servers.front import ENDLESS, Asked, Front, Instead, Rule, front

from .kills import ROOT
from .prometheus_faults import PACKED, bomb
from .record import Injection, Row, Watch, fill
from .suite import Run
from .world import Group, replicas, settled, triggers

FAMILY = "neighbours"
HOSTILE = "shop"
LONG_SECONDS, QUICK_SECONDS = 25.0, 12.0
FLOOD_SECONDS = 90.0

BREAKOUTS = (
    "1) or (1",
    "1) or vector(0) or (1",
    "sum(up) #\rx",
    "sum(up) # (",
    'up{a="\\"}',
    "up{a='}'}",
    "label_replace(vector(0), '__headway__', '0', '', '')",
    "label_replace(vector(0), '__headway__', '1', '', '')",
    "{__name__=~'.+'}",
    "vector(0) or on() vector(0)",
    "scalar(vector(0))",
    "count_values('__headway__', vector(0))",
    "time()",
    "'text'",
    "up\\[",
    "((((((((((1))))))))))",
)


@dataclass(frozen=True)
class Neighbour:
    """One way to be hostile: queries that are registered, a rule of the shared server, a flood."""

    name: str
    queries: Sequence[str] = ()
    rule: Rule | None = None
    flood: tuple[str, int] | None = None
    http: bool = False


def _large() -> bytes:
    element = {"metric": {"pod": "a-rather-long-name-of-a-pod"}, "value": [0, "1"]}
    result = [{**element, "metric": {"pod": f"pod-{n}"}} for n in range(70_000)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def _to(needle: str, instead: Instead) -> Rule:
    def rule(asked: Asked) -> Instead | None:
        return instead if needle in asked.query else None

    return rule


def neighbours(quick: bool) -> list[Neighbour]:
    """All of them; with `quick`, a tenth of each flood."""
    odd = json.dumps({"status": "success", "data": {"resultType": "v" * 200_000, "result": []}}).encode()
    few = 10 if quick else 1
    return [
        Neighbour("200 queries of 9 s", [f"sum(slow_{n})" for n in range(200)], _to("slow_", Instead(after_seconds=9))),
        Neighbour(
            "60 queries without an end",
            [f"sum(never_{n})" for n in range(60)],
            _to("never_", Instead(after_seconds=600)),
        ),
        Neighbour(
            "gzip bombs of one tenant",
            [f"sum(bomb_{n})" for n in range(10)],
            _to("bomb_", Instead(bomb(), headers=PACKED)),
        ),
        Neighbour("20 answers of 70,000 elements", [f"large_{n}" for n in range(20)], _to("large_", Instead(_large()))),
        Neighbour(
            "20 answers of an unknown kind of 200 kB", [f"odd_{n}" for n in range(20)], _to("odd_", Instead(odd))
        ),
        *(
            Neighbour(f"20 times {name}", [f"endless_{number}_{n}" for n in range(20)], _to(f"endless_{number}_", one))
            for number, (name, one) in enumerate(ENDLESS.items())
        ),
        Neighbour("queries that break out of a joint query", BREAKOUTS),
        Neighbour("an object edited 2,000 times", flood=("edits", 2000 // few)),
        Neighbour("calls with 70,000 keys", flood=("keys", 300 // few)),
        Neighbour("calls with 3 MB of metadata", flood=("values", 300 // few)),
        Neighbour("5,000 streams", flood=("streams", 5000 // few)),
        Neighbour("3,000 idle connections", flood=("connections", 3000 // few)),
        Neighbour("300 HTTP readers that do not read", flood=("readers", 300 // few), http=True),
        Neighbour("100,000 triggers", flood=("triggers", 100_000 // few)),
    ]


QUICK = ("200 queries", "20 answers of 70,000", "queries that break")


def run_family(run: Run) -> None:
    """One replica, which all namespaces share."""
    with ExitStack() as stack:
        shared = stack.enter_context(front(run.prometheus.url))
        group = stack.enter_context(replicas(run.place("neighbours"), 1, "--prometheus", shared.url))
        wanted = triggers(shared.url)
        group.until_forecast(wanted)
        watches = stack.enter_context(group.watched(wanted))
        settled(watches, 1)
        start = time.time()
        time.sleep(5 if run.quick else 20)
        quiet = p99(watches, start, time.time())
        for one in neighbours(run.quick):
            if not run.quick or one.name.startswith(QUICK):
                run.add(_row(run, one, shared, group, watches, quiet))


def _row(run: Run, one: Neighbour, shared: Front, group: Group, watches: list[Watch], quiet: float) -> Row:
    settled(watches, 1)
    process = psutil.Process(group.replicas[0].process.process.pid)
    injections, ended, before = [], "", process.memory_info().rss
    most = before
    for _ in range(run.times(1)):
        start = time.time()
        with hostile(one, shared, group) as flood:
            while time.time() < start + (QUICK_SECONDS if run.quick else LONG_SECONDS) or (
                flood is not None and flood.poll() is None and time.time() < start + FLOOD_SECONDS
            ):
                most = max(most, process.memory_info().rss)
                time.sleep(0.2)
            ended = _ended(flood)
        injections.append(Injection(start, time.time()))
        settled(watches, 1, 30)
    row = fill(Row(FAMILY, one.name, len(injections)), watches, injections, time.time())
    worst = max(p99(watches, each.start, each.end) for each in injections)
    row.note = (
        f"{ended}p99 {1000 * worst:.1f} ms, quiet {1000 * quiet:.1f} ms; "
        f"memory {before / 2**20:.0f} to {most / 2**20:.0f} MB"
    )
    return row


def _ended(flood: subprocess.Popen[str] | None) -> str:
    """How its calls ended, where it is done."""
    if flood is None or flood.stdout is None:
        return ""
    if flood.poll() is None:
        return f"its calls went on for more than {FLOOD_SECONDS:.0f} s; "
    return f"calls ended with {flood.stdout.read().strip()}; "


@contextmanager
def hostile(one: Neighbour, shared: Front, group: Group) -> Iterator[subprocess.Popen[str] | None]:
    """The neighbour at work; yields its flood, where it sends one."""
    replica = group.replicas[0]
    if one.rule is not None:
        shared.rules.append(one.rule)
    for number, query in enumerate(one.queries):
        trigger = OurTrigger(0, HOSTILE, f"hostile-{number}", {"query": query, "threshold": "1"})
        replica.register(trigger)
    flood = None
    if one.flood is not None:
        address = replica.process.http_address if one.http else replica.process.grpc_address
        kind, count = one.flood
        command = [sys.executable, "-m", "benchmarks.faults.flood", kind, address, str(count)]
        flood = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield flood
    finally:
        if flood is not None:
            flood.kill()
            flood.wait()
        if one.rule is not None:
            shared.rules.remove(one.rule)


def p99(watches: Sequence[Watch], start: float, end: float) -> float:
    """Of the bystander's GetMetrics, in seconds."""
    waits = [one.wait_seconds for watch in watches for one in watch.since(start, end) if one.rpc == "GetMetrics"]
    return statistics.quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else 0.0

"""Two tenants and a bystander: what every module here starts from.

The tenants `shop` and `search` do what they like; the namespace `bystander` has one ordinary trigger, and the tests
look at what that one gets. Servers are real; `Front` stands before Prometheus where a test wants other answers.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from scaler.commands.check.keda_client import Call, KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running

SHOP, SEARCH, BYSTANDER = "shop", "search", "bystander"
DEMAND = "1000"
"""what the bystander's query returns, where a test does not say otherwise"""

_numbers = count()


def trigger(namespace: str, query: str, server: str = "", name: str = "", **keys: str) -> OurTrigger:
    """What KEDA would send for one trigger; every one gets a name of its own."""
    metadata = {"query": query, "threshold": "10", **keys}
    if server:
        metadata["serverAddress"] = server
    number = next(_numbers)
    return OurTrigger(number, namespace, name or f"web-{number}", metadata)


def bystander(server: str = "", query: str = f"vector({DEMAND})", **keys: str) -> OurTrigger:
    """The bystander's trigger: reactive, so that each answer is the observation."""
    return trigger(BYSTANDER, query, server, name="orders", **{"mode": "reactive", **keys})


@contextmanager
def replica(
    folder: Path, prometheus: str, *options: str, name: str = "scaler", environment: Mapping[str, str] | None = None
) -> Iterator["Replica"]:
    """A scaler process that reads `prometheus` every five seconds, and a client to call it with."""
    given = ("--prometheus", prometheus, "--refresh-interval", "5s", *options)
    with (
        scaler_running(folder, *given, name=name, environment=environment) as process,
        KedaClient(process.grpc_address, timeout_seconds=10) as client,
    ):
        yield Replica(process, client)


@dataclass
class Replica:
    """One scaler process, called as KEDA calls it."""

    process: ScalerProcess
    client: KedaClient
    calls: list[Call] = field(default_factory=list)

    def ask(self, wanted: OurTrigger) -> Call:
        """One GetMetrics; it is kept in `calls`."""
        call = self.client.metrics(wanted, "headway", "poll")
        self.calls.append(call)
        return call

    def register(self, wanted: Sequence[OurTrigger]) -> None:
        """Call once for each, whatever the answers are."""
        for one in wanted:
            self.client.is_active(one, "create")

    def until(self, wanted: OurTrigger, holds: Callable[[Call], bool], seconds: float = 60, pause: float = 0.1) -> Call:
        """Ask until an answer holds, and return it. Fails with the last answer after `seconds`."""
        deadline = time.monotonic() + seconds
        while not holds(call := self.ask(wanted)):
            assert time.monotonic() < deadline, f"not within {seconds} s; the last answer: {call}"
            time.sleep(pause)
        return call

    def until_value(self, wanted: OurTrigger, value: float, seconds: float = 60) -> Call:
        """Ask until the answer is at least `value`."""
        return self.until(wanted, lambda call: call.number is not None and call.number >= value, seconds)

    def poll(self, wanted: OurTrigger, seconds: float, pause: float = 0.05) -> list[Call]:
        """All answers in the next `seconds`."""
        answers = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answers.append(self.ask(wanted))
            time.sleep(pause)
        return answers

    def log(self) -> str:
        """All that the process logged."""
        return self.process.log.read_text(errors="replace")


def p99_milliseconds(calls: Sequence[Call]) -> float:
    """The 99th percentile of the calls' durations."""
    return statistics.quantiles([call.milliseconds for call in calls], n=100, method="inclusive")[98]


def figure(scaler: Replica, name: str) -> float:
    """A figure without labels, or with these, of /metrics."""
    text = httpx.get(f"http://{scaler.process.http_address}/metrics", trust_env=False).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0

"""What a hostile namespace costs a bystander: its calls, its step of demand, and the memory of the replica they share.

    python -m benchmarks.faults.bystander [--quick] [--json FILE]

A scaler process reads a real Prometheus. A process of its own calls the bystander's GetMetrics every 5 ms, while nobody
else is there and then beside a hostile neighbour of neighbours.py; the figure is the ratio of the two p99. How much of
it is the machine's is shown by `elsewhere_ms`: the p99 of another scaler process while the neighbour is at the first.
Every neighbour gets processes of its own. The demand then grows tenfold while 200 queries of 9 s run. Last, 100,000
different triggers are sent to a new process.
"""

import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import psutil
import typer

from scaler.commands.check.keda_client import OurTrigger
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from tests.servers.front import Front, front
from tests.servers.prometheus import prometheus

from .flood import triggers as flood_of_triggers
from .neighbours import Neighbour, hostile, neighbours
from .world import REFRESH_SECONDS, Group, Replica, replicas

PAUSE_SECONDS = 0.005
STEP_FROM, STEP_TO = 1000.0, 10_000.0
SLOW = "200 queries of 9 s"


@dataclass(frozen=True)
class Place:
    """What runs: the shared server, the replica, and the process that calls for the bystander."""

    shared: Front
    group: Group
    caller: ProcessPoolExecutor

    @property
    def replica(self) -> Replica:
        """The replica that the neighbours share."""
        return self.group.replicas[0]

    def p99_ms(self, wanted: OurTrigger, seconds: float, number: int = 0) -> float:
        """Of the bystander's calls to a replica in the next `seconds`."""
        address = self.group.replicas[number].process.grpc_address
        request = wire.GetMetricsRequest(scaledObjectRef=wanted.reference, metricName="headway").SerializeToString()
        taken = self.caller.submit(called, address, request, seconds).result()
        return 1000 * statistics.quantiles(taken, n=100, method="inclusive")[98]


_channels: dict[str, grpc.Channel] = {}
"""of the calling process, which keeps its connection as KEDA does"""


def called(address: str, request: bytes, seconds: float) -> list[float]:
    """The seconds that each GetMetrics took. Raises RuntimeError where one fails: a bystander's call never does."""
    if address not in _channels:
        _channels[address] = grpc.insecure_channel(address)
    ask = ExternalScalerStub(_channels[address]).GetMetrics  # type: ignore[no-untyped-call]
    message = wire.GetMetricsRequest.FromString(request)
    taken = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        try:
            ask(message, timeout=30)
        except grpc.RpcError as error:
            raise RuntimeError(f"a call of the bystander failed: {error.code().name}: {error.details()}") from None
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE_SECONDS)
    return taken


def main(
    quick: Annotated[bool, typer.Option("--quick", help="three neighbours, 10,000 triggers")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    summary = _calls(quick)
    with _place() as place:
        summary |= _step(place, times=1 if quick else 3)
    with _place() as place:
        summary |= _memory(place, 10_000 if quick else 100_000)
    for name, value in summary.items():
        print(f"{name:>60} {value:10.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


@contextmanager
def _place() -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory(prefix="headway-isolation-") as folder,
        prometheus(Path(folder) / "prometheus") as server,
        front(server.url) as shared,
        # Connections live for the whole run: while a neighbour holds all that there may be, no new one is taken.
        replicas(Path(folder), 2, "--prometheus", shared.url, "--max-connection-age", "1h") as group,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as caller,
    ):
        yield Place(shared, group, caller)


def _bystander(query: str = "vector(1000)", name: str = "orders") -> OurTrigger:
    return OurTrigger(0, "bystander", name, {"query": query, "threshold": "10", "mode": "reactive"})


def _calls(quick: bool) -> dict[str, float]:
    """Each neighbour beside a process of its own: what earlier ones left behind would count as quiet."""
    tried: list[Neighbour] = neighbours(quick)
    summary: dict[str, float] = {}
    for one in tried[:: 6 if quick else 1]:
        with _place() as place:
            summary |= _beside(place, one, 8.0 if quick else 12.0)
    summary["worst_p99_ratio"] = max(value for name, value in summary.items() if name.startswith("p99_ratio"))
    return summary


def _beside(place: Place, one: Neighbour, seconds: float) -> dict[str, float]:
    wanted = _bystander()
    for number, replica in enumerate(place.group.replicas):
        _until(replica, wanted, 1000.0, 30)
        place.p99_ms(wanted, 2, number)  # the caller's own start
    quiet = place.p99_ms(wanted, seconds)
    found = []
    for number in range(len(place.group.replicas)):
        with hostile(one, place.shared, place.group):
            time.sleep(1)
            found.append(place.p99_ms(wanted, seconds, number))
        time.sleep(1)
    together, elsewhere = found
    figures = {"quiet_ms": quiet, "elsewhere_ms": elsewhere, "p99_ms": together, "p99_ratio": together / quiet}
    return {f"{name}_{named(one)}": value for name, value in figures.items()}


def named(one: Neighbour) -> str:
    """Its name as a part of a figure's."""
    return re.sub(r"\W+", "_", one.name.lower())


def _step(place: Place, times: int) -> dict[str, float]:
    """Refresh intervals from the step of the bystander's demand to the first answer that has it."""
    [slow] = [one for one in neighbours(quick=False) if one.name == SLOW]
    taken = []
    with hostile(slow, place.shared, place.group):
        time.sleep(6 * REFRESH_SECONDS)
        for number in range(times):
            # at another point of the interval each time
            at = time.time() + 3 * REFRESH_SECONDS + number * REFRESH_SECONDS / times
            query = f"vector({STEP_FROM:g}) + {STEP_TO - STEP_FROM:g} * (vector(time()) >= bool {at:.3f})"
            wanted = _bystander(query, name=f"step-{number}")
            _until(place.replica, wanted, STEP_FROM, 3 * REFRESH_SECONDS)
            taken.append((_until(place.replica, wanted, STEP_TO, 60) - at) / REFRESH_SECONDS)
    return {"step_answered_intervals": statistics.median(taken), "step_answered_intervals_worst": max(taken)}


def _until(replica: Replica, wanted: OurTrigger, value: float, seconds: float) -> float:
    """The moment of the first answer that is at least `value`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        call = replica.client.metrics(wanted, "headway", "poll")
        if call.number is not None and call.number >= value:
            return time.time()
        time.sleep(0.02)
    raise TimeoutError(f"no answer of {value:g} within {seconds:g} s")


def _memory(place: Place, count: int) -> dict[str, float]:
    _until(place.replica, _bystander(), 1000.0, 30)
    process = psutil.Process(place.replica.process.process.pid)
    before = most = process.memory_info().rss
    for _ in range(10):
        flood_of_triggers(place.replica.process.grpc_address, count // 10)
        most = max(most, process.memory_info().rss)
    time.sleep(3 * REFRESH_SECONDS)
    after = process.memory_info().rss
    megabyte = 2.0**20
    return {
        "hostile_triggers": float(count),
        "memory_before_mb": before / megabyte,
        "memory_most_mb": most / megabyte,
        "memory_after_mb": after / megabyte,
        "memory_ratio": after / before,
        "memory_ratio_most": most / before,
    }


if __name__ == "__main__":
    typer.run(main)

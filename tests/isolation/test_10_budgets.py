"""One namespace cannot use up what all need: triggers, streams, connections, memory, and the time of a call."""

import math
import re
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest

from scaler.commands.check.keda_client import Call, KedaClient
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from tests.isolation.world import BYSTANDER, SHOP, Replica, bystander, replica, trigger
from tests.servers.prometheus import PrometheusServer

pytestmark = pytest.mark.server

EXHAUSTED = "RESOURCE_EXHAUSTED"


def reference(namespace: str, name: str, number: int, **more: str) -> wire.ScaledObjectRef:
    metadata = {"query": f"vector({number})", "threshold": "10", "mode": "reactive", **more}
    return wire.ScaledObjectRef(namespace=namespace, name=name, scalerMetadata=metadata)


@contextmanager
def caller(it: Replica) -> Iterator[Any]:
    """A connection of its own, as another client has it."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(it.process.grpc_address, options) as channel:
        yield ExternalScalerStub(channel)  # type: ignore[no-untyped-call]


def ask(stub: Any, ref: wire.ScaledObjectRef) -> tuple[str, str]:
    """Status and text of one GetMetrics."""
    try:
        stub.GetMetrics(wire.GetMetricsRequest(scaledObjectRef=ref, metricName="headway"), timeout=30)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def register(it: Replica, refs: Iterator[wire.ScaledObjectRef]) -> tuple[Counter[str], str]:
    """How many calls ended how, and the last text of a refusal."""
    statuses: Counter[str] = Counter()
    said = ""
    with caller(it) as stub:
        for ref in refs:
            status, text = ask(stub, ref)
            statuses[status] += 1
            said = text if status == EXHAUSTED else said
    return statuses, said


def figures(it: Replica, name: str) -> Mapping[str, float]:
    """The values of one figure by its labels."""
    page = httpx.get(f"http://{it.process.http_address}/metrics", timeout=30).text
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(\S*) (\S+)$", page, re.MULTILINE)}


def megabytes(it: Replica) -> float:
    return float(psutil.Process(it.process.process.pid).memory_info().rss) / 2**20


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)


def test_a_flood_of_triggers_ends_in_refusals(metrics: PrometheusServer, tmp_path: Path) -> None:
    """The namespace that floods is told its quota; what it has stays; the others go on, with new triggers, too."""
    with replica(tmp_path, metrics.url, "--max-triggers-per-namespace", "50") as it:
        it.until_value(bystander(), 1000)
        statuses, said = register(it, (reference(SHOP, f"web-{number}", number) for number in range(500)))
        assert statuses[EXHAUSTED] == 450
        for part in ("max-triggers-per-namespace", "namespace shop has 50 of 50 triggers", "Delete", "operator"):
            assert part in said
        assert it.ask(bystander()).number == 1000
        it.until_value(trigger(BYSTANDER, "vector(7)", mode="reactive"), 7)
        refused = trigger(SHOP, "vector(7)", threshold="25")
        assert it.client.is_active(refused, "poll").status == EXHAUSTED
        assert it.client.metric_spec(refused, "poll").number == 25
        first = trigger(SHOP, "vector(0)", name="web-0", mode="reactive")
        it.until(first, lambda call: call.status == "OK")
        own = '{quota="triggers-per-namespace"}'
        assert figures(it, "headway_quota_used")[own] == figures(it, "headway_quota_limit")[own] == 50
        assert figures(it, "headway_quota_refused_total")[own] >= 450


def test_greedy_namespaces_together_leave_room(metrics: PrometheusServer, tmp_path: Path) -> None:
    """Twenty namespaces take what they get; one that has few still registers."""
    with replica(tmp_path, metrics.url, "--max-triggers", "300", "--max-triggers-per-namespace", "100") as it:
        greedy = (reference(f"greedy-{number % 10}", f"web-{number}", number) for number in range(600))
        statuses, said = register(it, greedy)
        assert statuses[EXHAUSTED] == 330
        assert "all namespaces together have 270 of 300 triggers" in said
        it.until_value(bystander(), 1000)


def test_an_editor_meets_no_quota(metrics: PrometheusServer, tmp_path: Path) -> None:
    """A hundred edits of one object are one object: the newest is answered, and the old ones are not watched on."""
    with replica(tmp_path, metrics.url, "--max-triggers-per-namespace", "40") as it:
        statuses, said = register(it, (reference(SHOP, "web", number) for number in range(1, 101)))
        assert (statuses[EXHAUSTED], said) == (0, "")
        newest = trigger(SHOP, "vector(100)", name="web", mode="reactive")
        it.until_value(newest, 100)
        assert figures(it, "headway_quota_used")['{quota="triggers"}'] <= 40
        until(lambda: figures(it, "headway_watched_triggers").get("", math.inf) <= 40, 30)  # known after a refresh
        until(lambda: figures(it, "headway_refreshed_triggers").get("", math.inf) <= 40, 30)


def test_hostile_triggers_take_a_bounded_amount_of_memory(metrics: PrometheusServer, tmp_path: Path) -> None:
    """At most twice what it was, however many they are; expired ones give it back."""
    options = ("--max-triggers-per-namespace", "600", "--trigger-expiry", "45s")
    with replica(tmp_path, metrics.url, *options) as it:
        it.until_value(trigger(BYSTANDER, "vector(1000)", name="forecast"), 1)
        it.until_value(bystander(), 1000)
        time.sleep(6)
        before = megabytes(it)
        text = "x" * 3000
        flood = (reference(SHOP, f"web-{n}", n, query=f"vector({n}) # {text}", scalerAddress=text) for n in range(4000))
        statuses, _ = register(it, flood)
        assert statuses[EXHAUSTED] > 2000
        until(lambda: it.ask(bystander()).number == 1000 and figures(it, "headway_watched_triggers")[""] <= 2, 150)
        assert megabytes(it) <= 2 * before
        until(lambda: megabytes(it) <= 1.5 * before, 60)


def test_metadata_is_bounded_before_it_is_read(metrics: PrometheusServer, tmp_path: Path) -> None:
    """70,000 keys in a loop: their sender gets one error, and the others' answers come as before."""
    huge = reference(SHOP, "web", 1, **{f"key-{number}": "v" for number in range(70_000)})
    many = reference(SHOP, "web", 1, **{f"key-{number}": "v" for number in range(2_000)})
    with replica(tmp_path, metrics.url) as it:
        it.until_value(bystander(), 1000)
        quiet = it.poll(bystander(), 5)
        ended = threading.Event()
        refusals: Counter[tuple[str, str]] = Counter()

        def flood() -> None:
            with caller(it) as stub:
                while not ended.is_set():
                    refusals[ask(stub, huge)] += 1
                    refusals[ask(stub, many)] += 1

        thread = threading.Thread(target=flood)
        thread.start()
        hostile = it.poll(bystander(), 5)
        ended.set()
        thread.join()
        of_grpc, own = refusals
        assert of_grpc[0] == EXHAUSTED
        assert (own[0], "at most 64 keys" in own[1]) == ("INVALID_ARGUMENT", True)
        assert all(call.number == 1000 for call in hostile)
        assert median(hostile) < 20 * max(1.0, median(quiet))


def median(calls: list[Call]) -> float:
    return statistics.median(call.milliseconds for call in calls)


def test_streams_of_one_namespace_leave_room(metrics: PrometheusServer, tmp_path: Path) -> None:
    """Beyond its quota a namespace gets an error at once; a stream that ends makes room; another's opens."""
    with replica(tmp_path, metrics.url, "--max-streams-per-namespace", "5") as it, caller(it) as stub:
        it.until_value(bystander(), 1000)
        with ExitStack() as opened:
            for number in range(5):
                stream = stub.StreamMetricSpec(reference(SHOP, f"web-{number}", number))
                opened.callback(stream.cancel)
                next(stream)
            with pytest.raises(grpc.RpcError) as refused:
                next(stub.StreamIsActive(reference(SHOP, "web-0", 0)))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "namespace shop has 5 of 5 streams" in refused.value.details()
            assert it.client.first_pushed(bystander()).number == 1
            assert figures(it, "headway_quota_used")['{quota="streams-per-namespace"}'] == 5

        def opens_again() -> bool:
            with suppress(grpc.RpcError):
                return next(stub.StreamMetricSpec(reference(SHOP, "web-0", 0))) is not None
            return False

        until(opens_again, 10)


def test_connections_that_say_nothing_end(metrics: PrometheusServer, tmp_path: Path) -> None:
    """More than allowed are closed at once, the others after a few seconds; then a new client gets in."""
    with replica(tmp_path, metrics.url, "--max-connections", "20") as it, ExitStack() as opened:
        it.until_value(bystander(), 1000)
        host, _, port = it.process.grpc_address.rpartition(":")
        idle = [opened.enter_context(socket.create_connection((host, int(port)))) for _ in range(40)]
        assert it.ask(bystander()).number == 1000

        def closed() -> int:
            return sum(_is_closed(one) for one in idle)

        until(lambda: 21 <= closed() < 40, 20)
        until(lambda: closed() == 40, 60)
        with KedaClient(it.process.grpc_address, timeout_seconds=10) as other:
            assert other.metrics(bystander(), "headway", "poll").number == 1000


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

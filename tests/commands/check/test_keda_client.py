"""The client against a real gRPC server whose answers are scripted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import trustme

from scaler.commands.check.keda_client import (
    METRIC_FAILED,
    NO_VALUE,
    SPEC_FAILED,
    Call,
    KedaClient,
    OurTrigger,
    ScalerTls,
    keda_calls,
)
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerServicer, add_ExternalScalerServicer_to_server


class Scripted(ExternalScalerServicer):
    """Answers what it was given; an exception-free stand-in for any external scaler."""

    def __init__(self, specs: list[wire.MetricSpec], values: list[wire.MetricValue], fail: str = "") -> None:
        self.specs, self.values, self.fail = specs, values, fail
        self.heard: list[str] = []

    def _hear(self, rpc: str, context: Any) -> None:
        self.heard.append(rpc)
        if rpc == self.fail:
            context.abort(grpc.StatusCode.UNAVAILABLE, "waiting for the first observation")

    def GetMetricSpec(self, request: Any, context: Any) -> wire.GetMetricSpecResponse:
        self._hear("GetMetricSpec", context)
        return wire.GetMetricSpecResponse(metricSpecs=self.specs)

    def GetMetrics(self, request: Any, context: Any) -> wire.GetMetricsResponse:
        self._hear("GetMetrics", context)
        return wire.GetMetricsResponse(metricValues=self.values)

    def IsActive(self, request: Any, context: Any) -> wire.IsActiveResponse:
        self._hear("IsActive", context)
        return wire.IsActiveResponse(result=True)

    def StreamIsActive(self, request: Any, context: Any) -> Iterator[wire.IsActiveResponse]:
        self._hear("StreamIsActive", context)
        yield wire.IsActiveResponse(result=False)


SPEC = wire.MetricSpec(metricName="demand", targetSize=10, targetSizeFloat=10)
VALUE = wire.MetricValue(metricName="demand", metricValue=43, metricValueFloat=42.5)


@contextmanager
def serving(servicer: Scripted, credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    add_ExternalScalerServicer_to_server(servicer, server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def ask(servicer: Scripted, count: int = 1, push: bool = False) -> list[Call]:
    triggers = [OurTrigger(index, "shop", "web", {"query": "q"}, push) for index in range(count)]
    with serving(servicer) as address, KedaClient(address) as client:
        return list(keda_calls(client, triggers))


def test_calls_come_in_kedas_order() -> None:
    """Create, then a poll, then an HPA sync: spec, metrics, activity."""
    servicer = Scripted([SPEC], [VALUE])
    ask(servicer)
    cycle = ["GetMetricSpec", "GetMetrics", "IsActive"]
    assert servicer.heard == ["GetMetricSpec", *cycle, *cycle]


def test_an_hpa_sync_asks_every_trigger_for_every_metric() -> None:
    """Two triggers make four spec calls in one HPA sync."""
    calls = ask(Scripted([SPEC], [VALUE]), count=2)
    specs = [call.trigger for call in calls if call.phase == "HPA sync" and call.rpc == "GetMetricSpec"]
    assert specs == [0, 1, 0, 1]


def test_push_triggers_are_asked_for_their_first_message() -> None:
    """An external-push trigger streams; the first message is its state now."""
    (pushed,) = [call for call in ask(Scripted([SPEC], [VALUE]), push=True) if call.phase == "push"]
    assert (pushed.rpc, pushed.answer) == ("StreamIsActive", "inactive")


def test_good_answers_carry_their_numbers() -> None:
    """Target, value and activity as KEDA reads them."""
    numbers = {call.rpc: (call.answer, call.number, call.error) for call in ask(Scripted([SPEC], [VALUE]))}
    assert numbers == {
        "GetMetricSpec": ("demand target 10", 10.0, ""),
        "GetMetrics": ("42.5", 42.5, ""),
        "IsActive": ("active", 1.0, ""),
    }


@pytest.mark.parametrize(
    ("servicer", "rpc", "error", "consequence"),
    [
        (Scripted([SPEC], [VALUE], "GetMetricSpec"), "GetMetricSpec", "UNAVAILABLE: waiting for", SPEC_FAILED),
        (Scripted([SPEC], [VALUE], "GetMetrics"), "GetMetrics", "UNAVAILABLE: waiting for", METRIC_FAILED),
        (Scripted([SPEC], [VALUE], "IsActive"), "IsActive", "UNAVAILABLE: waiting for", METRIC_FAILED),
        (Scripted([], [VALUE]), "GetMetricSpec", "list of specs is empty", SPEC_FAILED),
        (Scripted([SPEC], []), "GetMetrics", "list of values is empty", NO_VALUE),
        (Scripted([SPEC], [VALUE, VALUE]), "GetMetrics", "the HPA adds them up", METRIC_FAILED),
        (Scripted([SPEC], [wire.MetricValue(metricValueFloat=float("inf"))]), "GetMetrics", "no demand", METRIC_FAILED),
        (Scripted([SPEC], [wire.MetricValue(metricValueFloat=-3.2, metricValue=-7)]), "GetMetrics", "no demand",
         METRIC_FAILED),
        (Scripted([wire.MetricSpec(targetSizeFloat=0.0004)], [VALUE]), "GetMetricSpec", "becomes 0", SPEC_FAILED),
    ],
)  # fmt: skip
def test_bad_answers_tell_what_keda_makes_of_them(servicer: Scripted, rpc: str, error: str, consequence: str) -> None:
    """Each failure is shown with its consequence for the ScaledObject."""
    call = next(call for call in ask(servicer) if call.rpc == rpc)
    assert error in call.error
    assert call.consequence == consequence


def test_after_a_failed_spec_nothing_else_is_asked() -> None:
    """KEDA reaches neither metrics nor activity when the spec fails, and neither does the client."""
    servicer = Scripted([], [VALUE])
    ask(servicer)
    assert set(servicer.heard) == {"GetMetricSpec"}


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is told apart from a scaler that says it is not ready."""
    with serving(Scripted([SPEC], [VALUE])) as address:
        pass
    trigger = OurTrigger(0, "shop", "web", {})
    with KedaClient(address, timeout_seconds=2) as client:
        refused = client.metric_spec(trigger, "poll")
    with serving(Scripted([SPEC], [VALUE], "GetMetricSpec")) as address, KedaClient(address) as client:
        unready = client.metric_spec(trigger, "poll")
    assert (refused.unreachable, unready.unreachable) == (True, False)


def test_mutual_tls_with_files_as_keda_has_them() -> None:
    """With CA, certificate and key the scaler answers; without them it is unreachable."""
    authority = trustme.CA()
    ca = authority.cert_pem.bytes()
    own, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("keda")
    pairs = [(own.private_key_pem.bytes(), b"".join(blob.bytes() for blob in own.cert_chain_pems))]
    credentials = grpc.ssl_server_credentials(pairs, ca, require_client_auth=True)
    tls = ScalerTls(False, ca, client.cert_chain_pems[0].bytes(), client.private_key_pem.bytes())
    trigger = OurTrigger(0, "shop", "web", {})
    with serving(Scripted([SPEC], [VALUE]), credentials) as address:
        with KedaClient(address, tls) as trusted:
            assert trusted.metric_spec(trigger, "poll").answer == "demand target 10"
        with KedaClient(address, timeout_seconds=2) as plain:
            assert plain.metric_spec(trigger, "poll").unreachable


@pytest.mark.parametrize("address", ["headway.example:50051", "dns:///headway.example:50051"])
def test_a_scaler_behind_a_proxy(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The proxy that could not be reached is named; gRPC does not read the environment itself."""
    monkeypatch.setenv("https_proxy", "http://me:s3cret@127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "fd02::/112")
    with KedaClient(address, timeout_seconds=5) as client:
        call = client.metric_spec(OurTrigger(0, "shop", "web", {}), "create")
    assert call.unreachable
    assert "(through the proxy http://127.0.0.1:1, from https_proxy)" in call.error
    assert "s3cret" not in call.error


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
@pytest.mark.parametrize("prefix", ["", "dns:///", "dns:"])
def test_a_scaler_on_this_machine_is_never_called_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str, prefix: str
) -> None:
    """A port forward, say."""
    for variable in ("grpc_proxy", "https_proxy", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy)
    with serving(Scripted([SPEC], [VALUE])) as address, KedaClient(f"{prefix}{address}") as client:
        assert client.metric_spec(OurTrigger(0, "shop", "web", {}), "poll").answer == "demand target 10"


def test_a_plain_call_at_a_port_with_tls_names_the_flags() -> None:
    """The library says only that the socket closed. With the flags there is nothing to add."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pair = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())
    with serving(Scripted([SPEC], [VALUE]), grpc.ssl_server_credentials([pair])) as address:
        trigger = OurTrigger(0, "shop", "web", {"query": "q"})
        with KedaClient(address) as client:
            plain = client.metric_spec(trigger, "create")
        with KedaClient(address, ScalerTls(ca_cert=trustme.CA().cert_pem.bytes())) as client:
            distrusting = client.metric_spec(trigger, "create")
    assert plain.unreachable
    assert "give --tls or --ca-cert" in plain.error
    assert "--ca-cert" not in distrusting.error


def test_texts_of_a_scaler_are_bounded() -> None:
    """Any scaler may answer at the address, also with megabytes."""
    long = wire.MetricSpec(metricName="x" * 10**6, targetSizeFloat=1)
    [call] = ask(Scripted([long], [VALUE]))[:1]
    assert len(call.answer) < 3000
    assert call.error == "the metric's name has 1000000 characters"

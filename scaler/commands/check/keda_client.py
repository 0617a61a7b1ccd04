"""KEDA's calls in KEDA's order, made by a plain gRPC client, and what KEDA would do with each answer.

The order, what several values or odd numbers lead to, and what each failure costs follow KEDA 2.20
(pkg/scalers/external_scaler.go, pkg/scaling/scale_handler.go).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import grpc

from scaler.http.client import environment_proxy, through
from scaler.http.proxies import Proxy
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from scaler.trigger import DEMAND_LIMIT
from scaler.words.numbers import figure

_Reply = TypeVar("_Reply")
_Answered: TypeAlias = tuple[str, str, float | None]
"""what to show, what is wrong with it, the number that KEDA reads"""

SPEC_FAILED = (
    "every metric of this ScaledObject fails in the HPA, healthy triggers too, and KEDA's fallback never starts"
)
METRIC_FAILED = "this metric alone fails: other triggers may still scale up, nothing scales down; fallback counts it"
NO_VALUE = "the HPA holds, the fallback counter is reset, and no event reports it"
STREAM_FAILED = "KEDA tries again after 2 s, 4 s … 60 s; waking from zero waits for the poll"

_NO_CONNECTION = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "errors resolving",
    "Socket closed",
)
"""texts of the gRPC library where no server answered; the text of a scaler's own UNAVAILABLE differs"""

LONGEST_SHOWN = 2000
"""characters of a scaler's text; Headway's own errors are shorter"""

_ENDED_AT_ONCE = "Socket closed"
"""text of the gRPC library where the other side ended the connection before it answered"""
_NEEDS_TLS = " (a port with TLS? give --tls or --ca-cert; with mTLS also --client-cert and --client-key)"


@dataclass(frozen=True, slots=True)
class ScalerTls:
    """PEM contents for the connection; `on` alone takes the system's authorities."""

    on: bool = False
    ca_cert: bytes | None = None
    client_cert: bytes | None = None
    client_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class OurTrigger:
    """What KEDA sends: one trigger's verbatim metadata, and which type it has."""

    index: int
    namespace: str
    name: str
    metadata: Mapping[str, str]
    push: bool = False

    @property
    def reference(self) -> wire.ScaledObjectRef:
        return wire.ScaledObjectRef(namespace=self.namespace, name=self.name, scalerMetadata=dict(self.metadata))


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its answer. `error` is empty where KEDA accepts the answer; `consequence` says what follows else."""

    rpc: str
    trigger: int
    phase: str
    milliseconds: float
    answer: str
    status: str = "OK"
    error: str = ""
    consequence: str = ""
    number: float | None = None
    """target of a spec, value of a metric, 1 or 0 for activity; None without"""

    @property
    def unreachable(self) -> bool:
        """Nobody answered at all, as opposed to a scaler that says that it is not ready."""
        if self.status == "UNAVAILABLE":
            return any(words in self.error for words in _NO_CONNECTION)
        return self.status == "DEADLINE_EXCEEDED"


class KedaClient:
    """One channel to a scaler, balanced over its addresses as KEDA does. Calls end after `timeout_seconds`."""

    def __init__(self, address: str, tls: ScalerTls | None = None, timeout_seconds: float = 5.0) -> None:
        proxy = environment_proxy(f"https://{_host_of(address)}")
        options = [("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'), *_proxy_options(proxy)]
        self._through = through(proxy)
        credentials = _credentials(tls or ScalerTls())
        self._plain = credentials is None
        self._channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        self._stub: Any = ExternalScalerStub(self._channel)  # type: ignore[no-untyped-call]
        self._timeout = timeout_seconds

    def __enter__(self) -> "KedaClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def metric_spec(self, trigger: OurTrigger, phase: str) -> Call:
        def ask() -> wire.GetMetricSpecResponse:
            reply: wire.GetMetricSpecResponse = self._stub.GetMetricSpec(trigger.reference, timeout=self._timeout)
            return reply

        return self._timed("GetMetricSpec", trigger, phase, ask, _read_spec, SPEC_FAILED)

    def metrics(self, trigger: OurTrigger, metric_name: str, phase: str) -> Call:
        request = wire.GetMetricsRequest(scaledObjectRef=trigger.reference, metricName=metric_name)

        def ask() -> wire.GetMetricsResponse:
            reply: wire.GetMetricsResponse = self._stub.GetMetrics(request, timeout=self._timeout)
            return reply

        return self._timed("GetMetrics", trigger, phase, ask, _read_values, METRIC_FAILED)

    def is_active(self, trigger: OurTrigger, phase: str) -> Call:
        def ask() -> wire.IsActiveResponse:
            reply: wire.IsActiveResponse = self._stub.IsActive(trigger.reference, timeout=self._timeout)
            return reply

        return self._timed("IsActive", trigger, phase, ask, _read_active, METRIC_FAILED)

    def first_pushed(self, trigger: OurTrigger) -> Call:
        """The first message of StreamIsActive: KEDA expects the current state at once."""

        def ask() -> wire.IsActiveResponse:
            stream = self._stub.StreamIsActive(trigger.reference, timeout=self._timeout)
            try:
                first: wire.IsActiveResponse = next(iter(stream))
                return first
            finally:
                stream.cancel()

        return self._timed("StreamIsActive", trigger, "push", ask, _read_active, STREAM_FAILED)

    def _timed(
        self,
        rpc: str,
        trigger: OurTrigger,
        phase: str,
        ask: Callable[[], _Reply],
        read: Callable[[_Reply], _Answered],
        on_failure: str,
    ) -> Call:
        call = _timed(rpc, trigger, phase, ask, read, on_failure)
        if not call.unreachable:
            return call
        hint = _NEEDS_TLS if self._plain and _ENDED_AT_ONCE in call.error else ""
        return replace(call, error=call.error + hint + self._through)


def keda_calls(client: KedaClient, triggers: Sequence[OurTrigger]) -> Iterator[Call]:
    """The calls for one ScaledObject as they are answered: create, push, one poll, one HPA sync.

    Ends early where no scaler answers. On an HPA sync every metric's fetch asks all triggers for their specs:
    T triggers, T × T specs.
    """
    for trigger in triggers:
        created = client.metric_spec(trigger, "create")
        yield created
        if created.unreachable:
            return
    for trigger in triggers:
        if trigger.push:
            yield client.first_pushed(trigger)
    for trigger in triggers:
        yield from _fetch(client, trigger, [trigger], "poll")
    for trigger in triggers:
        yield from _fetch(client, trigger, triggers, "HPA sync")


def _fetch(client: KedaClient, trigger: OurTrigger, asked: Sequence[OurTrigger], phase: str) -> Iterator[Call]:
    specs = {one.index: client.metric_spec(one, phase) for one in asked}
    yield from specs.values()
    own = specs[trigger.index]
    if any(spec.number is None for spec in specs.values()):
        return
    metrics = client.metrics(trigger, own.answer.split(" ")[0], phase)
    yield metrics
    if metrics.status == "OK":
        yield client.is_active(trigger, phase)


def _timed(
    rpc: str,
    trigger: OurTrigger,
    phase: str,
    ask: Callable[[], _Reply],
    read: Callable[[_Reply], _Answered],
    on_failure: str,
) -> Call:
    begun = time.perf_counter()
    try:
        reply = ask()
    except (grpc.RpcError, StopIteration) as error:
        status, details = _described(error)
        return Call(rpc, trigger.index, phase, _since(begun), "", status, f"{status}: {details}", on_failure)
    taken = _since(begun)
    answer, fault, number = read(reply)
    consequence = "" if not fault else (NO_VALUE if rpc == "GetMetrics" and number is None else on_failure)
    return Call(rpc, trigger.index, phase, taken, answer, "OK", fault, consequence, number)


def _described(error: BaseException) -> tuple[str, str]:
    if isinstance(error, grpc.Call):
        return error.code().name, _bounded(error.details() or "no details")
    return "OK", "the stream ended before its first message"


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def _read_spec(reply: wire.GetMetricSpecResponse) -> _Answered:
    if not reply.metricSpecs:
        return "no spec", "the list of specs is empty", None
    spec = reply.metricSpecs[0]
    target = as_keda_reads(spec.targetSizeFloat, spec.targetSize)
    fault = ""
    if len(reply.metricSpecs) > 1:
        fault = "several specs: KEDA uses only one reliably"
    elif not target >= 0.0005:
        fault = f"target {target:g} becomes 0 and the API server rejects the HPA"
    if len(spec.metricName) > LONGEST_SHOWN:
        return _bounded(spec.metricName), f"the metric's name has {len(spec.metricName)} characters", None
    return f"{spec.metricName} target {figure(target)}", fault, target


def _read_values(reply: wire.GetMetricsResponse) -> _Answered:
    if not reply.metricValues:
        return "no value", "the list of values is empty", None
    value = reply.metricValues[0]
    number = as_keda_reads(value.metricValueFloat, value.metricValue)
    fault = ""
    if len(reply.metricValues) > 1:
        fault = "several values: the HPA adds them up"
    elif not math.isfinite(value.metricValueFloat) or not 0 <= number < DEMAND_LIMIT:
        fault = f"{value.metricValueFloat} is no demand"
    return figure(number), fault, number


def _read_active(reply: wire.IsActiveResponse) -> _Answered:
    return ("active" if reply.result else "inactive"), "", float(reply.result)


def as_keda_reads(as_float: float, as_integer: int) -> float:
    """The number that KEDA (2.17 and newer) takes from the two fields: the float where it is above 0."""
    return as_float if as_float > 0 else float(as_integer)


def _host_of(address: str) -> str:
    """HOST:PORT of a gRPC target such as dns:///HOST:PORT; empty for one that is no host, as unix:PATH."""
    scheme, separator, rest = address.rpartition("://")
    if scheme in ("", "dns") and not address.startswith("unix:"):
        return rest.rpartition("/")[2] if separator else address.removeprefix("dns:")
    return ""


def _proxy_options(proxy: Proxy | None) -> list[tuple[str, Any]]:
    """gRPC's own reading of the environment is off, so that NO_PROXY means the same for every request of Headway."""
    return [("grpc.enable_http_proxy", 0)] if proxy is None else [("grpc.http_proxy", proxy.url)]


def _credentials(tls: ScalerTls) -> grpc.ChannelCredentials | None:
    if not (tls.on or tls.ca_cert or tls.client_cert):
        return None
    return grpc.ssl_channel_credentials(tls.ca_cert, tls.client_key, tls.client_cert)

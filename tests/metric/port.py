"""A real metric server on loopback with a real client, for the tests of this folder."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest

from scaler.metric.first_answer import FirstAnswers
from scaler.metric.server import MetricServer, ServerOptions
from scaler.metric.servicer import Servicer
from scaler.metric.streams import Streams
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from scaler.registry import Registry
from scaler.series import Observation, Outlook
from scaler.trigger import TriggerRules

METADATA = {
    "scalerAddress": "headway.headway:50051",
    "query": "sum(rate(http_requests_total[1m]))",
    "threshold": "10",
}


@dataclass
class StoppedClock:
    moment: float = 1_700_000_000.0

    def now(self) -> float:
        return self.moment


@dataclass
class Served:
    """A running server with all a test may want to touch."""

    registry: Registry
    clock: StoppedClock
    servicer: Servicer
    server: MetricServer
    port: int
    channel: grpc.aio.Channel
    stub: ExternalScalerStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = ExternalScalerStub(self.channel)

    async def metrics(self, ref: wire.ScaledObjectRef, name: str = "headway") -> wire.GetMetricsResponse:
        return await self.stub.GetMetrics(wire.GetMetricsRequest(scaledObjectRef=ref, metricName=name))

    def observe(self, demand: float) -> None:
        """Give every watched trigger this demand, as a refresh would."""
        for registration in self.registry:
            self.registry.receive(registration.trigger.key, observed(self.clock.moment, demand), self.clock.moment)


def scaled_object(
    name: str = "shop", metadata: Mapping[str, str] | None = None, **changes: str
) -> wire.ScaledObjectRef:
    """What KEDA sends for one trigger; `changes` replace or add metadata."""
    return wire.ScaledObjectRef(name=name, namespace="web", scalerMetadata={**(metadata or METADATA), **changes})


def observed(at: float, demand: float) -> Outlook:
    """An outlook without forecast: what is planned is what was observed."""
    return Outlook(at, Observation(at, demand, demand, demand), None)


@asynccontextmanager
async def served(
    options: ServerOptions | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    stream_seconds: float = 60.0,
    first_answer_wait: float = 0.0,
    look_seconds: float = 0.02,
    **waiting: object,
) -> AsyncIterator[Served]:
    """A server on a free port of loopback, stopped without delay at the end."""
    registry = Registry(TriggerRules(default_server="http://prometheus:9090"), refresh_seconds=15.0)
    clock = StoppedClock()
    waits = FirstAnswers(first_answer_wait, clock.now, **waiting)  # type: ignore[arg-type]
    servicer = Servicer(registry, clock, Streams(stream_seconds, look_seconds), waits)
    server = MetricServer(servicer, options or ServerOptions(address="localhost:0", notice_seconds=0))
    port = await server.start()
    target = f"localhost:{port}"
    channel = grpc.aio.secure_channel(target, credentials) if credentials else grpc.aio.insecure_channel(target)
    try:
        yield Served(registry, clock, servicer, server, port, channel)
    finally:
        await channel.close()
        await server.stop(0)


async def registered(it: Served, ref: wire.ScaledObjectRef) -> str:
    """The key of the trigger, after its first (cold) call."""
    known = {registration.trigger.key for registration in it.registry}
    await refusal(it.metrics(ref))
    return next(registration.trigger.key for registration in it.registry if registration.trigger.key not in known)


async def refusal(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error with which the call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value

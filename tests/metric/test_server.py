"""The port itself: health, reflection, drain, addresses, requests over an ageing connection."""

import asyncio
import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from scaler.errors import SettingsError
from scaler.metric.server import SERVICE, MetricServer, ServerOptions
from scaler.metric.servicer import Servicer
from tests.metric.port import refusal, registered, scaled_object, served
from tests.servers.process import until_async

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "externalscaler.ExternalScaler"])
async def test_health_is_serving_while_cold(service: str) -> None:
    """The port is healthy as soon as it is open: metric specs need nothing else."""
    async with served() as it:
        health = health_pb2_grpc.HealthStub(it.channel)
        reply = await health.Check(health_pb2.HealthCheckRequest(service=service))

    assert reply.status == SERVING


async def test_reflection_is_off_by_default() -> None:
    """The port does not describe itself to whoever asks."""
    async with served() as it:
        stub = reflection_pb2_grpc.ServerReflectionStub(it.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        error = await refusal(call.read())

    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_lists_the_service() -> None:
    """With the setting, tools find the methods without the proto file."""
    async with served(ServerOptions(address="localhost:0", reflection=True)) as it:
        stub = reflection_pb2_grpc.ServerReflectionStub(it.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        reply = await call.read()

    names = {service.name for service in reply.list_services_response.service}
    assert {"externalscaler.ExternalScaler", "grpc.health.v1.Health"} <= names


def test_every_method_of_the_proto_is_implemented() -> None:
    """KEDA retries an UNIMPLEMENTED method for ever."""
    assert [method.name for method in SERVICE.methods if not hasattr(Servicer, method.name)] == []


async def test_drain_tells_health_first_and_answers_meanwhile() -> None:
    """While draining, health says NOT_SERVING and every call that still arrives is answered."""
    options = ServerOptions(address="localhost:0", notice_seconds=0.5)
    async with served(options) as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        watch = health_pb2_grpc.HealthStub(it.channel).Watch(health_pb2.HealthCheckRequest())
        before = (await watch.read()).status
        stopping = asyncio.create_task(it.server.stop(grace_seconds=5))
        after = (await watch.read()).status
        watch.cancel()
        value = (await it.metrics(ref)).metricValues[0].metricValueFloat
        spec = await it.stub.GetMetricSpec(ref)
        await stopping
        error = await refusal(it.metrics(ref))

    assert (before, after) == (SERVING, NOT_SERVING)
    assert (value, len(spec.metricSpecs)) == (5, 1)
    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_calls_under_way_are_finished_on_drain() -> None:
    """A call that waits for its first outlook when the stop begins still gets it."""
    async with served(first_answer_wait=30) as it:
        call = asyncio.ensure_future(it.metrics(scaled_object()))
        await until_async(lambda: len(it.registry) == 1)
        stopping = asyncio.create_task(it.server.stop(grace_seconds=20))
        await asyncio.sleep(0.05)
        it.observe(5)
        value = (await call).metricValues[0].metricValueFloat
        await stopping

    assert value == 5


async def test_an_ageing_connection_loses_no_call() -> None:
    """Connections end all the time, so that clients look for new replicas; calls do not notice."""
    options = ServerOptions(address="localhost:0", notice_seconds=0, max_connection_age_seconds=0.05)
    async with served(options) as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        values = [(await it.metrics(ref)).metricValues[0].metricValueFloat for _ in range(600)]

    assert set(values) == {5}


async def test_a_taken_address_is_named_with_the_reason() -> None:
    """A port in use is an error that names the address; it is not silently shared."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=rf"grpc-address='{address}': cannot listen: Address already in use"):
            await opened(address)


async def test_two_servers_do_not_share_a_port() -> None:
    """A second scaler on the same port is refused, although the system would let both listen."""
    async with served() as it:
        with pytest.raises(SettingsError, match="Address already in use"):
            await opened(f"localhost:{it.port}")


async def test_a_foreign_address_is_refused() -> None:
    """An address of another machine is named with the system's reason."""
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1:0.: cannot listen: Cannot assign requested address"):
        await opened("192.0.2.1:0")


async def opened(address: str) -> None:
    async with served(ServerOptions(address=address, notice_seconds=0)):
        pass


def test_a_server_needs_a_servicer_with_every_method() -> None:
    """A method added to the proto alone fails at the start, not at the first call."""
    with pytest.raises(AttributeError):
        MetricServer(object(), ServerOptions())  # type: ignore[arg-type]

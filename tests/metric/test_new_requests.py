"""Requests that were not seen before do not delay those that were."""

import asyncio

import grpc
import pytest

from scaler.metric.wire import externalscaler_pb2 as wire
from tests.metric.port import Served, registered, scaled_object, served
from tests.servers.process import until_async

MANY = 200


class NoContext:
    """A call's context that takes messages and the refusal."""

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK

    async def write(self, message: bytes) -> None:
        pass

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        pass


def new_requests(rpc: str) -> list[bytes]:
    """Requests of triggers that nobody has called for; half of them have faults."""
    refs = [scaled_object(f"new-{n}", **({"quantile": "2"} if n % 2 else {})) for n in range(MANY)]
    if rpc == "GetMetrics":
        return [wire.GetMetricsRequest(scaledObjectRef=ref).SerializeToString() for ref in refs]
    return [ref.SerializeToString() for ref in refs]


async def call(it: Served, rpc: str, request: bytes) -> bool:
    """Whether the call got an answer."""
    context = NoContext()
    await getattr(it.servicer, rpc)(request, context)
    return context.code is grpc.StatusCode.OK


@pytest.mark.parametrize("rpc", ["GetMetrics", "IsActive", "GetMetricSpec"])
async def test_a_known_request_passes_a_crowd_of_new_ones(rpc: str) -> None:
    """Of two hundred that arrived before it, a few are done when a known one is answered."""
    async with served() as it:
        known = scaled_object("known")
        await registered(it, known)
        it.observe(42)
        await it.metrics(known)
        request = wire.GetMetricsRequest(scaledObjectRef=known, metricName="headway").SerializeToString()
        ended: list[str] = []

        async def noted(name: str, rpc: str, request: bytes) -> bool:
            answered = await call(it, rpc, request)
            ended.append(name)
            return answered

        crowd = [asyncio.create_task(noted("new", rpc, one)) for one in new_requests(rpc)]
        assert await asyncio.create_task(noted("known", "GetMetrics", request))
        assert ended.index("known") < 5
        answered = await asyncio.gather(*crowd)
    assert len(ended) == MANY + 1
    assert sum(answered) == (MANY if rpc == "GetMetricSpec" else 0)


async def test_newcomers_come_in_their_order() -> None:
    """The first of a crowd is registered first."""
    async with served() as it:
        requests = [scaled_object(f"new-{n}").SerializeToString() for n in range(20)]
        await asyncio.gather(*(call(it, "IsActive", one) for one in requests))
        assert [one.trigger.name for one in it.registry] == [f"new-{n}" for n in range(20)]


async def test_a_caller_that_leaves_blocks_nobody() -> None:
    """Its turn is given up."""
    async with served() as it:
        requests = new_requests("IsActive")
        crowd = [asyncio.create_task(call(it, "IsActive", one)) for one in requests]
        await asyncio.sleep(0)
        for one in crowd[:-1]:
            one.cancel()
        assert await asyncio.wait_for(crowd[-1], 10) is False


@pytest.mark.parametrize("rpc", ["StreamIsActive", "StreamMetricSpec"])
async def test_a_known_request_passes_a_crowd_of_new_streams(rpc: str) -> None:
    """Of two hundred streams that were opened before it, a few are open when a known request is answered."""
    async with served() as it:
        known = scaled_object("known")
        await registered(it, known)
        it.observe(42)
        await it.metrics(known)
        request = wire.GetMetricsRequest(scaledObjectRef=known, metricName="headway").SerializeToString()
        refs = [scaled_object(f"new-{n}") for n in range(MANY)]
        crowd = [asyncio.create_task(call(it, rpc, ref.SerializeToString())) for ref in refs]
        assert await asyncio.create_task(call(it, "GetMetrics", request))
        assert len(it.servicer.streams) < 5
        await until_async(lambda: len(it.servicer.streams) == MANY)
        it.servicer.streams.drain()
        assert all(await asyncio.gather(*crowd))

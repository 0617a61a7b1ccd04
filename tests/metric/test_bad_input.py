"""What no well-behaved client sends: one clean error, and nothing else disturbed."""

import asyncio
import gc
from collections.abc import Iterator
from types import FrameType

import grpc
import pytest
from structlog.testing import capture_logs

import scaler.metric.servicer
from scaler.metric.replies import PLACEHOLDER_TARGET
from scaler.metric.server import MOST_PENDING
from scaler.metric.servicer import Servicer
from scaler.trigger.sizes import MOST_REQUEST_BYTES
from tests.metric.port import METADATA, Served, refusal, registered, scaled_object, served
from tests.servers.process import until


@pytest.mark.parametrize("rpc", ["GetMetricSpec", "GetMetrics", "IsActive"])
@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x0a\x02\xc3\x28"])
async def test_garbage_is_a_clean_error(rpc: str, garbage: bytes) -> None:
    """Bytes that are no message of the proto get an error of their own."""
    async with served() as it:
        error = await refusal(raw(it, rpc)(garbage))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "externalscaler.proto" in error.details()


async def test_garbage_on_a_stream_ends_it() -> None:
    """A stream opened with garbage is refused as a call would be."""
    async with served() as it:
        method = it.channel.unary_stream("/externalscaler.ExternalScaler/StreamIsActive")
        error = await refusal(method(b"\xff\xff").read())

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_empty_request_names_what_is_missing() -> None:
    """No bytes at all are a message without fields: the faults say which ones are needed."""
    async with served() as it:
        error = await refusal(raw(it, "GetMetrics")(b""))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "threshold" in error.details()


async def test_many_faults_get_a_short_error() -> None:
    """An error stays short enough for a header, whatever was sent, also where each letter takes many bytes there."""
    async with served() as it:
        ref = scaled_object(metadata={**METADATA, **{f"unknown-{number}": "ü" * 400 for number in range(60)}})
        error = await refusal(it.metrics(ref))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(error.details().encode()) < 2100


async def test_a_request_beyond_the_bound_is_not_decoded() -> None:
    """It gets an error that says how large it is, and a spec all the same: without one, KEDA drops every metric."""
    async with served() as it:
        huge = scaled_object(query="x" * MOST_REQUEST_BYTES)
        error = await refusal(it.metrics(huge))
        spec = await it.stub.GetMetricSpec(huge)

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"at most {MOST_REQUEST_BYTES}" in error.details()
    assert spec.metricSpecs[0].targetSizeFloat == PLACEHOLDER_TARGET


async def test_a_request_far_beyond_the_bound_is_refused() -> None:
    """gRPC does not even pass it on."""
    async with served() as it:
        error = await refusal(it.stub.GetMetricSpec(scaled_object(query="x" * (1 << 20))))
        spec = await it.stub.GetMetricSpec(scaled_object())

    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(spec.metricSpecs) == 1


async def test_one_bad_trigger_disturbs_no_other() -> None:
    """Next to a faulty trigger a good one is answered."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        await refusal(it.metrics(scaled_object(quantile="2")))
        value = (await it.metrics(ref)).metricValues[0].metricValueFloat
        registration = len(it.registry)

    assert (value, registration) == (5, 1)


async def test_our_own_errors_are_logged_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is INTERNAL for the caller, and in the log by place and kind, with the id the caller got."""

    def broken(self: Servicer, request: bytes) -> bytes:
        raise LookupError(f"secret in {request!r}")

    monkeypatch.setattr(Servicer, "_spec", broken)
    with capture_logs() as logs:
        async with served() as it:
            error = await refusal(it.stub.GetMetricSpec(scaled_object()))

    assert error.code() == grpc.StatusCode.INTERNAL
    assert [(entry["event"], entry["rpc"], entry["error"]) for entry in logs] == [
        ("call_failed", "GetMetricSpec", "LookupError")
    ]
    assert logs[0]["request_id"] in error.details()
    assert "secret" not in error.details() + str(logs)
    assert "sum(rate" not in error.details() + str(logs)


def raw(it: Served, rpc: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return it.channel.unary_unary(f"/externalscaler.ExternalScaler/{rpc}")


async def test_a_burst_of_calls_is_answered() -> None:
    """What arrives at once, as from a KEDA that has just started, waits; gRPC cancels none of it."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        answers = await asyncio.gather(*(it.metrics(ref) for _ in range(4000)), return_exceptions=True)

    assert not [answer for answer in answers if isinstance(answer, BaseException)]


async def test_what_waits_is_bounded() -> None:
    """Calls that come faster than the loop takes them up are cancelled before they fill the memory."""
    async with served() as it:
        with grpc.insecure_channel(f"localhost:{it.port}") as channel:
            call = channel.unary_unary("/externalscaler.ExternalScaler/IsActive")
            calls = [call.future(b"\xff" * 20_000) for _ in range(2 * MOST_PENDING)]
            # this thread is the loop's: it takes up nothing meanwhile
            until(lambda: sum(one.done() for one in calls) > MOST_PENDING // 2, 20)
            found = {one.code() for one in calls if one.done()}

    assert found == {grpc.StatusCode.CANCELLED}


def frames_of_calls() -> list[FrameType]:
    """The frames of the servicer that are still in memory."""
    found = [one for one in gc.get_objects() if type(one) is FrameType]  # isinstance asks odd objects of other packages
    return [one for one in found if one.f_code.co_filename == scaler.metric.servicer.__file__]


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("rpc", ["GetMetrics", "IsActive", "StreamIsActive"])
async def test_a_refused_call_leaves_no_garbage(rpc: str) -> None:
    """What a call held is free at its end: a full collection of garbage, for what is in cycles, is rare."""
    async with served() as it:
        before = frames_of_calls()
        for number in range(5):
            ref = scaled_object(f"shop-{number}", quantile="2")
            if rpc == "GetMetrics":
                await refusal(it.metrics(ref))
            elif rpc == "IsActive":
                await refusal(it.stub.IsActive(ref))
            else:
                await refusal(it.stub.StreamIsActive(ref).read())
        left = frames_of_calls()

    assert len(left) == len(before)

"""Push streams, through a real server: current state first, then edges only, ended by us with OK."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from scaler.metric.server import ServerOptions
from scaler.metric.streams import Streams
from scaler.registry import Answer, Registration
from tests.metric.port import Served, observed, refusal, registered, scaled_object, served
from tests.servers.process import until_async


async def test_activity_is_sent_now_and_at_edges_only() -> None:
    """Many outlooks with the same activity are one message; each change is one more."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        sent: list[bool] = []
        reading = asyncio.create_task(read(it.stub.StreamIsActive(ref), sent))
        await until_async(lambda: bool(sent))
        for demand in (6, 7, 0, 0, 3, 4):
            it.clock.moment += 15
            it.observe(demand)
            await asyncio.sleep(0.05)
        it.servicer.streams.drain()
        await reading

    assert sent == [True, False, True]


async def test_an_outlook_wakes_the_streams_of_its_trigger_alone() -> None:
    """A change is sent at once, not with the next look at all streams; other triggers' streams are not looked at."""
    async with served(look_seconds=3600) as it:
        calls = [it.stub.StreamIsActive(scaled_object(name)) for name in ("shop", "other")]
        await until_async(lambda: len(it.registry) == 2)
        it.observe(5)
        first = [(await call.read()).result for call in calls]
        looked = count_answers(it)
        await asyncio.sleep(0.05)
        while looked:  # each stream looks once more after its message, and sleeps then
            looked.clear()
            await asyncio.sleep(0.05)
        it.registry.receive(key_of(it, "shop"), observed(it.clock.moment + 1, 0), it.clock.moment + 1)
        async with asyncio.timeout(5):
            changed = (await calls[0].read()).result
        names = set(looked)

    assert (first, changed) == ([True, True], False)
    assert names == {"shop"}


async def test_an_outlook_that_counts_later_is_sent_when_it_counts() -> None:
    """With several replicas an outlook counts a moment after its issue, for streams as for calls."""
    async with served(look_seconds=3600) as it:
        call = it.stub.StreamIsActive(scaled_object())
        await until_async(lambda: len(it.registry) == 1)
        it.observe(5)
        first = (await call.read()).result
        it.registry.receive(key_of(it, "shop"), observed(it.clock.moment + 0.2, 0), it.clock.moment)
        reading = asyncio.create_task(call.read())
        await asyncio.sleep(0.1)
        early = reading.done()
        it.clock.moment += 0.2
        async with asyncio.timeout(5):
            changed = (await reading).result

    assert (first, early, changed) == (True, False, False)


async def test_what_changes_with_time_alone_is_seen_by_looking() -> None:
    """When observations stay away, activity may change without any outlook."""
    state = [b"on"]
    streams = Streams(lifetime_seconds=60, look_seconds=0.01)
    looking = asyncio.create_task(streams.run())
    messages = streams.messages("shop", lambda: state[0])
    first = await anext(messages)
    state[0] = b"off"
    second = await anext(messages)
    looking.cancel()

    assert (first, second) == (b"on", b"off")


async def test_a_stream_that_has_ended_is_not_woken() -> None:
    """Nothing is kept for a stream that its client has left."""
    async with served() as it:
        call = it.stub.StreamIsActive(scaled_object())
        await until_async(lambda: len(it.registry) == 1)
        call.cancel()
        await until_async(lambda: len(it.servicer.streams) == 0)
        assert it.registry._followers == {}


async def test_a_cold_stream_sends_nothing_until_something_is_known() -> None:
    """A stream opened for an unknown trigger registers it, and speaks with the first outlook."""
    async with served() as it:
        call = it.stub.StreamIsActive(scaled_object())
        await until_async(lambda: len(it.registry) == 1)
        first = asyncio.create_task(call.read())
        await asyncio.sleep(0.1)
        silent = not first.done()
        it.observe(0)
        message = await first

    assert silent
    assert message.result is False


async def test_a_stream_keeps_its_trigger_alive() -> None:
    """An open stream counts as interest: the trigger does not expire under it."""
    async with served() as it:
        call = it.stub.StreamIsActive(scaled_object())
        await until_async(lambda: len(it.registry) == 1)
        it.observe(5)
        await call.read()
        it.clock.moment += 200
        await until_async(lambda: next(iter(it.registry)).last_called == it.clock.moment)
        assert it.registry.forget_silent(it.clock.moment, 150) == []


async def test_streams_end_with_ok_before_their_connection_does() -> None:
    """A stream that outlives the age of its connection is still ended by us, with status OK."""
    options = ServerOptions(address="localhost:0", notice_seconds=0, max_connection_age_seconds=0.3)
    async with served(options, stream_seconds=1.2) as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        call = it.stub.StreamIsActive(ref)
        sent = [message.result async for message in call]
        code = await call.code()

    assert (sent, code) == ([True], grpc.StatusCode.OK)


async def test_drain_ends_streams_with_ok() -> None:
    """On drain every stream ends with OK, so that KEDA is back, elsewhere, after 2 s."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        calls = [it.stub.StreamIsActive(ref), it.stub.StreamMetricSpec(ref)]
        for call in calls:
            await call.read()
        await it.server.stop(grace_seconds=5)
        codes = [await call.code() for call in calls]

    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.OK]


async def test_specs_are_sent_once_and_held() -> None:
    """StreamMetricSpec sends the spec that GetMetricSpec sends, at once, and stays open without repeating it."""
    async with served() as it:
        ref = scaled_object()
        call = it.stub.StreamMetricSpec(ref)
        first = await call.read()
        second = asyncio.create_task(call.read())
        await asyncio.sleep(0.1)
        held = not second.done()
        it.servicer.streams.drain()
        ended = await second
        spec = await it.stub.GetMetricSpec(ref)

    assert first == spec
    assert held
    assert ended is grpc.aio.EOF


async def test_faults_end_a_stream() -> None:
    """A faulty trigger is refused by StreamIsActive; StreamMetricSpec sends what GetMetricSpec sends."""
    async with served() as it:
        activity = await refusal(it.stub.StreamIsActive(scaled_object(quantile="2")).read())
        spec = await it.stub.StreamMetricSpec(scaled_object(quantile="2")).read()
        placeholder = await it.stub.StreamMetricSpec(scaled_object(threshold="0")).read()
        garbage = it.channel.unary_stream("/externalscaler.ExternalScaler/StreamMetricSpec")(b"\xff\xff")
        no_spec = await refusal(garbage.read())

    assert activity.code() == no_spec.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [reply.metricSpecs[0].targetSizeFloat for reply in (spec, placeholder)] == [10, 1]


async def test_a_client_that_leaves_is_forgotten() -> None:
    """A cancelled stream leaves nothing behind."""
    async with served() as it:
        call = it.stub.StreamMetricSpec(scaled_object())
        await call.read()
        assert len(it.servicer.streams) == 1
        call.cancel()
        await until_async(lambda: len(it.servicer.streams) == 0)


async def test_lifetimes_differ() -> None:
    """Streams opened together do not end together: their return would come in one burst."""
    streams = Streams(lifetime_seconds=0.4)
    loop = asyncio.get_running_loop()

    async def lived() -> float:
        began = loop.time()
        async for _ in streams.messages("shop", lambda: b"state"):
            pass
        return loop.time() - began

    lives = await asyncio.gather(*(lived() for _ in range(20)))

    assert max(lives) - min(lives) > 0.01


async def test_what_a_look_raises_the_stream_raises() -> None:
    """A failing look ends its own stream, and does not stop the looking at others."""
    streams = Streams(lifetime_seconds=60, look_seconds=0.01)
    looking = asyncio.create_task(streams.run())
    fails = False

    def look() -> bytes:
        if fails:
            raise KeyError("gone")
        return b"state"

    messages = streams.messages("shop", look)
    assert await anext(messages) == b"state"
    fails = True
    with pytest.raises(KeyError):
        await anext(messages)
    assert not looking.done()
    looking.cancel()


async def read(call: AsyncIterator[object], sent: list[bool]) -> None:
    async for message in call:
        sent += [message.result]  # type: ignore[attr-defined]


def key_of(it: Served, name: str) -> str:
    return next(one.trigger.key for one in it.registry if one.trigger.name == name)


def count_answers(it: Served) -> list[str]:
    """The names of the triggers whose answer is looked up from now on."""
    names: list[str] = []
    answer = it.registry.answer

    def counted(registration: Registration, now: float) -> Answer:
        names.append(registration.trigger.name)
        return answer(registration, now)

    it.registry.answer = counted  # type: ignore[method-assign]
    return names

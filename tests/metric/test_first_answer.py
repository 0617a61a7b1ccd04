"""Calls for a trigger without an answer wait a moment for it, within a bounded time after its registration."""

import asyncio
from dataclasses import replace

import grpc
import pytest

from scaler.errors import SourceRefused
from scaler.metric import first_answer
from scaler.metric.first_answer import OPENING_SECONDS
from scaler.testing import flat_forecast
from scaler.trigger import Trigger
from tests.metric.port import Served, observed, refusal, registered, scaled_object, served
from tests.servers.process import until_async


async def test_the_registering_call_gets_the_first_outlook() -> None:
    """A trigger whose demand is read quickly is answered by its very first call."""
    async with served(first_answer_wait=30) as it:
        call = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        it.observe(5)
        assert await call == 5


async def test_a_second_call_waits_as_well() -> None:
    """GetMetrics and IsActive arrive at the same time; neither is an error because the other came first."""
    async with served(first_answer_wait=30) as it:
        first = asyncio.create_task(value(it))
        second = asyncio.ensure_future(it.stub.IsActive(scaled_object()))
        await until_async(lambda: len(it.registry) == 1)
        await asyncio.sleep(0.05)
        it.observe(5)
        answers = (await first, (await second).result)

    assert answers == (5, True)


async def test_a_call_after_a_stream_waits() -> None:
    """A push stream may register the trigger; the GetMetrics that follows still gets the first outlook."""
    async with served(first_answer_wait=30) as it:
        stream = it.stub.StreamIsActive(scaled_object())
        await until_async(lambda: len(it.registry) == 1)
        call = asyncio.create_task(value(it))
        await asyncio.sleep(0.05)
        it.observe(5)
        answer = await call
        stream.cancel()

    assert answer == 5


async def test_a_call_for_a_restored_trigger_waits() -> None:
    """A trigger that was registered from the database is not observed yet; its first call waits."""
    async with served(first_answer_wait=30) as it:
        ref = scaled_object()
        it.registry.register(ref.namespace, ref.name, ref.scalerMetadata, it.clock.now())
        call = asyncio.create_task(value(it))
        await asyncio.sleep(0.05)
        it.observe(5)
        assert await call == 5


async def test_a_first_failure_ends_the_wait() -> None:
    """The error of the source is the first answer; no call waits for the end of the time."""
    async with served(first_answer_wait=30) as it:
        call = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        it.registry.fail(next(iter(it.registry)).trigger.key, SourceRefused("parse error"))
        error = await refusal(call)

    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "parse error")


async def test_the_first_answer_is_the_forecast_that_is_on_its_way() -> None:
    """While history is being fetched, the bare observation is not answered: it would be a step down and up again."""
    async with served(first_answer_wait=30) as it:
        call = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        registration = next(iter(it.registry))
        registration.forecast_coming = True
        it.observe(5)
        await asyncio.sleep(0.05)
        waiting = not call.done()
        it.clock.moment += 1
        now = it.clock.now()
        outlook = replace(observed(now, 5), forecast=flat_forecast(now, [50.0] * 30))
        it.registry.receive(registration.trigger.key, outlook, now)
        answer = await call

    assert waiting
    assert answer >= 50


async def test_a_forecast_that_does_not_come_costs_no_answer() -> None:
    """At the end of the wait the observation is answered."""
    async with served(first_answer_wait=0.2) as it:
        call = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        next(iter(it.registry)).forecast_coming = True
        it.observe(5)
        assert await call == 5


async def test_the_wait_ends() -> None:
    """When nothing arrives in time the call is an error, never a made-up value; later calls do not wait."""
    async with served(first_answer_wait=0.3) as it:
        error = await refusal(it.metrics(scaled_object()))
        it.clock.moment += 0.3
        took = []
        for _ in range(5):
            began = asyncio.get_running_loop().time()
            later = await refusal(it.stub.IsActive(scaled_object()))
            took.append(asyncio.get_running_loop().time() - began)

    assert error.code() == later.code() == grpc.StatusCode.UNAVAILABLE
    assert min(took) < 0.3


async def test_no_call_waits_for_an_unreachable_source() -> None:
    """Where the source is known to be away, the first call is an error at once."""
    asked: list[str] = []

    def worth_waiting(trigger: Trigger) -> bool:
        asked.append(trigger.name)
        return False

    async with served(first_answer_wait=3600, worth_waiting=worth_waiting) as it:
        await registered(it, scaled_object())

    assert asked == ["shop"]


async def test_no_call_waits_where_waiting_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait of 0 holds also while the process opens."""
    monkeypatch.setattr(first_answer, "OPENING_SECONDS", 60.0)
    async with served(first_answer_wait=0) as it:
        it.servicer.first_answers.opening()
        error = await refusal(asyncio.wait_for(it.metrics(scaled_object()), 20))

    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_time_begins_when_the_process_is_open() -> None:
    """A call that arrives before the model is loaded still gets the first outlook."""
    async with served(first_answer_wait=0.05) as it:
        it.servicer.first_answers.opening()
        call = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        it.clock.moment += 3
        await asyncio.sleep(0.2)
        it.servicer.first_answers.opened()
        it.observe(5)
        assert await call == 5


async def test_an_opening_that_does_not_end_keeps_no_call_waiting() -> None:
    """The longer wait of the start is bounded, too: later calls get their error at once."""
    async with served(first_answer_wait=60) as it:
        it.servicer.first_answers.opening()
        it.clock.moment += OPENING_SECONDS + 60
        ref = scaled_object()
        it.registry.register(ref.namespace, ref.name, ref.scalerMetadata, it.clock.now() - 60)
        error = await refusal(asyncio.wait_for(it.metrics(ref), 20))

    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_bounded_number_waits_at_the_same_time() -> None:
    """Beyond the bound a first call is answered at once instead of queueing up."""
    async with served(first_answer_wait=3600, most_waiting=1) as it:
        first = asyncio.create_task(value(it))
        await until_async(lambda: len(it.registry) == 1)
        await registered(it, scaled_object("other"))
        it.observe(5)
        assert await first == 5


async def test_many_new_triggers_are_answered_by_their_first_calls() -> None:
    """A KEDA that starts anew asks about all its objects at once: none of them gets an error."""
    async with served(first_answer_wait=30) as it:
        calls = [asyncio.ensure_future(it.metrics(scaled_object(f"shop-{number}"))) for number in range(1000)]
        await until_async(lambda: len(it.registry) == len(calls))
        it.observe(5)
        answers = await asyncio.gather(*calls)

    assert {answer.metricValues[0].metricValueFloat for answer in answers} == {5}


async def value(it: Served) -> float:
    return (await it.metrics(scaled_object())).metricValues[0].metricValueFloat

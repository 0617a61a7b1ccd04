"""The call that registers a trigger waits a moment for its first outlook; no other call waits."""

import asyncio

import grpc

from scaler.trigger import Trigger
from tests.metric.port import Served, refusal, registered, scaled_object, served, until


async def test_the_registering_call_gets_the_first_outlook() -> None:
    """A trigger whose demand is read quickly is answered by its very first call."""
    async with served(first_answer_wait=30) as it:
        call = asyncio.create_task(value(it))
        await until(lambda: len(it.registry) == 1)
        it.observe(5)
        assert await call == 5


async def test_a_later_call_does_not_wait() -> None:
    """While the first call waits, another one is told at once that nothing is known yet."""
    async with served(first_answer_wait=30) as it:
        first = asyncio.create_task(value(it))
        await until(lambda: len(it.registry) == 1)
        error = await refusal(it.stub.IsActive(scaled_object()))
        waiting = not first.done()
        it.observe(5)
        await first

    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert waiting


async def test_the_wait_ends() -> None:
    """When nothing arrives in time the call is an error, never a made-up value."""
    async with served(first_answer_wait=0.05) as it:
        error = await refusal(it.metrics(scaled_object()))

    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_nobody_waits_for_an_unreachable_source() -> None:
    """Where the source is known to be away, the first call is told so at once."""
    asked: list[str] = []

    def worth_waiting(trigger: Trigger) -> bool:
        asked.append(trigger.name)
        return False

    async with served(first_answer_wait=3600, worth_waiting=worth_waiting) as it:
        await registered(it, scaled_object())

    assert asked == ["shop"]


async def test_few_wait_at_the_same_time() -> None:
    """Beyond the bound a first call is answered at once instead of queueing up."""
    async with served(first_answer_wait=3600, most_waiting=1) as it:
        first = asyncio.create_task(value(it))
        await until(lambda: len(it.registry) == 1)
        await registered(it, scaled_object("other"))
        it.observe(5)
        assert await first == 5


async def value(it: Served) -> float:
    return (await it.metrics(scaled_object())).metricValues[0].metricValueFloat

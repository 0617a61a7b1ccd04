"""A replica whose triggers are leased by one that cannot publish; answers that cannot be read."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from scaler.errors import CacheUnavailable, SourceRefused, SourceUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.refresh.backfill import retry_seconds
from scaler.series import Blocks, Gap, Samples
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, replica, rising


async def test_a_replica_that_receives_nothing_refreshes_itself() -> None:
    """Leases work, publishing is refused (a Redis user without channels): both replicas follow demand, logged once."""

    class Mute(MemoryCache):
        async def publish(self, outlooks: object, seconds: float) -> None:
            raise CacheUnavailable("NOPERM")

    clock, memory = ManualClock(START), SharedMemory()
    memory.clock = clock.now
    with capture_logs() as note:
        async with (
            replica(lambda _, at: at - START, rising, Mute("a", memory), clock) as first,
            replica(lambda _, at: at - START, rising, Mute("b", memory), clock) as second,
        ):
            one, other = first.call(), second.call()
            for _ in range(12):
                await first.pass_time(30)
                first.registry.register("shop", "web", one.metadata, clock.now())
            for world, registration in ((first, one), (second, other)):
                assert world.plan(registration).metric >= clock.now() - START - 45
    assert sum(line["event"] == "cache_unavailable" for line in note) == 2


@pytest.mark.parametrize("ahead", [28.0, 300.0])
async def test_a_clock_that_is_ahead_takes_no_answers_from_another_replica(ahead: float) -> None:
    """Whatever the one publishes is from a future that the other cannot use: that one refreshes by itself."""
    clock, wrong, memory = ManualClock(START), ManualClock(START + ahead), SharedMemory()
    memory.clock = clock.now
    reactive = {"mode": "reactive", "maxStaleness": "20s"}
    async with (
        replica(lambda _, __: 7.0, rising, MemoryCache("a", memory), wrong) as ahead_of,
        replica(lambda _, __: 7.0, rising, MemoryCache("b", memory), clock) as right,
    ):
        ahead_of.call(**reactive)
        await ahead_of.pass_time(30)
        registration = right.call(**reactive)
        answers = []
        for second in range(150):
            await wrong.advance(1)
            await right.pass_time(1)
            if second >= 60:
                answers.append(right.plan(registration).metric)
        assert set(answers) == {7.0}
        assert len(right.refresh.tracking) == 1


async def test_a_backfill_that_fails_in_an_unforeseen_way_is_tried_again() -> None:
    """An answer that breaks the reader costs one attempt, not the trigger's forecast."""
    failures = iter([RecursionError("garbled")])
    async with replica(lambda _, __: 100.0, rising) as world:
        read = world.source.samples

        async def samples(trigger: Trigger, start: float, end: float, step: float) -> Samples:
            for failure in failures:
                raise failure
            return await read(trigger, start, end, step)

        world.source.samples = samples  # type: ignore[method-assign]
        registration = world.call()
        await world.pass_time(60)
        assert world.plan(registration).rung.value == "forecast_and_observation"


@pytest.mark.parametrize(
    ("attempts", "outage", "refusal"), [(1, 15, 15), (2, 30, 30), (4, 120, 120), (5, 120, 240), (40, 120, 3600)]
)
def test_pauses_grow_and_refusals_are_left_alone_longer(attempts: int, outage: float, refusal: float) -> None:
    """A server that is down may be back soon; a refusal lasts until a person changes something."""
    assert (retry_seconds(attempts, False), retry_seconds(attempts, True)) == (outage, refusal)


@pytest.mark.parametrize(("error", "most"), [(SourceRefused("limit: 72h"), 20), (SourceUnavailable("away"), 60)])
async def test_a_past_that_is_refused_is_reported_and_tried_again_seldom(error: Exception, most: int) -> None:
    """An hour of failures costs few attempts (240 at a pace of 15 s), one line in the log, and there is a reason."""
    asked = 0

    async def blocks(_: Trigger, start: float, end: float, __: float) -> None:
        nonlocal asked
        asked += end - start > 40_000  # all of the past; a busy machine may leave holes, which are fetched as well
        raise error

    with capture_logs() as lines:
        async with replica(lambda _, __: 100.0, rising) as world:
            world.source.blocks = blocks  # type: ignore[assignment,method-assign]
            registration = world.call()
            await world.pass_time(30)
            for _ in range(60):
                await world.clock.advance(60)
                world.call()
            facts = world.refresh.tracking.facts(registration.trigger.key)
    assert 3 <= asked <= most
    assert facts is not None
    assert str(error) in facts.backfill_error
    assert facts.retry_at is not None
    assert [line["phase"] for line in lines if line["event"] == "history_missing"].count("coarse") == 1


async def test_no_attempt_waits_for_a_forgotten_trigger() -> None:
    """A pause of up to an hour would keep its memory, and thousands of them that of thousands."""

    async def blocks(*_: object) -> None:
        raise SourceRefused("limit: 72h")

    async with replica(lambda _, __: 100.0, rising, silence_seconds=60) as world:
        world.source.blocks = blocks  # type: ignore[assignment,method-assign]
        world.call()
        await world.pass_time(30)
        assert len(waiting_for_another_attempt()) == 1
        await world.pass_time(60)
        assert len(world.registry) == 0
        assert waiting_for_another_attempt() == []
        assert not world.refresh.backfill._retries


def waiting_for_another_attempt() -> list[str]:
    return [repr(task) for task in asyncio.all_tasks() if "_again_at" in repr(task)]


async def test_gaps_of_the_past_are_reported_with_the_forecast() -> None:
    """They stand in the facts and once in the log, and all other minutes count."""
    gap = Gap(START - 600, START - 300, "the query returned 2 series")
    with capture_logs() as lines:
        async with replica(lambda _, __: 100.0, rising) as world:
            read = world.source.samples

            async def samples(trigger: Trigger, start: float, end: float, step: float) -> Samples:
                found = await read(trigger, start, end, step)
                return Samples(found.times, found.values, (gap,))

            world.source.samples = samples  # type: ignore[method-assign]
            registration = world.call()
            await world.pass_time(60)
            facts = world.refresh.tracking.facts(registration.trigger.key)
            assert world.plan(registration).rung.value == "forecast_and_observation"
    assert facts is not None
    assert (facts.gaps, facts.is_backfilled) == ((gap,), True)
    assert len([line for line in lines if line["event"] == "history_gaps"]) == 1


async def test_a_gap_that_may_close_is_asked_for_again_at_growing_pauses() -> None:
    """A store of the source was away: what it has is fetched when it is back, and the gap is no longer reported."""
    asked: list[float] = []

    async with replica(lambda _, __: 100.0, rising) as world:
        read = world.source.blocks

        async def blocks(trigger: Trigger, start: float, end: float, seconds: float) -> Blocks:
            found = await read(trigger, start, end, seconds)
            if end - start < 40_000:
                return found
            asked.append(end)
            gap = Gap(start + 900, start + 3600, f"store {len(asked)} is away", may_close=True)
            return replace(found, gaps=(gap,) if len(asked) < 4 else ())

        world.source.blocks = blocks  # type: ignore[method-assign]
        registration = world.call()
        await world.pass_time(20)
        facts = world.refresh.tracking.facts(registration.trigger.key)
        assert facts is not None
        assert facts.is_backfilled
        assert len(facts.gaps) == 1
        assert facts.retry_at is not None
        for _ in range(20):
            await world.clock.advance(15)
            world.call()
        facts = world.refresh.tracking.facts(registration.trigger.key)
    assert facts is not None
    assert (len(asked), facts.gaps, facts.retry_at) == (4, (), None)
    pauses = np.diff(asked)
    assert pauses[0] < pauses[1] < pauses[2]

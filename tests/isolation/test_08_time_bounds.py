"""8. Time is bounded on both sides: what comes from the future is no news."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.decide import decide
from scaler.errors import NotReady, SourceUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.plan import Rung
from scaler.registry import Registration, Registry
from scaler.series import FURTHEST_AHEAD_SECONDS, Observation, Outlook
from scaler.testing import ManualClock
from scaler.trigger import Trigger, TriggerRules
from tests.isolation.test_04_shared_records import outlook
from tests.refresh.test_refresh import START, replica, rising, steady

pytestmark = pytest.mark.alone

NOW = 1_700_000_000.0
HOUR = 3600.0
STALE = 120.0
TRIGGER = Trigger("shop", "web", "vector(1)", 10.0, "http://prometheus", max_staleness_seconds=STALE)


def seen(at: float, value: float = 1000.0) -> Outlook:
    return Outlook(at + 1, Observation(at, value, value, value), None)


def watched() -> tuple[Registry, Registration]:
    registry = Registry(TriggerRules("http://prometheus"), 15.0)
    metadata = {"query": "vector(1)", "threshold": "10", "maxStaleness": f"{STALE:g}s"}
    return registry, registry.register("shop", "web", metadata, NOW)


@given(st.floats(-2 * HOUR, 2 * HOUR))
@settings(deadline=None)
def test_fresh_means_within_the_staleness_before_and_after(ahead: float) -> None:
    """Whatever the clock did: the plan holds an observation that is near, and no other."""
    plan = decide(TRIGGER, seen(NOW + ahead), NOW, 15.0)
    distance = abs(plan.at - (NOW + ahead))
    assert (plan.observed is None) == (distance > STALE)
    assert abs(plan.at - NOW) <= max(30.0 + 15.0, 15.0)


def test_the_reason_names_the_clock() -> None:
    """A reader learns why there is no answer."""
    plan = decide(TRIGGER, seen(NOW + HOUR), NOW, 15.0)
    assert plan.rung is Rung.NOTHING
    assert any("s in the future, maxStaleness is 120 s" in reason.text for reason in plan.reasons)


@pytest.mark.parametrize("back", [HOUR, 600.0, STALE + 60])
def test_an_answer_from_before_the_clock_was_set_back_does_not_count(back: float) -> None:
    """It counted until the clock was there again; now it is an error at once, and the next observation is an answer."""
    registry, one = watched()
    registry.receive(one.trigger.key, seen(NOW), NOW)
    assert registry.answer(one, NOW + 1).plan.metric == 1000
    for later in (2.0, 20.0, 60.0):
        with pytest.raises(SourceUnavailable, match="in the future"):
            registry.answer(one, NOW - back + later)
    registry.receive(one.trigger.key, seen(NOW - back + 15, 5.0), NOW - back + 15)
    assert registry.answer(one, NOW - back + 16).plan.metric == 5


def test_a_small_step_back_changes_nothing() -> None:
    """As NTP makes it: up to half a minute, the same answer object."""
    registry, one = watched()
    registry.receive(one.trigger.key, seen(NOW), NOW)
    assert registry.answer(one, NOW + 1) is registry.answer(one, NOW - FURTHEST_AHEAD_SECONDS + 10)


@pytest.mark.parametrize(
    "forged",
    [
        Outlook(NOW, Observation(NOW + 40, 0.0, 0.0, 0.0), None),
        Outlook(NOW + 40, Observation(NOW, 0.0, 0.0, 0.0), None),
        Outlook(NOW, Observation(NOW, 0.0, 0.0, 0.0), replace(outlook(NOW).forecast, start=NOW + 40)),  # type: ignore[type-var]
    ],
    ids=["observation", "outlook", "forecast"],
)
def test_an_outlook_from_the_future_is_refused(forged: Outlook) -> None:
    """With one moment further ahead than clocks differ; it does not keep others out either."""
    registry, one = watched()
    registry.receive(one.trigger.key, forged, NOW)
    with pytest.raises(NotReady):
        registry.answer(one, NOW)
    registry.receive(one.trigger.key, seen(NOW), NOW)
    registry.receive(one.trigger.key, forged, NOW)
    assert registry.answer(one, NOW + 1).plan.metric == 1000


@given(st.lists(st.floats(-FURTHEST_AHEAD_SECONDS / 2, FURTHEST_AHEAD_SECONDS / 2), min_size=1, max_size=6))
def test_replicas_whose_clocks_differ_a_little_work_together(differences: list[float]) -> None:
    """Each outlook comes from a replica with a clock of its own; the newest knowledge is the answer in the end."""
    registry, one = watched()
    for number, difference in enumerate(differences):
        now = NOW + 60 * number
        registry.receive(one.trigger.key, seen(now + difference, 100.0 + number), now)
        assert registry.answer(one, now + 20).plan.observed == 100 + number


@given(st.lists(st.floats(-2 * HOUR, 2 * HOUR), min_size=1, max_size=8), st.integers(0, 3))
@settings(deadline=None)
def test_no_sequence_of_clock_steps_makes_an_old_observation_fresh(steps: list[float], every: int) -> None:
    """What is answered was observed within maxStaleness, a refresh and a small step of the moment of the call."""
    registry, one = watched()
    now = NOW
    for number, step in enumerate(steps):
        now += step
        if every == 0 or number % every == 0:
            registry.receive(one.trigger.key, seen(now, now), now)
        try:
            answered = registry.answer(one, now).plan.observed
        except (SourceUnavailable, NotReady):
            continue
        assert answered is not None
        assert abs(answered - now) <= STALE + 1.5 * 15 + FURTHEST_AHEAD_SECONDS


@pytest.mark.parametrize("ahead", [HOUR, 24 * HOUR, 1e6])
def test_a_call_from_the_future_does_not_keep_a_trigger_for_ever(ahead: float) -> None:
    """The clock was wrong when KEDA called last: the silence begins now."""
    registry, one = watched()
    registry.register("shop", "web", one.metadata, NOW + ahead)
    one.restored = True
    assert registry.forget_silent(NOW, HOUR) == []
    assert registry.forget_silent(NOW + HOUR - 1, HOUR) == []
    assert registry.forget_silent(NOW + HOUR + 1, HOUR) == [one]


@pytest.mark.parametrize("back", [HOUR, 600.0])
async def test_a_refresh_goes_on_from_a_clock_that_is_set_back(back: float) -> None:
    """Within two refreshes the demand of now is answered; in between there is none from the future."""
    demand = [100.0]
    clock = ManualClock(START)
    async with replica(lambda _, __: demand[0], rising, clock=clock) as world:
        one = world.call(mode="reactive", maxStaleness="60s")
        await world.pass_time(60)
        clock.step_back(back)
        demand[0] = 500.0
        with pytest.raises(SourceUnavailable, match="in the future"):
            world.plan(one)
        await world.pass_time(31)
        assert world.plan(one).metric == 500  # type: ignore[attr-defined]


async def test_triggers_survive_a_time_in_which_nobody_could_call() -> None:
    """Stopped for longer than the expiry, or the clock set forwards: KEDA's calls come a moment later."""
    clock = ManualClock(START)
    async with replica(steady, rising, clock=clock, silence_seconds=600.0) as world:
        one = world.call()
        for _ in range(4):
            await world.pass_time(30)
            world.call()
        clock.step_back(-HOUR)  # at once: a refresh on the way would find the trigger silent
        await world.pass_time(40)
        assert not one.forgotten
        await world.pass_time(700)
        assert one.forgotten


async def test_a_shared_outlook_from_a_replica_with_a_wrong_clock_is_not_taken() -> None:
    """Its records lie in the cache; the others answer from their own."""
    memory = SharedMemory()
    wrong = MemoryCache("wrong", memory)
    async with replica(steady, rising, MemoryCache("right", memory)) as world:
        one = world.call(mode="reactive")
        await world.pass_time(5)
        await wrong.publish({one.trigger.key: seen(START + HOUR, 0.0)}, 7200)
        await world.pass_time(60)
        assert world.plan(one).metric == 100  # type: ignore[attr-defined]


async def test_the_holder_of_a_lease_from_the_future_is_not_waited_for() -> None:
    """The clock was set back, and the replica that held the lease is gone: this one refreshes at the next tick."""
    clock, memory = ManualClock(START), SharedMemory()
    gone = MemoryCache("gone", memory)
    key = ""
    async with replica(steady, rising, MemoryCache("left", memory), clock) as world:
        one = world.call(mode="reactive")
        key = one.trigger.key
        await world.refresh._replicas.leave([key])
        assert await gone.lease([key], 7200) == {key}
        await gone.publish({key: seen(START + 1)}, 7200)
        await world.pass_time(16)
        clock.step_back(HOUR)
        await world.pass_time(46)
        assert world.plan(one).metric == 100  # type: ignore[attr-defined]

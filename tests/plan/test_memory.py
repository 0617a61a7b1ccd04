"""What the planner remembers is one value, and a rule that remembers needs to be listed in one place."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaler.plan.memory
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.plan.hpa_estimate import WINDOW_SYNCS
from scaler.plan.memory import REMEMBERED, Memory, observe, resume
from scaler.plan.rule import News, Remembered
from scaler.series import Forecast, Observation
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, replica, rising, steady

NOW = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=60.0)
LATE = Forecast(NOW, 60.0, (0.9,), np.full((60, 1), 100.0, np.float32), (), None, "test@1")


def news(minute: int, demand: float, answered: float | None) -> News:
    at = NOW + 60 * minute
    return News(TRIGGER, at, Observation(at, demand, demand, demand), replace(LATE, start=at), answered, 15.0)


def remembered(demands: list[float]) -> Memory:
    memory = Memory()
    for minute, demand in enumerate(demands):
        memory = observe(memory, news(minute, demand, demand))
    return memory


def test_nothing_is_concluded_at_first() -> None:
    """No news, no conclusions: rules find nothing to read."""
    assert Memory().conclusions == {}


def test_conclusions_of_all_rules_are_in_one_place() -> None:
    """Demand that outgrows its forecasts, and an HPA that has followed the answers."""
    conclusions = remembered([100, 105, 110, 120, 132, 146]).conclusions
    assert conclusions["replicas"] == 15
    assert conclusions["growth"] > 1


def test_observing_leaves_the_memory_before_as_it_was() -> None:
    """One value follows another, and the same news give the same value."""
    before = remembered([100, 105, 110])
    kept = before.states
    first, second = (observe(before, news(3, 120, 110)) for _ in range(2))
    assert first == second
    assert before.states is kept
    assert before == remembered([100, 105, 110])


def test_who_takes_over_goes_on_from_the_conclusions() -> None:
    """What cannot be resumed begins anew; a conclusion of a rule that is not known here is left alone."""
    taken = resume({"replicas": 7, "growth": 1.5, "of another version": 3.0}, NOW)
    assert taken.conclusions == dict.fromkeys(WINDOW_SYNCS, 7)
    assert resume({"replicas": 7, "replicas_20_syncs": 5}, NOW).conclusions["replicas_20_syncs"] == 5
    assert resume({}, NOW) == Memory()


def test_every_rule_remembers_under_its_own_name() -> None:
    """Two with the same name would overwrite each other's conclusion."""
    names = [kind.name for kind in REMEMBERED]
    assert len(set(names)) == len(names)


@given(st.lists(st.tuples(st.floats(0, 1e15), st.none() | st.floats(0, 1e15)), max_size=30))
def test_conclusions_are_finite_whatever_happens(rows: list[tuple[float, float | None]]) -> None:
    """They travel between replicas as numbers."""
    memory = Memory()
    for minute, (demand, answered) in enumerate(rows):
        memory = observe(memory, news(minute, demand, answered))
    assert np.isfinite(list(memory.conclusions.values())).all()


async def test_a_new_rule_is_remembered_and_shared_without_further_ado(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed once, its state is kept by the refresh, and its conclusion reaches every replica's outlook."""
    counted: Remembered[int] = Remembered("looks", 0, lambda count, _: count + 1, float)
    monkeypatch.setattr(scaler.plan.memory, "REMEMBERED", (*REMEMBERED, counted))
    clock, shared = ManualClock(START), SharedMemory()
    shared.clock = clock.now
    async with (
        replica(steady, rising, MemoryCache("a", shared), clock) as first,
        replica(steady, rising, MemoryCache("b", shared), clock) as second,
    ):
        answers = [world.call() for world in (first, second)]
        await first.pass_time(50)
        looks = [one.current.outlook.remembered["looks"] for one in answers if one.current]
        assert len(looks) == 2
        assert looks[0] == looks[1] >= 3

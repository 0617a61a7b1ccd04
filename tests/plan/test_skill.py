"""Whether a forecast is worth more than the newest observation, and what happens where it is not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan import Rung
from scaler.plan.rule import News
from scaler.plan.rules import plan
from scaler.plan.skill import ENOUGH_WINDOWS, MOST_LOST, SKILL, Skill, watch
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Trigger

NOW = 1_700_006_400.0
"""midnight"""
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)
MINUTE, HOUR, DAY = 60, 3600, 86_400
REFRESH = 15.0
wild = st.floats(0, 1e300) | st.sampled_from([0.0, math.nan, math.inf, -math.inf, -3.0, 1e-300])
By = Callable[[float], float]


def forecast(at: float, p90: float) -> Forecast:
    return Forecast(at, 60.0, (0.5, 0.9), np.full((60, 2), (p90 / 2, p90), np.float32), (), None, "test@1")


def watched(demand: By, p90: By, seconds: float, before: Skill | None = None, start: float = 0.0) -> Skill:
    """A refresh a minute: demand, and the p90 of the coming peak, by the second of the day."""
    state = before or Skill()
    for second in np.arange(start, start + seconds, MINUTE).tolist():
        at = NOW + second
        seen = demand(second)
        news = News(TRIGGER, at, Observation(at, seen, seen, 1000.0), forecast(at, p90(second)), None, REFRESH)
        state = watch(state, news)
    return state


def steady(_: float) -> float:
    return 200.0


def opening(second: float) -> float:
    """From 9 to 17 o'clock 500, else 50."""
    return 500.0 if 9 * HOUR <= second % DAY < 17 * HOUR else 50.0


def opening_soon(second: float) -> float:
    return max(opening(second), opening(second + 7.5 * MINUTE))


def test_a_forecast_that_is_always_far_too_high_steps_down_within_hours() -> None:
    assert not watched(steady, lambda _: 600.0, 5 * HOUR).has_lost
    found = watched(steady, lambda _: 600.0, 8 * HOUR)
    assert found.has_lost
    assert found.ratio > 5


def test_a_forecast_of_nothing_is_no_worse_than_a_reactive_trigger() -> None:
    """The floor makes it one."""
    assert not watched(steady, lambda _: 199.0, DAY).has_lost


def test_a_steady_night_says_nothing_against_a_forecast() -> None:
    """The newest observation is never wrong then; the forecast is a replica and a tenth too high."""
    assert watched(steady, lambda _: 229.0, DAY).loss == 0


def test_what_is_gained_in_the_morning_counts_all_day() -> None:
    """It foresees the opening, and is half too high for the rest of the day."""
    found = watched(opening, lambda second: 1.25 * opening_soon(second), 5 * DAY)
    assert not found.has_lost


def test_one_that_comes_after_every_opening_and_is_too_high_steps_down() -> None:
    assert watched(opening, lambda second: 3 * opening(second - 7 * MINUTE), 3 * DAY).has_lost


def test_it_returns_when_it_wins_again_and_not_before() -> None:
    lost = watched(opening, lambda _: 1500.0, 2 * DAY)
    assert lost.has_lost
    assert watched(opening, opening_soon, 6 * HOUR, lost, start=2 * DAY).has_lost
    assert not watched(opening, opening_soon, 10 * DAY, lost, start=2 * DAY).has_lost


def test_between_the_bounds_nothing_changes() -> None:
    """A loss of 1.1 times that of the newest observation: neither enough to step down nor to return."""
    between = Skill((), 1e4, 0.0, 1100.0, 1000.0)
    assert not watched(steady, steady, HOUR, between).has_lost
    assert watched(steady, steady, HOUR, between._replace(has_lost=True)).has_lost


def test_the_plan_of_one_that_has_stepped_down_is_reactive_and_says_so() -> None:
    lost = watched(steady, lambda _: 600.0, 8 * HOUR)
    conclusion = SKILL.conclude(lost)
    assert conclusion is not None
    at = NOW + 8 * HOUR
    outlook = Outlook(at, Observation(at, 200.0, 200.0, 1000.0), forecast(at, 600.0), "", {SKILL.name: conclusion})
    made = plan(TRIGGER, outlook, at, REFRESH)
    assert (made.metric, made.rung) == (200.0, Rung.OBSERVATION)
    assert "the forecast of test@1 has stepped down" in str(made.reasons[0])
    assert plan(TRIGGER, Outlook(at, outlook.observation, outlook.forecast), at, REFRESH).metric == 600.0


def test_a_forecast_that_has_stepped_down_wakes_and_sleeps_nothing_alone() -> None:
    """Without an observation there is no answer, and KEDA's fallback applies."""
    made = plan(TRIGGER, Outlook(NOW, None, forecast(NOW, 600.0), "", {SKILL.name: 2.0}), NOW, REFRESH)
    assert (made.metric, made.rung) == (None, Rung.NOTHING)


@pytest.mark.parametrize("height", [1e5, 1e12])
def test_one_absurd_demand_changes_nothing(height: float) -> None:
    """Neither does a good forecast lose for it, nor is a bad one let off."""

    def outlier(second: float) -> float:
        return height if 10 * HOUR <= second < 10 * HOUR + MINUTE else opening(second)

    assert not watched(outlier, opening_soon, DAY).has_lost
    assert watched(outlier, lambda _: 1500.0, 3 * DAY).has_lost


def test_one_absurd_forecast_does_not_lose_the_others() -> None:
    """No plan asks for more than ten times the largest demand on record, whatever is forecast."""
    found = watched(opening, lambda second: 1e12 if second == 10 * HOUR else opening_soon(second), DAY)
    assert not found.has_lost


def test_nothing_is_concluded_from_a_few_windows() -> None:
    assert SKILL.conclude(watched(steady, lambda _: 1e6, (ENOUGH_WINDOWS - 10) * MINUTE)) is None


def test_an_outage_says_nothing() -> None:
    lost = watched(steady, lambda _: 600.0, 8 * HOUR)
    state = lost
    for minute in range(600):
        at = NOW + 8 * HOUR + minute * MINUTE
        state = watch(state, News(TRIGGER, at, Observation(NOW + 8 * HOUR, 200.0, 200.0, 200.0), None, None, REFRESH))
    assert state.ratio == pytest.approx(lost.ratio, rel=0.1)
    assert state.noted == ()


def test_another_replica_resumes_with_the_conclusion() -> None:
    lost = watched(steady, lambda _: 600.0, 8 * HOUR)
    conclusion = SKILL.conclude(lost)
    assert conclusion is not None
    assert SKILL.resume is not None
    assert SKILL.conclude(SKILL.resume(conclusion, NOW)) == pytest.approx(conclusion)
    assert SKILL.conclude(Skill()) is None


@given(st.lists(st.tuples(wild, wild, st.floats(-100, 1000)), max_size=40))
def test_nothing_makes_the_conclusion_leave_its_range(seen: list[tuple[float, float, float]]) -> None:
    state, at = Skill(windows=ENOUGH_WINDOWS), NOW
    for value, p90, seconds in seen:
        at += seconds
        made = forecast(at, max(min(p90, 3e38), -3e38))
        state = watch(state, News(TRIGGER, at, Observation(at, value, value, value), made, None, REFRESH))
    assert 0 <= (SKILL.conclude(state) or 0) <= MOST_LOST

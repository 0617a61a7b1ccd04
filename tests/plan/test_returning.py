"""After an outage of the source, its first numbers may be too small."""

import math

import numpy as np
import pytest

from scaler.plan.memory import Memory, observe
from scaler.plan.returning import RETURNING, Returning, watch
from scaler.plan.rule import News
from scaler.plan.rules import plan
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Trigger

NOW = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)
REFRESH = 15.0


def forecast(at: float, p90: float) -> Forecast:
    return Forecast(at, 60.0, (0.5, 0.9), np.full((60, 2), p90, np.float32), (), None, "test@1")


def answers(seen: dict[float, float], until: float) -> list[float | None]:
    """Answers at every refresh of one replica. seen: demand by the second of its observation; forecasts follow it."""
    memory, newest, answered, found = Memory(), None, None, []
    for second in np.arange(0, until, REFRESH).tolist():
        at = NOW + second
        if second in seen:
            newest = Observation(at, seen[second], seen[second], 200.0)
        made = None if newest is None else forecast(at, newest.value)
        memory = observe(memory, News(TRIGGER, at, newest, made, answered, REFRESH))
        answered = plan(TRIGGER, Outlook(at, newest, made, "", memory.conclusions), at, REFRESH).metric
        found.append(answered)
    return found


def half_filled(away: float) -> dict[float, float]:
    """100 for ten minutes; then nothing; then a rate over five minutes that fills up from 10."""
    before = dict.fromkeys(np.arange(0, 600, REFRESH).tolist(), 100.0)
    back = {600 + away + s: min(100.0, 10 + s * 0.3) for s in np.arange(0, 900, REFRESH).tolist()}
    return before | back


@pytest.mark.parametrize("away", [75.0, 300.0, 1800.0])
def test_nothing_scales_down_on_a_window_that_fills_again(away: float) -> None:
    found = answers(half_filled(away), 600 + away + 900)
    assert min(found[int((600 + away) / REFRESH) :]) == pytest.approx(100.0)


def test_a_dip_without_an_outage_is_a_dip() -> None:
    """So is one after a refresh or two that failed."""
    for away in (15.0, 45.0):
        assert min(answers(half_filled(away), 1200)[40:]) < 50


def test_demand_that_stays_lower_is_followed_after_five_minutes() -> None:
    seen = dict.fromkeys(np.arange(0, 600, REFRESH).tolist(), 100.0) | dict.fromkeys(
        np.arange(900, 1500, REFRESH).tolist(), 40.0
    )
    found = answers(seen, 1500)
    at_900 = int(900 / REFRESH)
    assert found[at_900 : at_900 + 20] == pytest.approx([100.0] * 20)
    assert found[-1] == pytest.approx(40.0)


def test_it_keeps_what_is_there_and_orders_nothing() -> None:
    """100 was observed before, but there are four replicas of ten now."""
    seen = Observation(NOW, 20.0, 20.0, 200.0)
    known = {RETURNING.name: 100.0, "replicas": 4.0}
    made = plan(TRIGGER, Outlook(NOW, seen, forecast(NOW, 20.0), "", known), NOW, REFRESH)
    assert made.metric == 40.0
    assert "40 is kept: the source was away, 100 was observed before" in str(made.reasons[-1])


def test_what_was_observed_hours_ago_says_nothing() -> None:
    state = watch(
        Returning(NOW - 7200, 100.0), News(TRIGGER, NOW, Observation(NOW, 5.0, 5.0, 5.0), None, None, REFRESH)
    )
    assert RETURNING.conclude(state) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_is_no_demand_is_not_kept(value: float) -> None:
    state = watch(Returning(), News(TRIGGER, NOW, Observation(NOW, value, 5.0, 5.0), None, None, REFRESH))
    assert state == Returning()

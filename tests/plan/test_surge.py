"""Whether demand outgrows its forecasts, and by how much: from the observations of the last minutes alone."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.rule import News
from scaler.plan.surge import MOST, NO_SURGE, Seen, Surge, growth, watch
from scaler.series import Forecast, Observation
from scaler.trigger import Trigger

NOW = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)
wild = st.floats(0, 1e300) | st.sampled_from([0.0, math.nan, math.inf, -math.inf, -3.0, 1e-300])


def seen(values: Sequence[float], peaks: Sequence[float | None], every: float = 60.0) -> tuple[Seen, ...]:
    return tuple(Seen(NOW + every * i, value, peak) for i, (value, peak) in enumerate(zip(values, peaks, strict=True)))


def forecast(p90: float, at: float) -> Forecast:
    return Forecast(at, 60.0, (0.5, 0.9), np.full((60, 2), (p90 / 2, p90), np.float32), (), None, "test@1")


def news(observation: Observation | None, made: Forecast | None, trigger: Trigger = TRIGGER) -> News:
    return News(trigger, observation.at if observation else NOW, observation, made, None, 15.0)


def watched(values: Sequence[float], p90: float = 100.0, every: float = 60.0, before: Surge = NO_SURGE) -> Surge:
    for i, value in enumerate(values):
        at = NOW + every * i
        before = watch(before, news(Observation(at, value, value, value), forecast(p90, at)))
    return before


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((100, 110, 120), 1.0),
        ((105, 110, 120), (120 / 105) ** 1.5),
        ((110, 150, 220), 2.0),
        ((110, 105, 101), 1.0),
        ((150, 150, 150), 1.0),
        ((150, 90, 180), 1.0),
        ((1e300, 1e200, 150), 1.0),
        ((105, 105, 110, 120), 1.0),
        ((105, 180, 200, 200), 1.0),
    ],
)
def test_growth_above_every_forecast_goes_on(values: tuple[float, ...], expected: float) -> None:
    """For one and a half lead times, to twice as much; not where a minute was as forecast, or demand just jumps."""
    recent = seen((100, 100, *values), (100.0,) * (2 + len(values)))
    assert growth(recent, 120.0) == pytest.approx(expected, abs=5e-4)


def test_the_forecasts_of_a_lead_time_ago_count() -> None:
    """That the newest ones have seen it coming is too late for replicas to be there."""
    values = (100, 100, 120, 140, 160)
    knew, did_not = (125.0, 145.0, 165.0, 170.0, 190.0), (100.0, 100.0, 100.0, 170.0, 190.0)
    assert growth(seen(values, knew), 120.0) == 1.0
    assert growth(seen(values, did_not), 120.0) > 1.5


def test_a_longer_lead_time_lets_it_grow_for_longer() -> None:
    values, peaks = (100, 100, 100, 100, 105, 108, 111), (100.0,) * 7
    assert 1 < growth(seen(values, peaks), 120.0) < growth(seen(values, peaks), 240.0) < MOST


def test_it_takes_a_lead_time_and_two_minutes_to_say_anything() -> None:
    """Earlier forecasts are not known before that; then there is a growth."""
    values = (110, 120, 132, 145, 160)
    assert [watched(values[: i + 1]).growth for i in range(4)] == [1.0] * 4
    assert watched(values).growth == pytest.approx((160 / 132) ** 1.5, abs=5e-4)


def test_one_observation_a_minute_is_kept_and_no_longer_than_needed() -> None:
    """However often the refresh runs; what was said stands until the next one."""
    often = watched([100 + i for i in range(200)], every=15.0)
    assert {b.at - a.at for a, b in zip(often.seen, often.seen[1:], strict=False)} == {60.0}
    assert len(often.seen) <= 6
    again = Observation(often.seen[-1].at + 15, 500.0, 500.0, 500.0)
    assert watch(often, news(again, None)) is often


def test_without_forecast_or_observation_there_is_no_surge() -> None:
    """A gap in either is no evidence."""
    assert watch(NO_SURGE, news(None, None)) is NO_SURGE
    assert growth(seen((100, 100, 120, 140, 160), (None,) * 5), 120.0) == 1.0
    assert growth(seen((120, 140, 160), (100.0,) * 3, every=300.0), 120.0) == 1.0
    late = (*seen((100, 100, 120), (100.0,) * 3), Seen(NOW + 240, 160, 100.0))
    assert growth(late, 120.0) == 1.0


def test_demand_that_all_but_vanishes_is_no_surge() -> None:
    """The ratio of the two is 0 in floating point."""
    assert growth(seen((0, 0, 1e300, 1, 1e-300), (0.0,) * 5), 60.0) == 1.0


@given(st.lists(st.tuples(wild, st.none() | wild), min_size=1, max_size=8), st.floats(1, 7200))
def test_whatever_was_observed_growth_is_bounded(pairs: list[tuple[float, float | None]], lead: float) -> None:
    """Not a number, infinite, negative: never an error, never less than 1 nor more than `MOST`; in thousandths."""
    found = growth(seen(*zip(*pairs, strict=True)), lead)
    assert 1.0 <= found <= MOST
    assert found == round(1000 * found) / 1000


@given(st.lists(wild, min_size=1, max_size=8))
def test_watching_never_fails(values: list[float]) -> None:
    trigger = replace(TRIGGER, lead_time_seconds=60.0)
    surge = NO_SURGE
    for i, value in enumerate(values):
        at = NOW + 60 * i
        seen_now = Observation(at, value, value, value)
        surge = watch(surge, news(seen_now, forecast(min(abs(value), 1e38), at), trigger))
    assert 1.0 <= surge.growth <= MOST

"""Whether the quantile of a bundle holds, and which one is read where it does not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.coverage import COVERAGE, HIGHEST, Coverage, level_at, watch
from scaler.plan.rule import News
from scaler.series import Forecast, Observation
from scaler.trigger import Trigger

NOW = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)
HOUR, DAY = 3600, 86_400
REFRESH = 15.0
LEVELS = (0.5, 0.9, 0.99)
wild = st.floats(0, 1e300) | st.sampled_from([0.0, math.nan, math.inf, -math.inf, -3.0, 1e-300])


def forecast(at: float, p50: float = 90.0, p90: float = 100.0, p99: float = 130.0, past_share: float = 0.0) -> Forecast:
    return Forecast(at, 60.0, LEVELS, np.full((60, 3), (p50, p90, p99), np.float32), (), None, "test@1", (past_share,))


def watched(
    demand: np.ndarray,
    before: Coverage | None = None,
    start: float = 0.0,
    past_share: float = 0.0,
    trigger: Trigger = TRIGGER,
    history_peak: float = 130.0,
) -> tuple[Coverage, list[bool]]:
    """A refresh every 15 s with the demand of each; and whether each exceeded what was read for it just then."""
    state, exceeded = before or Coverage(), []
    for index, value in enumerate(demand.tolist()):
        at = NOW + start + index * REFRESH
        made = forecast(at, past_share=past_share)
        observation = None if math.isnan(value) else Observation(at, value, value, history_peak)
        level = level_at(trigger.quantile, state.shift)
        exceeded.append(value > np.interp(level, LEVELS, made.quantiles_HQ[0]))
        state = watch(state, News(trigger, at, observation, made, None, REFRESH))
    return state, exceeded


def in_windows(share: float, days: float, height: float = 120.0) -> np.ndarray:
    """Demand of which about `share` of the windows of seven minutes have a minute of `height`, by seed."""
    generator = np.random.default_rng(0)
    minutes = generator.random(round(days * 1440)) < 1 - (1 - share) ** (60 / 375)
    return np.repeat(np.where(minutes, height, 80.0), 4)


def test_a_quantile_that_holds_is_read_as_it_is() -> None:
    state, _ = watched(np.full(4 * 1440, 100.0))
    assert level_at(0.9, state.shift) == 0.9


def test_a_quantile_exceeded_in_three_of_ten_windows_is_replaced_by_a_higher_one() -> None:
    """A p90 of 100 and a p99 of 130: from p96.7 on, 120 is not exceeded."""
    state, exceeded = watched(in_windows(0.3, days=4))
    assert 0.93 < level_at(0.9, state.shift) < 0.98
    assert np.mean(exceeded[-4 * 1440 :]) < np.mean(exceeded[:480]) / 2


def test_what_exceeds_it_as_often_as_promised_moves_little() -> None:
    state, _ = watched(in_windows(0.05, days=4))
    assert level_at(0.9, state.shift) < 0.92


def test_it_reacts_to_a_level_shift_within_an_hour() -> None:
    state, _ = watched(np.full(4 * 60, 125.0))
    assert level_at(0.9, state.shift) > 0.975


def test_it_falls_back_when_demand_does() -> None:
    risen, _ = watched(np.full(4 * 120, 125.0))
    fallen, _ = watched(np.full(4 * 1440, 80.0), risen, start=2 * HOUR)
    assert level_at(0.9, fallen.shift) == 0.9


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.98, 0.99, 0.999])
def test_no_level_is_read_beyond_those_of_bundles_or_below_the_trigger_s_own(quantile: float) -> None:
    trigger = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", quantile=quantile)
    state, _ = watched(np.full(4 * 1440, 1e6), trigger=trigger)
    assert level_at(quantile, state.shift) == pytest.approx(max(quantile, HIGHEST))
    assert level_at(quantile, 100.0) == pytest.approx(max(quantile, HIGHEST))
    assert level_at(quantile, 0.0) == quantile


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999), st.floats(0, 10))
def test_a_higher_quantile_never_reads_a_lower_level(one: float, other: float, shift: float) -> None:
    low, high = sorted((one, other))
    assert level_at(low, shift) <= level_at(high, shift)


def test_forecasts_of_past_days_are_not_judged() -> None:
    assert watched(np.full(400, 125.0), past_share=0.9)[0] == Coverage()


def test_an_outage_says_nothing() -> None:
    risen, _ = watched(np.full(4 * 120, 125.0))
    silent, _ = watched(np.full(4 * 600, np.nan), risen, start=2 * HOUR)
    later, _ = watched(np.full(4 * 600, np.nan), silent, start=12 * HOUR)
    assert risen.shift <= silent.shift == later.shift


def test_little_demand_says_nothing() -> None:
    """Less than a tenth of the largest demand on record, as in a night of few requests."""
    assert watched(np.full(400, 125.0), history_peak=2000.0)[0] == Coverage()


def test_another_replica_resumes_with_the_level() -> None:
    risen, _ = watched(np.full(4 * 60, 125.0))
    conclusion = COVERAGE.conclude(risen)
    assert COVERAGE.resume is not None
    assert conclusion is not None
    assert level_at(0.9, COVERAGE.resume(conclusion, NOW).shift) == pytest.approx(level_at(0.9, risen.shift), abs=0.001)
    assert COVERAGE.conclude(Coverage()) is None


@given(st.lists(st.tuples(wild, wild, st.floats(-100, 1000)), max_size=40))
def test_nothing_makes_the_level_leave_its_range(seen: list[tuple[float, float, float]]) -> None:
    state, at = Coverage(), NOW
    for value, p90, seconds in seen:
        at += seconds
        observation = Observation(at, value, value, value)
        made = forecast(at, p90=max(min(p90, 3e38), -3e38))
        state = watch(state, News(TRIGGER, at, observation, made, None, REFRESH))
    assert 0.9 <= level_at(0.9, state.shift) <= HIGHEST + 1e-9

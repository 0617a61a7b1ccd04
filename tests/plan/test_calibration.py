"""Whether the quantile of past days holds, and what forecasts are multiplied by where it does not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.calibration import CALIBRATION, MOST, UNCALIBRATED, Calibration, watch
from scaler.plan.rule import News
from scaler.series import Forecast, Observation
from scaler.trigger import Trigger

NOW = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)
DAY = 86_400
REFRESH = 15.0
wild = st.floats(0, 1e300) | st.sampled_from([0.0, math.nan, math.inf, -math.inf, -3.0, 1e-300])


def forecast(p90: float, at: float, past_share: float = 1.0) -> Forecast:
    return Forecast(
        at, 60.0, (0.5, 0.9), np.full((60, 2), (p90 / 2, p90), np.float32), (), None, "test@1", (past_share,)
    )


def watched(
    demand: Callable[[float], float | None],
    seconds: float,
    before: Calibration = UNCALIBRATED,
    start: float = 0.0,
    past_share: float = 1.0,
    trigger: Trigger = TRIGGER,
    p90: float = 100.0,
    history_peak: float = 130.0,
) -> Calibration:
    """Refreshes every 15 s: demand by the second, None while the source is down. Every forecast is `p90`."""
    for second in np.arange(start, start + seconds, REFRESH).tolist():
        at, value = NOW + second, demand(second)
        observation = None if value is None else Observation(at, value, value, history_peak)
        before = watch(before, News(trigger, at, observation, forecast(p90, at, past_share), None, REFRESH))
    return before


def spikes(height: float, every_seconds: float = 600.0) -> Callable[[float], float]:
    """A job of one minute, now and then."""
    return lambda second: height if second % every_seconds < 60 else 50.0


def test_a_quantile_that_holds_is_left_alone() -> None:
    assert watched(lambda second: 99.0, DAY / 4).factor == 1


def test_noise_above_the_quantile_is_no_miss() -> None:
    assert watched(lambda second: 104.0, DAY / 4).factor == 1


def test_what_exceeds_it_in_four_windows_of_ten_is_covered_within_hours() -> None:
    """Each spike lies in about four of ten windows, so they are exceeded until the factor reaches it, less 5 %."""
    assert watched(spikes(130.0), DAY / 4).factor == pytest.approx(130 / 105, rel=0.02)


def test_what_exceeds_it_seldom_is_the_tenth_that_may() -> None:
    assert watched(spikes(130.0, every_seconds=3600), DAY / 4).factor < 1.08


def test_the_factor_falls_when_demand_does() -> None:
    risen = watched(spikes(130.0), DAY / 4)
    assert watched(lambda second: 50.0, DAY / 4, risen, start=DAY / 4).factor == 1


def test_the_factor_has_a_limit() -> None:
    assert watched(lambda second: 1e6, DAY / 4).factor == MOST


def test_forecasts_of_bundles_are_not_judged() -> None:
    found = watched(spikes(130.0), DAY / 4, past_share=0.5)
    assert (found.noted, found.factor) == ((), 1)


def test_windows_of_an_outage_say_nothing() -> None:
    risen = watched(spikes(130.0), DAY / 4)
    silent = watched(lambda second: None, 1800, risen, start=DAY / 4)
    assert silent.factor == pytest.approx(risen.factor, abs=0.025)


def test_half_of_it_is_forgotten_in_six_hours() -> None:
    """Also while a bundle forecasts, so that no old factor waits for the next morning."""
    risen = watched(lambda second: 1e6, DAY / 4)
    later = watched(spikes(130.0), DAY / 4, risen, start=DAY / 4, past_share=0.5)
    assert later.factor == pytest.approx(math.sqrt(MOST), rel=0.03)


@pytest.mark.parametrize(("p90", "history_peak"), [(9.0, 130.0), (9.0, 9.0), (99.0, 1000.0)])
def test_little_demand_says_nothing(p90: float, history_peak: float) -> None:
    """Less than a replica, or than a tenth of the largest demand on record: as in a night of few requests."""
    assert watched(spikes(130.0), DAY / 4, p90=p90, history_peak=history_peak).factor == 1


def test_the_higher_the_quantile_the_fewer_may_exceed_it() -> None:
    rare = spikes(130.0, every_seconds=3600)
    strict = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", quantile=0.99)
    assert watched(rare, DAY / 4, trigger=strict).factor > watched(rare, DAY / 4).factor + 0.05


@pytest.mark.parametrize(("lead", "most"), [(120.0, 6), (7200.0, 9)])
def test_few_windows_are_remembered(lead: float, most: int) -> None:
    trigger = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=lead)
    assert 1 < len(watched(lambda second: 50.0, 4 * 3600, trigger=trigger).noted) <= most


def test_another_replica_resumes_with_the_factor() -> None:
    risen = watched(spikes(130.0), DAY / 4)
    conclusion = CALIBRATION.conclude(risen)
    assert CALIBRATION.resume is not None
    assert conclusion is not None
    assert CALIBRATION.resume(conclusion, NOW).factor == risen.factor
    assert watched(lambda second: 50.0, 60, CALIBRATION.resume(conclusion, NOW)).factor == risen.factor
    assert CALIBRATION.conclude(UNCALIBRATED) is None


@given(st.lists(st.tuples(wild, wild, st.floats(-100, 1000)), max_size=40))
def test_nothing_makes_the_factor_leave_its_range(seen: list[tuple[float, float, float]]) -> None:
    state, at = UNCALIBRATED, NOW
    for value, p90, seconds in seen:
        at += seconds
        observation = Observation(at, value, value, value)
        state = watch(state, News(TRIGGER, at, observation, forecast(min(p90, 3e38), at), None, REFRESH))
    assert 1 <= state.factor <= MOST

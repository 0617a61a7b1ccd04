"""What a forecast says about a window: the right steps, the right peak, between levels and lengths."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scaler.plan.demand import largest_quantile, peak_quantile
from scaler.series import Forecast

START = 1000.0
LEVELS = (0.5, 0.61, 0.77, 0.9)
RISING = Forecast(
    start=START,
    step_seconds=60.0,
    levels=(0.5, 0.9),
    quantiles_HQ=np.array([[10, 20], [20, 40], [30, 60], [40, 80]], np.float32),
    peak_steps=(1, 3),
    peaks_WQ=np.array([[12, 24], [36, 72]], np.float32),
    model="test@1",
)


@pytest.mark.parametrize(
    ("level", "start", "end", "expected"),
    [
        (0.9, 0, 60, 20),  # one step, its end included
        (0.9, 0, 61, 40),  # the next one is touched
        (0.9, 60, 120, 40),  # a start on a border belongs to the step after it
        (0.7, 0, 60, 15),  # half-way between the levels
        (0.99, 0, 60, 20),  # beyond the levels: the highest, no extrapolation
        (0.3, 0, 60, 10),
        (0.9, 0, 10_000, 80),
        (0.9, 240, 300, 0),  # after the end
        (0.9, -300, -60, 0),  # before the start
        (0.9, -30, 30, 20),
    ],
)
def test_largest_quantile(level: float, start: float, end: float, expected: float) -> None:
    """The largest quantile over the steps that the window touches."""
    assert largest_quantile(RISING, level, START + start, START + end) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("level", "seconds", "expected"),
    [(0.9, 60, 24), (0.9, 180, 72), (0.9, 120, 48), (0.7, 120, 36), (0.9, 30, 24)],
)
def test_a_fresh_forecast_gives_the_peak_itself(level: float, seconds: float, expected: float) -> None:
    """At the start of the forecast the need is the bundle's peak, between window lengths and levels."""
    assert peak_quantile(RISING, level, START, START + seconds) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [49.7, 333.3, 1e5 / 7])
def test_a_fresh_forecast_gives_the_peak_to_the_last_digit(steps: float) -> None:
    """Whatever the steps are: what rounding adds could put a quantile below a lower one."""
    rising = np.repeat(np.array([[steps, steps * 1.3]], np.float32), 4, axis=0)
    peaks = np.array([[12.3, 12.3], [49.7, 49.7]], np.float32)
    forecast = replace(RISING, quantiles_HQ=rising, peaks_WQ=peaks)
    assert len({peak_quantile(forecast, level, START, START + 100) for level in LEVELS}) == 1


def test_a_window_longer_than_all_peaks_keeps_the_excess() -> None:
    """Beyond the longest window length: the steps, plus what the longest peak exceeds its own steps by."""
    assert peak_quantile(RISING, 0.9, START, START + 240) == pytest.approx(80 + 72 - 60)


def test_an_old_forecast_is_read_at_the_right_place() -> None:
    """A minute later the window has moved on by a step, and the excess of the peak with it (20 % or 4, the smaller)."""
    assert peak_quantile(RISING, 0.9, START + 60, START + 120) == pytest.approx(min(40 * 1.2, 40 + 4))


@pytest.mark.parametrize(("first", "second", "peak", "expected"), [(80, 8, 100, 10), (8, 80, 10, 82)])
def test_the_excess_fits_what_demand_has_become(first: float, second: float, peak: float, expected: float) -> None:
    """An excess of 20 over 80 shrinks with falling demand, and one of 2 over 8 does not grow with rising demand."""
    steps = np.array([[first], [second]], np.float32)
    moved = Forecast(START, 60.0, (0.9,), steps, (1,), np.full((1, 1), peak, np.float32), "test@1")
    assert peak_quantile(moved, 0.9, START + 60, START + 120) == pytest.approx(expected)


def test_without_peaks_the_steps_bound_it() -> None:
    """A bundle without peaks is read by its steps alone."""
    bare = Forecast(START, 60.0, RISING.levels, RISING.quantiles_HQ, (), None, "test@1")
    assert peak_quantile(bare, 0.9, START, START + 120) == 40


def test_a_peak_over_steps_of_nothing_is_kept() -> None:
    """Where the steps are 0 the ratio means nothing, and the peak counts."""
    quiet = Forecast(START, 60.0, (0.9,), np.zeros((3, 1), np.float32), (2,), np.full((1, 1), 5, np.float32), "test@1")
    assert peak_quantile(quiet, 0.9, START, START + 120) == 5


@pytest.mark.parametrize("place", range(4))
def test_what_is_no_number_is_not_passed_over(place: int) -> None:
    """Wherever in the window it stands: the plan must be able to see that the forecast is broken."""
    broken = RISING.quantiles_HQ.copy()
    broken[place] = np.nan
    assert np.isnan(largest_quantile(replace(RISING, quantiles_HQ=broken), 0.9, START, START + 240))


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("array", ["quantiles_HQ", "peaks_WQ"])
def test_no_peak_follows_from_what_is_no_demand(array: str, broken: float) -> None:
    """Neither 0 nor any other number: a forecast that began a minute ago, with a broken one in its first row."""
    numbers = getattr(RISING, array).copy()
    numbers[0] = broken
    peak = peak_quantile(replace(RISING, **{array: numbers}), 0.9, START + 60, START + 120)
    assert not 0 <= peak < math.inf

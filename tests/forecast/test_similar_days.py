"""Quantiles from the same minutes of past days."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scaler.forecast.similar_days import ALIKE, ALL_DAYS, SAME_WEEKDAY, compare, day_weights, quantiles
from scaler.series import Floats, PastDays

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99)
MEDIAN = 2
BEFORE, AHEAD, DAYS = 60, 32, 14
WINDOWS = (1, 5, 10)
TUESDAY = np.array([1])


def past(today: Floats, before: Floats, ahead: Floats, mean: float = 100.0) -> PastDays:
    """One series; before [B, D] and ahead [A, D]."""
    return PastDays(
        today[None].astype(np.float32),
        before[None].astype(np.float32),
        ahead[None].astype(np.float32),
        np.array([mean], np.float32),
        TUESDAY,
    )


def level(value: float, minutes: int = BEFORE, days: int = DAYS) -> Floats:
    return np.full((minutes, days), value, np.float32)


def batch(start: int, length: int = 20, height: float = 1000.0) -> Floats:
    """A day ahead on which a batch begins in minute `start` (1 is the next one)."""
    ahead = np.full(AHEAD, 100.0, np.float32)
    ahead[start - 1 : start - 1 + length] = height
    return ahead


def expected(of: PastDays, is_scaled: bool = True, lag: int = 1) -> tuple[Floats, Floats]:
    compared = compare(of, WINDOWS, 30, is_scaled, np.array([lag]))
    found = quantiles(compared, day_weights(ALL_DAYS, of.weekday_N, DAYS), LEVELS)
    return found.peaks_NWQ[0], found.steps_NHQ[0]


def test_a_batch_that_starts_every_day_is_sharp_to_the_minute() -> None:
    ahead = np.stack([batch(8)] * DAYS, axis=1)
    peaks, steps = expected(past(level(100)[:, 0], level(100), ahead))
    assert peaks[1] == pytest.approx(100, rel=0.01)  # minutes 1 to 6
    assert peaks[2] == pytest.approx(1000, rel=0.01)  # minutes 1 to 11
    assert steps[5, MEDIAN] == pytest.approx(100, rel=0.01)
    assert steps[6, MEDIAN] == pytest.approx(1000, rel=0.01)  # minutes 7 and 8


@pytest.mark.parametrize(("lag", "starts"), [(0, 6), (1, 7)])
def test_a_window_shows_a_start_up_to_its_lag_after_it(lag: int, starts: int) -> None:
    """The window of five minutes from now, and the step that it ends in."""
    for minute, height in ((starts - 1, 1000), (starts, 100)):
        ahead = np.stack([batch(minute)] * DAYS, axis=1)
        peaks, steps = expected(past(level(100)[:, 0], level(100), ahead), lag=lag)
        assert peaks[1, MEDIAN] == pytest.approx(height, rel=0.01)
        assert steps[4, MEDIAN] == pytest.approx(height, rel=0.01)


def test_a_batch_whose_start_varies_is_as_wide_as_that() -> None:
    ahead = np.stack([batch(4 + day % 7) for day in range(DAYS)], axis=1)
    peaks, _ = expected(past(level(100)[:, 0], level(100), ahead))
    by_minute_six = peaks[1]  # on three days of seven it has begun by then
    assert by_minute_six[:2] == pytest.approx([100, 100], rel=0.01)
    assert by_minute_six[4:] == pytest.approx([1000, 1000], rel=0.01)
    assert peaks[2, 1:] == pytest.approx(np.full(5, 1000), rel=0.01)  # by minute 11 it has on all


def test_days_are_scaled_to_todays_level() -> None:
    """Demand has grown by half: the batch is expected to be half as large again."""
    ahead = np.stack([batch(3)] * DAYS, axis=1)
    grown = past(level(150)[:, 0], level(100), ahead)
    assert expected(grown)[0][2, MEDIAN] == pytest.approx(1500, rel=0.03)
    assert expected(grown, is_scaled=False)[0][2, MEDIAN] == pytest.approx(1000, rel=0.01)


def test_no_day_is_scaled_more_than_twofold() -> None:
    ahead = np.stack([batch(3)] * DAYS, axis=1)
    assert expected(past(level(900)[:, 0], level(100), ahead))[0][2, -1] == pytest.approx(2000, rel=0.02)


def test_the_day_that_was_like_today_counts() -> None:
    """A quiet morning follows the days that began quietly."""
    before = np.where(np.arange(DAYS) % 2, 100.0, 60.0) * np.ones((BEFORE, 1))
    rising = np.linspace(1, 2, BEFORE)[:, None]
    before[:, ::2] *= rising
    ahead = np.stack([batch(2) if day % 2 else np.full(AHEAD, 120.0) for day in range(DAYS)], axis=1)
    quiet = expected(past(60 * rising[:, 0], before, ahead))[0]
    assert quiet[1, MEDIAN] == pytest.approx(120, rel=0.05)


def test_the_same_weekday_outweighs_the_others() -> None:
    weights = day_weights(SAME_WEEKDAY, TUESDAY, DAYS)[0]
    assert set(np.argsort(-weights)[:2].tolist()) == {6, 13}
    assert weights[6] > 5 * np.delete(weights, [6, 13]).sum()


def test_weekends_resemble_weekends() -> None:
    saturday = np.array([5])
    weights = day_weights(ALL_DAYS, saturday, DAYS)[0]
    assert weights[6] > weights[5] > weights[0]  # last Saturday, last Sunday, yesterday


def test_a_day_without_data_does_not_count() -> None:
    ahead = np.stack([batch(3)] * DAYS, axis=1)
    ahead[:, 0] = np.nan
    ahead[2:, 1] = np.nan  # too little of the windows of 5 and 10 minutes
    peaks, _ = expected(past(level(100)[:, 0], level(100), ahead))
    assert peaks[1:] == pytest.approx(np.full((2, len(LEVELS)), 1000), rel=0.01)


def test_nothing_known_is_unknown() -> None:
    nothing = past(level(np.nan)[:, 0], level(np.nan), level(np.nan, AHEAD), np.nan)
    peaks, steps = expected(nothing)
    assert np.isnan(peaks).all()
    assert np.isnan(steps).all()


def test_nights_of_zero_are_a_level_like_any_other() -> None:
    ahead = np.stack([batch(3)] * DAYS, axis=1)
    peaks, _ = expected(past(level(0)[:, 0], level(0), ahead))
    assert peaks[2, MEDIAN] == pytest.approx(1000, rel=0.01)


demands = st.floats(0, 2**30, width=32) | st.just(np.nan)


@given(
    arrays(np.float32, BEFORE, elements=demands),
    arrays(np.float32, (BEFORE, DAYS), elements=demands),
    arrays(np.float32, (AHEAD, DAYS), elements=demands),
    st.booleans(),
)
def test_quantiles_ascend_and_lie_within_what_was_seen(
    today: Floats, before: Floats, ahead: Floats, is_scaled: bool
) -> None:
    peaks, steps = expected(past(today, before, ahead, 10.0), is_scaled)
    for found in (peaks, steps):
        known = found[~np.isnan(found).any(axis=1)]
        assert (np.diff(known, axis=1) >= -1e-3 * np.abs(known[:, :-1])).all()
        assert (known >= 0).all()
        if len(known):
            assert known.max() <= 2.01 * np.nanmax(ahead) + 1.0


def test_the_midpoint_rule_of_two_alike_days() -> None:
    """Each spans half of the levels: below a quarter the smaller, above three quarters the larger."""
    ahead = level(np.nan, AHEAD)
    ahead[:, 0], ahead[:, 1] = 100, 200
    of = past(level(100)[:, 0], level(100), ahead)
    weights = np.ones((1, DAYS), np.float32)
    found = quantiles(compare(of, WINDOWS, 30, is_scaled=False, lag_N=np.array([1])), weights, LEVELS).peaks_NWQ[0, 0]
    assert found == pytest.approx([100, 100, 150, 200, 200, 200], rel=1e-3)
    assert day_weights(ALIKE, TUESDAY, 2)[0, 0] > day_weights(ALIKE, TUESDAY, 2)[0, 1]


def test_a_gap_over_an_edge_is_no_change_of_the_level() -> None:
    """A batch began four minutes ago on all days; today nothing is known of these minutes."""
    before = level(100)
    before[-4:] = 1000
    today = before[:, 0].copy()
    today[-4:] = np.nan
    peaks, _ = expected(past(today, before, level(1000, AHEAD)))
    assert peaks[1] == pytest.approx(np.full(len(LEVELS), 1000), rel=0.01)

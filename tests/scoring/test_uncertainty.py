"""A forecast is uncertain where it is wider than its own past, or those that make it up disagree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.refresh.doubting import Doubts
from scaler.scoring.uncertainty import ENOUGH_MINUTES, Doubt, Widths, are_split, part_of_past
from scaler.series import Floats, Forecast
from scaler.trigger import Trigger

ROW = np.zeros(1, np.int64)
LEVELS = (0.1, 0.5, 0.95)
TRIGGER = Trigger("shop", "web", "demand", 10.0, "", key="a")


def width(value: float) -> Floats:
    return np.array([value], np.float32)


def after(widths: list[float]) -> Widths:
    page = Widths(1)
    for minute, value in enumerate(widths):
        page.note(ROW, minute, width(value))
    return page


def test_wide_is_what_is_rare_for_the_trigger() -> None:
    """A p95 of 1.3 times the median on most days; 1.9 is rare, and 1.3 is not."""
    page = after([1.3] * ENOUGH_MINUTES)
    usual, is_wide = page.judge(ROW, width(1.9))
    assert usual[0] == pytest.approx(1.3, rel=0.1)
    assert is_wide[0]
    assert not page.judge(ROW, width(1.3))[1][0]
    assert not page.judge(ROW, width(1.6))[1][0]  # less than WIDER times the usual bin


def test_bursty_is_not_wide() -> None:
    """Where every tenth forecast is as wide, one more is nothing unusual."""
    page = after(([1.3] * 9 + [3.0]) * (ENOUGH_MINUTES // 10))
    assert not page.judge(ROW, width(3.0))[1][0]


def test_nothing_is_concluded_in_the_first_day() -> None:
    usual, is_wide = after([1.3] * (ENOUGH_MINUTES - 1)).judge(ROW, width(9.0))
    assert np.isnan(usual[0])
    assert not is_wide[0]


def test_a_new_usual_takes_over() -> None:
    """Within some days, as the counts of older ones fade."""
    page = after([1.2] * ENOUGH_MINUTES * 7 + [2.0] * ENOUGH_MINUTES * 7)
    assert page.judge(ROW, width(2.0))[0][0] == pytest.approx(2.0, rel=0.1)


def test_a_minute_counts_once() -> None:
    page = Widths(1)
    for _ in range(4):
        page.note(ROW, 7, width(1.5))
    assert page.known[0] == 1


@given(st.lists(st.floats(1, 1e30) | st.just(float("inf")), max_size=30))
def test_any_width_has_its_place(widths: list[float]) -> None:
    page = after(widths)
    assert page.counts.sum() <= len(widths) + 1e-3
    assert np.isfinite(page.counts).all()


def test_split_is_far_apart_with_weight_on_both_sides() -> None:
    """By a factor, by at least a replica, and where each is a fifth of the forecast."""
    bundle, past = np.array([400.0, 400.0, 400.0, 4.0, 4.0]), np.array([1200.0, 500.0, 1200.0, 8.0, np.nan])
    share = np.array([0.5, 0.5, 0.1, 0.5, 0.0])
    found = are_split(bundle, past, share, np.full(5, 10.0))
    assert found.tolist() == [True, False, False, False, False]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.2, 1))
def test_the_part_of_past_days_is_what_the_mean_was_made_of(bundle: float, past: float, share: float) -> None:
    mixed = share * past + (1 - share) * bundle
    assert part_of_past(mixed, bundle, share) == pytest.approx(past, rel=1e-6, abs=1e-6 * (1 + bundle))


def forecast(median: float, p95: float, share: float = 0.0) -> Forecast:
    quantile = np.array([median / 2, median, p95], np.float32)
    peaks = np.stack([quantile / 3, quantile])
    return Forecast(0.0, 60.0, LEVELS, np.tile(quantile, (30, 1)), (5, 10), peaks, "plain@1", (share, 0.0, 0.0))


def doubts(minutes: int = ENOUGH_MINUTES) -> Doubts:
    found = Doubts()
    found.add("a")
    for minute in range(minutes):
        note(found, minute, forecast(100.0, 130.0))
    return found


def note(found: Doubts, minute: int, mixed: Forecast | None, bundle: Forecast | None = None) -> Doubt | None:
    """The window of ten minutes is what the plan looks at."""
    found.note([TRIGGER], [bundle or mixed], [mixed], [400.0], 60.0 * minute)
    return found.of("a")


def test_a_wide_forecast_is_flagged_and_a_usual_one_is_not() -> None:
    found = doubts()
    wide = note(found, ENOUGH_MINUTES, forecast(100.0, 240.0))
    assert wide is not None
    assert (wide.is_wide, wide.is_split, wide.is_uncertain) == (True, False, True)
    assert wide.width == pytest.approx(2.4)
    usual = note(found, ENOUGH_MINUTES + 1, forecast(100.0, 130.0))
    assert usual is not None
    assert not usual.is_uncertain


def test_less_than_a_replica_is_no_doubt() -> None:
    wide = note(doubts(), ENOUGH_MINUTES, forecast(4.0, 12.0))
    assert wide is not None
    assert not wide.is_uncertain


def test_past_days_and_bundle_that_disagree_are_named() -> None:
    found = doubts(1)
    split = note(found, 2, forecast(800.0, 900.0, share=0.5), forecast(400.0, 450.0))
    assert split is not None
    assert (split.is_split, split.past, split.bundle) == (True, pytest.approx(1200.0), 400.0)


def test_without_a_forecast_there_is_no_doubt() -> None:
    """Nor for a median of 0, nor for a trigger that is no longer kept."""
    found = doubts(1)
    zero = note(found, 2, forecast(0.0, 0.0))
    assert zero is not None
    assert (zero.width, zero.is_uncertain) == (1.0, False)
    assert note(found, 3, None) is None
    note(found, 4, forecast(100.0, 130.0))
    found.remove("a")
    assert found.of("a") is None

"""How much each expert counts, by its losses."""

import numpy as np
import pytest

from scaler.forecast.scores import BINS, EXPERTS, LEVELS, NOTED, Page, due, learn, mixed, note, pinball, weights
from scaler.series import Floats

ROW = np.zeros(1, np.int64)
WINDOW = np.array([8])
MIDNIGHT = 20_000 * 1440
GENERAL, DAYS_EXPERT = 0, 1

LAG = np.array([1])


def minute(number: int) -> np.ndarray:
    return np.array([number])


def expecting(general: float, days: float) -> Floats:
    found = np.full((1, len(EXPERTS), len(LEVELS)), np.nan, np.float32)
    found[0, GENERAL], found[0, DAYS_EXPERT] = general, days
    return found


def live(page: Page, start: int, minutes: int, general: float, days: float, truth: float) -> None:
    """Both experts expect something every minute, and learn what was true when the window is over."""
    for now in range(start, start + minutes):
        for slot in due(page, ROW, minute(now), WINDOW)[1].tolist():
            learn(page, ROW, np.array([slot]), WINDOW, np.array([truth], np.float32))
        note(page, ROW, minute(now), WINDOW, expecting(general, days), LAG)


def test_pinball_loss_of_a_quantile() -> None:
    """Too low by 10 costs 10 times the level, too high by 10 costs 10 times the rest."""
    quantile = np.full((2, 1, len(LEVELS)), 100, np.float32)
    found = pinball(quantile, np.array([110, 90], np.float32))
    assert found[0, 0] == pytest.approx(10 * np.mean(LEVELS))
    assert found[1, 0] == pytest.approx(10 * (1 - np.mean(LEVELS)))


def test_a_new_trigger_starts_on_the_bundle() -> None:
    found = weights(Page(), ROW, minute(MIDNIGHT))[0]
    assert found.sum() == pytest.approx(1)
    assert found[GENERAL] > 0.85


def test_the_better_expert_takes_over_within_hours() -> None:
    page = Page()
    live(page, MIDNIGHT, 120, general=100, days=990, truth=1000)
    found = weights(page, ROW, minute(MIDNIGHT + 120))[0]
    assert found[DAYS_EXPERT] > 0.99


def test_as_good_as_the_bundle_is_not_enough_for_half() -> None:
    page = Page()
    live(page, MIDNIGHT, 120, general=990, days=990, truth=1000)
    assert weights(page, ROW, minute(MIDNIGHT + 120))[0][DAYS_EXPERT] < 0.4


def test_the_time_of_day_at_which_an_expert_is_good_counts() -> None:
    """Good at 02:30 and bad all day long: at 02:30 it counts on the next day."""
    page = Page()
    for day in range(3):
        start = MIDNIGHT + 1440 * day
        live(page, start, 140, general=100, days=300, truth=100)
        live(page, start + 140, 30, general=100, days=1000, truth=1000)
        live(page, start + 170, 400, general=100, days=300, truth=100)
    next_day = MIDNIGHT + 3 * 1440
    assert weights(page, ROW, minute(next_day + 155))[0][DAYS_EXPERT] > 0.6
    assert weights(page, ROW, minute(next_day + 300))[0][DAYS_EXPERT] < 0.05


def test_a_window_is_scored_when_it_is_over() -> None:
    page = Page()
    note(page, ROW, minute(MIDNIGHT), WINDOW, expecting(1, 1), LAG)
    assert not len(due(page, ROW, minute(MIDNIGHT + 9), WINDOW)[0])
    assert due(page, ROW, minute(MIDNIGHT + 10), WINDOW)[1].tolist() == [MIDNIGHT % NOTED]


def test_what_is_noted_says_which_minutes_will_show_its_window() -> None:
    page = Page()
    for now, lag in ((MIDNIGHT, 0), (MIDNIGHT + 1, 1)):
        note(page, ROW, minute(now), WINDOW, expecting(1, 1), np.array([lag]))
    noted = page.noted_minutes[0, [MIDNIGHT % NOTED, (MIDNIGHT + 1) % NOTED]]
    assert noted.tolist() == [WINDOW[0], WINDOW[0] + 1]


def test_an_unknown_truth_teaches_nothing() -> None:
    page = Page()
    note(page, ROW, minute(MIDNIGHT), WINDOW, expecting(1, 2), LAG)
    slot = due(page, ROW, minute(MIDNIGHT + 10), WINDOW)[1]
    learn(page, ROW, slot, WINDOW, np.array([np.nan], np.float32))
    assert page.count[0] == 0
    assert not len(due(page, ROW, minute(MIDNIGHT + 10), WINDOW)[0])


def test_a_second_refresh_of_a_minute_notes_nothing() -> None:
    page = Page()
    note(page, ROW, minute(MIDNIGHT), WINDOW, expecting(1, 1), LAG)
    note(page, ROW, minute(MIDNIGHT), WINDOW, expecting(5, 5), LAG)
    assert page.noted[0, MIDNIGHT % NOTED, GENERAL, 0] == 1


@pytest.mark.parametrize("window", [1, 8, 14, 30])
def test_no_window_is_overwritten_before_it_is_over(window: int) -> None:
    page, length, scored = Page(), np.array([window]), 0
    for now in range(MIDNIGHT, MIDNIGHT + 300):
        _, slots = due(page, ROW, minute(now), length)
        scored += len(slots)
        for slot in slots.tolist():
            learn(page, ROW, np.array([slot]), length, np.array([1], np.float32))
        note(page, ROW, minute(now), length, expecting(1, 1), LAG)
    every = -(-(window + 2) // (NOTED - 1))
    assert scored == pytest.approx((300 - window - 2) / every, abs=2)


def test_days_that_were_missed_cost_little() -> None:
    """A day on which the batch did not come does not unlearn what six days have shown."""
    page = Page()
    for day in range(7):
        truth = 100.0 if day == 5 else 1000.0
        live(page, MIDNIGHT + 1440 * day, 60, general=100, days=1000, truth=truth)
    assert weights(page, ROW, minute(MIDNIGHT + 7 * 1440 + 30))[0][DAYS_EXPERT] > 0.5


def test_an_outlier_that_surprises_all_does_not_decide_for_days() -> None:
    """One minute of a hundred times the demand: the expert that was better all week is better after it, too."""
    page = Page()
    for day in range(4):
        live(page, MIDNIGHT + 1440 * day, 240, general=130, days=101, truth=100)
    live(page, MIDNIGHT + 4 * 1440, 10, general=400, days=101, truth=10_000)
    live(page, MIDNIGHT + 4 * 1440 + 10, 120, general=130, days=101, truth=100)
    assert weights(page, ROW, minute(MIDNIGHT + 5 * 1440 + 60))[0][DAYS_EXPERT] > 0.9


def test_weights_without_any_loss_are_a_share_of_one() -> None:
    nothing = np.full((3, 2, len(EXPERTS)), np.nan, np.float32)
    assert mixed(nothing).sum(axis=1) == pytest.approx([1, 1])


def test_perfect_experts_are_no_division_by_zero() -> None:
    perfect = np.zeros((3, 1, len(EXPERTS)), np.float32)
    found = mixed(perfect)
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_a_cleared_row_is_as_new() -> None:
    page = Page()
    live(page, MIDNIGHT, 60, general=100, days=990, truth=1000)
    page.clear(0)
    assert weights(page, ROW, minute(MIDNIGHT + 60)) == pytest.approx(weights(Page(), ROW, minute(MIDNIGHT + 60)))
    assert page.by_time.shape[2] == BINS

"""Edges that recur on past days, and what is said of them."""

from collections.abc import Callable

import numpy as np
import pytest

from scaler.forecast.recurring import is_shown, recurrences
from scaler.recurrence import Recurrence
from scaler.series import PastDays

DAYS, BEFORE, AHEAD = 14, 60, 32
MONDAY = 19_786
"""4 March 2024, in days since the epoch"""

Height = Callable[[int, int], float]
"""demand in a minute of a day; days count from the epoch, minute 541 is the one that ends at 09:01"""


def said(height: Height, at: tuple[int, int], rise: float = 9.0, without: tuple[int, ...] = ()) -> str:
    """The sentence at a minute of a day; days in `without` are not known. Empty where there is nothing to say."""
    day, minute = at
    around = minute + np.arange(-BEFORE + 1, AHEAD + 1)
    days = np.array([[height(day - back, m) for back in range(1, DAYS + 1)] for m in around.tolist()], np.float32)
    for unknown in without:
        days[:, day - unknown - 1] = np.nan
    past = PastDays(
        np.full((1, BEFORE), 100, np.float32),
        days[None, :BEFORE],
        days[None, BEFORE:],
        np.array([200], np.float32),
        np.array([(day + 3) % 7]),
    )
    found = recurrences(past, np.array([day * 1440 + minute]), np.array([rise], np.float32))[0]
    return "" if found is None else found.sentence


def noisy(value: float, *of: int) -> float:
    return value * float(np.exp(0.05 * np.random.default_rng(of).standard_normal()))


def opening(day: int, minute: int) -> float:
    """Opens on weekdays at 09:00, × 9 in three minutes."""
    is_weekday = (day + 3) % 7 < 5
    return noisy(100 * (1 + 8 * min(max(minute - 540, 0) / 3, 1) * is_weekday), day, minute)


def batch(day: int, minute: int) -> float:
    return noisy(1000 if 150 < minute % 1440 <= 190 else 100, day, minute)


def jittered(day: int, minute: int) -> float:
    begins = 372 + (5 * day) % 7
    return noisy(1000 if begins < minute % 1440 <= begins + 40 else 100, day, minute)


def test_opening_hours_are_of_weekdays() -> None:
    assert said(opening, (MONDAY, 535)) == "every weekday at 09:00 since 19 February (10 of 10), × 9"


def test_a_batch_is_of_every_day_and_a_crontab_too() -> None:
    assert said(batch, (MONDAY, 145)).startswith("every day at 02:30 since 19 February (14 of 14), × ")
    crontab = said(lambda day, minute: noisy(400 if minute % 60 in range(1, 7) else 100, day, minute), (MONDAY, 775), 4)
    assert crontab.startswith("every day at 13:00 since 19 February (14 of 14), × ")


def test_a_weekly_batch_is_of_its_day() -> None:
    def weekly(day: int, minute: int) -> float:
        return batch(day, minute) if (day + 3) % 7 == 2 else noisy(100, day, minute)

    assert said(weekly, (MONDAY + 2, 145)).startswith("every Wednesday at 02:30 since 21 February (2 of 2), ")


def test_times_that_vary_have_their_range() -> None:
    assert said(jittered, (MONDAY, 370)).startswith("every day between 06:12 and 06:18 since ")


def test_a_batch_that_moved_counts_from_its_first_day() -> None:
    def moved(day: int, minute: int) -> float:
        begins = 150 if day >= MONDAY - 4 else 90
        return noisy(1000 if begins < minute % 1440 <= begins + 20 else 100, day, minute)

    assert said(moved, (MONDAY, 145)).startswith("every day at 02:30 since 29 February (4 of 4), ")


def test_missing_days_are_not_counted() -> None:
    found = said(opening, (MONDAY, 535), without=(MONDAY - 3, MONDAY - 6))
    assert "every weekday at 09:00 since 19 February (8 of 8)" in found


def test_a_day_off_is_counted() -> None:
    def closed(day: int, minute: int) -> float:
        return noisy(100, day, minute) if day == MONDAY - 3 else opening(day, minute)

    assert said(closed, (MONDAY, 535)).startswith("on most weekdays at 09:00 since 19 February (9 of 10), ")


def test_an_edge_after_midnight_is_of_the_next_day() -> None:
    def midnight(day: int, minute: int) -> float:
        return noisy(1000 if 1440 < minute <= 1460 else 100, day, minute)

    assert "every day at 00:00 since " in said(midnight, (MONDAY, 1436))


def test_nights_of_nothing_have_no_factor() -> None:
    assert said(lambda day, minute: 500.0 if minute >= 541 else 0.0, (MONDAY, 535)).endswith("from nothing")


@pytest.mark.parametrize(
    "height",
    [
        lambda day, minute: noisy(100, day, minute),
        lambda day, minute: 100 + 4 * minute % 1440,  # rises all day, slowly
        lambda day, minute: batch(day, minute) if day == MONDAY - 1 else noisy(100, day, minute),
        lambda day, minute: noisy(150 if 150 < minute % 1440 <= 190 else 100, day, minute),  # another one, much smaller
        lambda day, minute: np.nan,
    ],
)
def test_where_there_is_no_edge_nothing_is_said(height: Height) -> None:
    assert said(height, (MONDAY, 145)) == ""


def test_an_edge_is_shown_until_a_little_after_it() -> None:
    edge = Recurrence(372, 378, 0, MONDAY, 9.0, 5, 5)
    assert [is_shown(edge, minute) for minute in (339, 340, 372, 388, 389)] == [False, True, True, True, False]
    assert is_shown(Recurrence(5, 5, 0, MONDAY, 9.0, 5, 5), 1430)

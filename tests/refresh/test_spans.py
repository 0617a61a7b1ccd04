"""Which stretches of the past are still to be fetched."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scaler.refresh.spans import joined, missing, span_of
from scaler.series import DAY_MINUTES, MinuteDay

DAY = 86400.0
UNKNOWN = np.full(DAY_MINUTES, np.nan, np.float32)


def stored(zone: str, year: int, month: int, day: int, complete: int = DAY_MINUTES) -> MinuteDay:
    number = date(year, month, day) - date(1970, 1, 1)
    return MinuteDay("shop/web/0f", zone, number.days, UNKNOWN, complete)


def moment(zone: str, *at: int) -> float:
    return datetime(*at, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type,misc]


def test_without_anything_known_all_is_missing_day_by_day() -> None:
    """The newest day first, and the rest of a day at the end."""
    assert missing([], (0.0, 2.5 * DAY), DAY) == [(1.5 * DAY, 2.5 * DAY), (0.5 * DAY, 1.5 * DAY), (0.0, 0.5 * DAY)]


def test_only_what_is_not_known_is_missing() -> None:
    known = [(500.0, 600.0), (100.0, 200.0), (200.0, 300.0), (-50.0, 20.0)]
    assert missing(known, (0.0, 1000.0), DAY) == [(600.0, 1000.0), (300.0, 500.0), (20.0, 100.0)]


@pytest.mark.parametrize("known", [[(0.0, 10.0)], [(-5.0, 50.0)], [(0.0, 4.0), (3.0, 10.0)]])
def test_nothing_is_missing_where_all_is_known(known: list[tuple[float, float]]) -> None:
    assert missing(known, (0.0, 10.0), DAY) == []


@pytest.mark.parametrize("known", [[(-20.0, -10.0)], [(20.0, 30.0)], [(5.0, 5.0)]])
def test_what_lies_elsewhere_is_no_help(known: list[tuple[float, float]]) -> None:
    assert missing(known, (0.0, 10.0), DAY) == [(0.0, 10.0)]


def test_spans_that_touch_are_one() -> None:
    assert joined([(3.0, 5.0), (0.0, 2.0), (2.0, 3.0), (7.0, 7.0), (1.0, 1.5)]) == [(0.0, 5.0)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", (2026, 3, 29), 24),
        ("Europe/Berlin", (2026, 3, 28), 24),
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/New_York", (2026, 11, 1), 25),
        ("Asia/Kolkata", (2026, 6, 1), 24),
    ],
)
def test_a_stored_day_is_as_long_as_it_was(zone: str, day: tuple[int, int, int], hours: int) -> None:
    """From midnight to midnight of its zone, less the minute that ends at the last one, on days of 23 and 25 hours."""
    first, last = span_of(stored(zone, *day))
    assert last - first == hours * 3600
    assert first == moment(zone, *day) - 60


def test_days_that_follow_each_other_leave_no_hole() -> None:
    days = [span_of(stored("Europe/Berlin", 2026, 10, number)) for number in (24, 25, 26)]
    assert len(joined(days)) == 1


def test_a_day_that_is_not_over_is_known_until_then() -> None:
    _, last = span_of(stored("Europe/Berlin", 2026, 6, 1, complete=9 * 60 + 1))
    assert last == moment("Europe/Berlin", 2026, 6, 1, 9, 0)


def test_of_an_hour_that_comes_twice_the_second_is_fetched_again() -> None:
    """02:30 on that day may be the first one."""
    _, last = span_of(stored("Europe/Berlin", 2026, 10, 25, complete=2 * 60 + 31))
    assert last == moment("Europe/Berlin", 2026, 10, 25, 2, 30)
    assert moment("Europe/Berlin", 2026, 10, 25, 3, 30) - last == 2 * 3600


def test_of_a_day_of_which_nothing_is_certain_all_is_fetched() -> None:
    first, last = span_of(stored("UTC", 2026, 6, 1, complete=0))
    assert first == last

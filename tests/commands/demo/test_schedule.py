"""The generated workload: when it opens, by how much, and that a seed gives it again."""

from datetime import UTC, datetime

import numpy as np

from scaler.commands.demo.schedule import GENERATED, openings, ticket_requests
from scaler.history.traces import Trace

MONDAY = datetime(1995, 8, 28, tzinfo=UTC).timestamp()
DAY = 86_400.0


def week(seed: int = 0) -> Trace:
    return ticket_requests(MONDAY, MONDAY + 7 * DAY, seed)


def test_it_opens_on_weekdays() -> None:
    """Five openings a week, at 06:00 UTC of Monday to Friday."""
    assert list(openings(MONDAY, MONDAY + 7 * DAY)) == [MONDAY + day * DAY + 6 * 3600 for day in range(5)]


def test_openings_lie_within_the_asked_time() -> None:
    """The first moment counts, the last one does not."""
    first = MONDAY + 6 * 3600
    assert list(openings(first, first + DAY)) == [first]
    assert list(openings(first + 1, first + DAY)) == []


def test_demand_is_ten_times_as_high_three_minutes_after_it_opens() -> None:
    """By day it is 700 a minute, at night and on Saturday and Sunday 70; the minute before an opening knows nothing."""
    by_minute = week().values.reshape(7, 1440)
    opens = 6 * 60
    assert np.all(abs(by_minute[:5, opens + 3 : 17 * 60] / 700 - 1) < 0.2)
    assert np.all(abs(by_minute[:, :opens] / 70 - 1) < 0.2)
    assert np.all(abs(by_minute[5:] / 70 - 1) < 0.2)


def test_a_seed_gives_the_same_demand_again() -> None:
    """Another seed gives other noise."""
    assert week().name == GENERATED
    assert np.array_equal(week().values, week().values)
    assert not np.array_equal(week().values, week(1).values)

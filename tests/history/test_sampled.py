"""What a range answer says about each moment."""

import math

import numpy as np
import pytest

from scaler.errors import AmbiguousDemand
from scaler.history.answers import Malformed, Series
from scaler.history.sampled import one_history, side_by_side


def test_overlapping_series_leave_a_gap_at_the_overlap_alone() -> None:
    """A pod was replaced: both pods have samples for some minutes, and neither counts there."""
    old = Series({"pod": "old"}, np.arange(0.0, 600.0, 60.0), np.full(10, 5.0))
    new = Series({"pod": "new"}, np.arange(420.0, 900.0, 60.0), np.full(8, 6.0))
    times, (values,), gaps, _ = one_history([old, new], 60.0)
    assert times.tolist() == [*range(0, 420, 60), *range(600, 900, 60)]
    assert values.tolist() == [5.0] * 7 + [6.0] * 5
    assert [(gap.first, gap.last) for gap in gaps] == [(420.0, 540.0)]
    assert "2 series" in gaps[0].why


def test_series_that_overlap_everywhere_are_refused() -> None:
    """There is no history to take: the query must aggregate."""
    both = [Series({"pod": pod}, np.arange(5.0), np.ones(5)) for pod in "ab"]
    with pytest.raises(AmbiguousDemand, match="sum"):
        one_history(both, 1.0)


def test_only_finite_demand_is_known() -> None:
    """NaN, infinity and negative values are missing, not gaps with a reason."""
    found = Series({}, np.arange(4.0), np.array([1.0, math.nan, -1.0, math.inf]))
    times, (values,), gaps, unusable = one_history([found], 1.0)
    assert (times.tolist(), values.tolist(), gaps) == ([0.0], [1.0], ())
    assert unusable.tolist() == [1.0, 2.0, 3.0]


def test_zeros_are_put_where_nothing_was_returned_alone() -> None:
    """Not where the sample is no demand, where several series overlap, and before anything is known."""
    found = Series({}, np.array([60.0, 180.0, 240.0, 360.0]), np.array([5.0, math.nan, math.inf, 6.0]))
    other = Series({"a": "b"}, np.array([360.0, 420.0]), np.array([7.0, 8.0]))
    filled = one_history([found, other], 60.0).with_zeros(540.0, 60.0)
    assert dict(zip(filled.times.tolist(), filled.columns[0].tolist(), strict=True)) == {
        60.0: 5.0,
        120.0: 0.0,
        300.0: 0.0,
        420.0: 8.0,
        480.0: 0.0,
        540.0: 0.0,
    }


def test_a_history_of_nothing_stays_unknown() -> None:
    """Without a known moment there is no 0 either."""
    assert not len(one_history([], 60.0).with_zeros(600.0, 60.0).times)
    never = Series({}, np.array([60.0]), np.array([math.nan]))
    assert not len(one_history([never], 60.0).with_zeros(600.0, 60.0).times)


def test_two_queries_side_by_side_have_the_same_moments() -> None:
    """What one of them lacks was lost on the way; a moment that is no demand in one is none in both."""
    times = np.array([60.0, 120.0, 180.0])
    mean, peak = Series({}, times, np.array([1.0, math.nan, 2.0])), Series({}, times, np.array([3.0, 4.0, 5.0]))
    found = side_by_side([mean], [peak], 60.0)
    assert found.times.tolist() == [60.0, 180.0]
    assert [column.tolist() for column in found.columns] == [[1.0, 2.0], [3.0, 5.0]]
    assert found.with_zeros(180.0, 60.0).times.tolist() == [60.0, 180.0]
    with pytest.raises(Malformed, match="lacks a part"):
        side_by_side([mean], [Series({}, times[:2], np.ones(2))], 60.0)
    with pytest.raises(Malformed):
        side_by_side([mean], [], 60.0)

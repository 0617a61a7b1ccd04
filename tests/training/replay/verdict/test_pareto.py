"""Comparisons at equal cost and at equal service."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.replay.made import scores
from training.replay.verdict.pareto import LEAST_UNSERVED, cost_ratio, front, front_of, over_days, unserved_ratio


def test_between_two_runs_the_logarithm_is_interpolated() -> None:
    found = front([100, 200], [0.01, 0.0001])
    assert found.unserved_at(150) == pytest.approx(0.001)
    assert found.cost_at(0.001) == pytest.approx(150)


def test_outside_nothing_is_said() -> None:
    """Neither clamped nor extrapolated."""
    found = front([100, 200], [0.01, 0.0001])
    assert all(math.isnan(value) for value in (found.unserved_at(99), found.unserved_at(201)))
    assert all(math.isnan(value) for value in (found.cost_at(0.011), found.cost_at(0.00009)))
    assert math.isnan(front([], []).unserved_at(1))


def test_a_run_that_another_beats_is_not_on_the_front() -> None:
    """Dearer and no better: left out, in whatever order they come."""
    found = front([150, 200, 100], [0.02, 0.001, 0.01])
    assert found.cost_P.tolist() == [100, 200]


def test_nothing_unserved_is_a_millionth() -> None:
    """The first run that leaves nothing unserved ends the front."""
    found = front([100, 200, 300], [0.01, 0.0, 0.0])
    assert found.cost_P.tolist() == [100, 200]
    assert found.cost_at(0.0) == 200
    assert found.unserved_P[-1] == LEAST_UNSERVED


points = st.lists(st.tuples(st.floats(1, 1e4), st.floats(0, 0.5)), min_size=1, max_size=12)


@given(points, st.floats(1, 1e4))
def test_more_cost_never_serves_less(runs: list[tuple[float, float]], cost: float) -> None:
    """Whatever the runs, the front descends, and there and back again is where one was."""
    found = front(*zip(*runs, strict=True))
    assert (np.diff(found.cost_P) > 0).all()
    assert (np.diff(found.unserved_P) < 0).all()
    unserved = found.unserved_at(cost)
    if not math.isnan(unserved):
        assert found.cost_at(unserved) == pytest.approx(cost, rel=1e-6)


def test_ratios() -> None:
    """Where theirs leaves 1 % unserved it costs 100; there mine leaves 0.1 %, and 1 % at 80."""
    theirs, mine = front([50, 100, 200], [0.1, 0.01, 0.0001]), front([80, 100, 150], [0.01, 0.001, 0.0001])
    assert unserved_ratio(mine, theirs, 0.01) == pytest.approx(0.1)
    assert cost_ratio(mine, theirs, 0.01) == pytest.approx(0.8)
    assert math.isnan(unserved_ratio(mine, theirs, 0.1))


def test_the_interval_is_of_paired_days() -> None:
    """Days differ by a factor of ten, but mine is always half of theirs: there is no doubt about the ratio."""
    amounts = [1.0, 10.0, 2.0, 7.0, 3.0, 1.0, 5.0]
    theirs = [
        scores("a", [10.0] * 7, [4 * one for one in amounts]),
        scores("b", [20.0] * 7, [one / 4 for one in amounts]),
    ]
    mine = [scores("c", [15.0] * 7, [one / 2 for one in amounts])]

    def ratio(one: object, other: object) -> float:
        return float(one.unserved_P[0] / other.unserved_at(one.cost_P[0]))  # type: ignore[attr-defined]

    found = over_days(ratio, mine, theirs)
    assert found.value == pytest.approx(0.5, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5), rel=1e-6)
    assert found.known == 1
    assert over_days(ratio, mine, theirs) == found


def test_the_interval_grows_with_the_doubt() -> None:
    """Half of the days one is better, half the other: the interval holds 1."""
    mine = [scores("c", [15.0] * 8, [0.1, 4.0] * 4)]
    theirs = [scores("a", [10.0] * 8, [4.0, 0.2] * 4), scores("b", [20.0] * 8, [3.9, 0.19] * 4)]
    found = over_days(lambda one, other: float(one.unserved_P[0] / other.unserved_at(one.cost_P[0])), mine, theirs)
    assert found.low < 1 < found.high


def test_what_no_draw_reaches_is_not_known() -> None:
    """A cost outside of the front has no interval."""
    found = over_days(
        lambda one, other: other.unserved_at(one.cost_P[0]),
        [scores("c", [50.0] * 3, [1.0] * 3)],
        [scores("a", [10.0] * 3, [4.0] * 3)],
    )
    assert math.isnan(found.value)
    assert found.known == 0


def test_front_of_scores() -> None:
    """Cost is replica-hours, service the unserved share."""
    found = front_of([scores("a", [10.0], [10.0]), scores("b", [20.0], [1.0])])
    assert found.cost_P.tolist() == [10, 20]
    assert found.unserved_P.tolist() == [0.01, 0.001]

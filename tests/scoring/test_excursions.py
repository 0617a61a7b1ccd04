"""Demand outside the band of its forecast: when it counts, when it is over, and when it is a new level."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.scoring.excursions import (
    ENDS_MINUTES,
    LEAD_MINUTES,
    LEAST_MINUTES,
    SETTLES_MINUTES,
    SHIFT_MINUTES,
    Excursion,
    Excursions,
    moved,
    sides,
)

ROW = np.zeros(1, np.int64)
BAND = (80.0, 100.0, 120.0)
"""with the margins, outside from below 60 and from above 142"""
REPLICA = 10.0
QUIET = SETTLES_MINUTES + LEAD_MINUTES + 1
"""minutes after which everything can be judged"""


def run(
    demand: Sequence[float],
    band: Callable[[int], tuple[float, float, float]] = lambda minute: BAND,
    moves: Callable[[int], tuple[float, float]] = lambda minute: (1.0, 1.0),
) -> list[Excursion]:
    """What is told, minute by minute. band: what is forecast in a minute. moves: what past days did since the begin."""
    page, told = Excursions(2), []
    for minute, value in enumerate(demand):
        now = np.array([minute])
        moved_N2 = np.array([moves(minute)], np.float32)
        told += page.look(ROW, now, np.array([value], np.float32), np.array([REPLICA], np.float32), moved_N2)
        page.note(ROW, now, np.array([band(minute)], np.float32))
    return told


def over(told: Sequence[Excursion]) -> list[Excursion]:
    return [one for one in told if one.is_over]


def test_a_spike_is_one_excursion_with_its_size() -> None:
    """Told when it has lasted long enough, in each minute that it grows, and when it is over."""
    told = run([100.0] * QUIET + [300.0] * 9 + [310.0] + [100.0] * 20)
    assert [one.is_over for one in told] == [False] * (10 - LEAST_MINUTES + 1) + [True]
    (last,) = over(told)
    assert (last.since, last.last, last.is_above) == (QUIET, QUIET + 9, True)
    assert (last.largest, last.expected, last.bound, last.is_shift) == (310.0, 100.0, 120.0, False)


def test_a_dip_is_below() -> None:
    (last,) = over(run([100.0] * QUIET + [10.0] * 10 + [100.0] * 20))
    assert (last.is_above, last.largest, last.bound) == (False, 10.0, 80.0)


def test_some_minutes_are_none() -> None:
    """A p99 is exceeded one time in a hundred; so is one number of a source that has one every five minutes."""
    assert run([100.0] * QUIET + [300.0] * (LEAST_MINUTES - 1) + [100.0] * 20) == []


def test_just_outside_is_none() -> None:
    assert run([100.0] * QUIET + [140.0] * 60 + [100.0] * 20) == []


def test_a_short_way_back_does_not_end_it() -> None:
    spike = [300.0] * 6 + [100.0] * (ENDS_MINUTES - 1) + [300.0] * 6
    (last,) = over(run([100.0] * QUIET + spike + [100.0] * 20))
    assert last.last - last.since + 1 == len(spike)


def test_what_is_forecast_meanwhile_is_not_used() -> None:
    """A forecast that follows demand makes a spike of half an hour neither shorter nor the way back a dip."""
    demand = [100.0] * QUIET + [300.0] * 30 + [100.0] * 60
    follows = run(demand, lambda minute: tuple(level * demand[minute] / 100 for level in BAND))  # type: ignore[arg-type, return-value]
    (last,) = over(follows)
    assert (last.since, last.last) == (QUIET, QUIET + 29)


def test_hours_are_a_new_level() -> None:
    """It ends there, and is not told again while the forecast follows."""
    demand = [100.0] * QUIET + [300.0] * (2 * SHIFT_MINUTES)
    ended = over(run(demand, lambda minute: tuple(level * demand[minute] / 100 for level in BAND)))  # type: ignore[arg-type, return-value]
    assert [one.is_shift for one in ended] == [True]
    assert ended[0].last - ended[0].since == SHIFT_MINUTES


def test_the_morning_ends_a_spike_of_the_night() -> None:
    """The band is carried along as demand moved on past days: what is usual at eight is not outside since seven."""
    spike = [300.0] * 30
    morning = [320.0] * 300
    is_day = QUIET + len(spike)
    told = run(
        [100.0] * QUIET + spike + morning,
        lambda minute: BAND if minute < is_day else (250.0, 320.0, 400.0),
        lambda minute: (1.0, 3.0 if minute >= is_day else 1.0),
    )
    (last,) = over(told)
    assert (last.last, last.is_shift) == (QUIET + 29, False)


def test_a_gap_is_none_and_ends_one() -> None:
    nan = float("nan")
    (last,) = over(run([100.0] * QUIET + [300.0] * 10 + [nan] * 60))
    assert last.last == QUIET + 9
    assert run([100.0] * QUIET + [nan] * 60) == []


def test_a_source_that_has_just_returned_is_not_believed() -> None:
    """Averages over a window that is half full are too low for some minutes."""
    nan = float("nan")
    half_full = [10.0] * SETTLES_MINUTES
    assert run([100.0] * QUIET + [nan] * 5 + half_full + [100.0] * 20) == []


def test_without_a_forecast_there_is_none() -> None:
    nan = float("nan")
    assert run([100.0] * QUIET + [300.0] * 60, lambda minute: (nan, nan, nan)) == []


def test_tiny_demand_is_none() -> None:
    """Less than a replica and the HPA's tolerance beyond a thin band."""
    assert run([1.0] * QUIET + [9.0] * 60, lambda minute: (1.0, 1.0, 1.1)) == []


def test_rows_do_not_disturb_each_other() -> None:
    """Two triggers together are told as each alone."""
    demand = np.array([[100.0] * QUIET + [300.0] * 10 + [100.0] * 20, [100.0] * (QUIET + 5) + [5.0] * 25])
    page, told = Excursions(2), []
    rows, replicas, still = np.arange(2), np.full(2, REPLICA, np.float32), np.ones((2, 2), np.float32)
    for minute in range(demand.shape[1]):
        now = np.full(2, minute)
        told += page.look(rows, now, demand[:, minute].astype(np.float32), replicas, still)
        page.note(rows, now, np.array([BAND, BAND], np.float32))
    alone = [[one._replace(row=row) for one in run(demand[row].tolist())] for row in range(2)]
    assert [[one for one in told if one.row == row] for row in range(2)] == alone


def test_past_days_move_the_edges_apart() -> None:
    found = moved(
        np.array([[10.0, 10.0], [10.0, np.nan], [0.0, 10.0]]), np.array([[30.0, 5.0], [20.0, 1.0], [5.0, 5.0]])
    )
    assert found.tolist() == [[0.5, 3.0], [1.0, 2.0], [0.5, 1.0]]


sizes = st.floats(0, 1e9, width=32) | st.just(float("nan"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(sizes, st.tuples(sizes, sizes, sizes)), max_size=120))
def test_whatever_comes_what_is_told_makes_sense(minutes: list[tuple[float, tuple[float, float, float]]]) -> None:
    """It has begun before it is over, lasts long enough and not too long, and each ends before the next begins."""
    told = run([demand for demand, _ in minutes], lambda minute: tuple(sorted(minutes[minute][1])))  # type: ignore[arg-type, return-value]
    for one in told:
        assert 0 <= one.since <= one.last < len(minutes)
        assert one.last - one.since <= SHIFT_MINUTES
        assert one.largest > one.bound if one.is_above else one.largest < one.bound
    ended = over(told)
    assert all(first.last < second.since for first, second in pairwise(ended))


@given(st.floats(0, 1e9, width=32), st.floats(0, 1e9, width=32), st.floats(0, 1e9, width=32))
def test_no_demand_within_the_band_is_outside(one: float, two: float, three: float) -> None:
    low, demand, high = sorted((one, two, three))
    band = np.array([[low, demand, high]], np.float32)
    assert sides(np.array([demand], np.float32), band, np.array([1.0], np.float32)).tolist() == [0]

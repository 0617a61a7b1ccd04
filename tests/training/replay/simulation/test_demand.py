"""What came between any two moments, and what a metric server had said of it by then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.load import Series
from training.replay.simulation.demand import Demand, Observing

START = 1_700_000_040.0
NAN = float("nan")


def demand(values: list[float], step: int = 60) -> Demand:
    return Demand(Series("shop", "web", "req", START, step, np.array(values, np.float32)))


def mean(of: Demand, begin: float, end: float) -> float:
    """Between two moments counted from the start of the record."""
    return float(of.mean(np.array([START + begin]), np.array([START + end]))[0])


def second_by_second(values: list[float], step: int, begin: int, end: int) -> float:
    """The same by looking at each second."""
    known = [
        values[second // step]
        for second in range(begin, end)
        if 0 <= second < step * len(values) and not np.isnan(values[second // step])
    ]
    return sum(known) / len(known) if 2 * len(known) >= end - begin else NAN


bins = st.lists(st.one_of(st.just(NAN), st.integers(0, 1000).map(float)), min_size=1, max_size=12)


@given(bins, st.sampled_from([20, 60, 300]), st.integers(-400, 3000), st.integers(1, 900))
def test_means_are_those_of_the_seconds(values: list[float], step: int, begin: int, seconds: int) -> None:
    """Over any stretch, with gaps and beyond both ends of the record."""
    expected = second_by_second(values, step, begin, begin + seconds)
    assert mean(demand(values, step), begin, begin + seconds) == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_half_a_stretch_on_record_is_enough() -> None:
    """A mean is that of what is known; with less than half of it nobody knows."""
    gappy = demand([10.0, NAN, 30.0, NAN, NAN])
    assert mean(gappy, 0, 120) == 10
    assert np.isnan(mean(gappy, 1, 121 - 1))
    assert mean(gappy, 30, 150) == 20
    assert np.isnan(mean(gappy, 180, 240))


@given(st.lists(st.floats(0, 2.0**30, width=32), min_size=1, max_size=500), st.integers(0, 3))
def test_nothing_is_exactly_nothing(values: list[float], phase: int) -> None:
    """Whatever came before: what is left of rounding would wake a workload that sleeps."""
    one = demand([*values, 0.0, 0.0, 0.0])
    begin = 60 * len(values) + 15 * phase
    assert mean(one, begin, begin + 60) == 0


def test_what_is_seen_is_late_by_scrape_and_window() -> None:
    """A minute of demand is first seen a scrape after it began, whole a window later, and gone a window after that."""
    one = demand([0.0] * 10 + [100.0] + [0.0] * 10)
    moments = START + 600 + np.array([0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150])
    seen = one.observed(moments, Observing(15.0, 60.0))
    assert seen.tolist() == pytest.approx([0, 0, 25, 50, 75, 100, 75, 50, 25, 0, 0])
    slower = one.observed(moments, Observing(30.0, 120.0))
    assert slower.tolist() == pytest.approx([0, 0, 0, 12.5, 25, 37.5, 50, 50, 50, 50, 50])


def test_what_is_seen_knows_gaps_later() -> None:
    """A server goes on answering until less than half its window is known, and answers again when half of it is."""
    one = demand([10.0] * 5 + [NAN] * 5 + [20.0] * 5)
    moments = START + np.arange(300, 721, 15.0)
    known = ~np.isnan(one.observed(moments, Observing(15.0, 60.0)))
    assert (moments[known & (moments < START + 500)] - START).max() == 345
    assert (moments[known & (moments > START + 500)] - START).min() == 645


@given(st.integers(0, 19), st.floats(0, 1e6, width=32))
def test_what_is_seen_does_not_know_what_comes(place: int, value: float) -> None:
    """Demand from a moment on changes nothing that was observed until a scrape after it."""
    before = np.arange(20, dtype=np.float32)
    after = before.copy()
    after[place:] = value
    moments = START + np.arange(0, 60 * place + 15, 5.0)
    one, other = (demand(values.tolist()).observed(moments, Observing()) for values in (before, after))
    assert one.tobytes() == other.tobytes()

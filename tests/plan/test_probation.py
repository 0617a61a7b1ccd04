"""When a new champion is rolled back."""

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.plan.probation import ENOUGH_SECONDS, MARGIN, MOST_LOSS, Evidence, Hour, compared, counted
from scaler.plan.rule import News
from scaler.plan.windows import Noted
from scaler.series import Forecast, Observation
from scaler.trigger import Trigger

NOW = 1_700_006_400.0
TRIGGER = Trigger("shop", "web", "q", 10.0, "http://prometheus", key="shop/web/0")


def evidence(losses: list[tuple[float, float]], windows: int = 60) -> Evidence:
    """An hour for each pair of mean losses."""
    hours = {i: Hour(windows, windows * mine, windows * before) for i, (mine, before) in enumerate(losses)}
    return Evidence(hours, 0.0, 3600.0 * len(hours))


def flat(level: float) -> Forecast:
    values = np.full((60, 2), level, np.float32)
    return Forecast(NOW, 60, (0.5, 0.9), values, (5,), values[:1], model="own@1")


def news(forecast: Forecast | None, at: float = NOW, demand: float = 100.0) -> News:
    return News(TRIGGER, at, Observation(at, demand, demand, demand), forecast, None, 15.0)


def test_a_clearly_worse_one_falls_behind() -> None:
    assert evidence([(0.03, 0.02)] * 6).falls_behind
    assert not evidence([(0.02, 0.03)] * 6).falls_behind


def test_little_is_no_evidence() -> None:
    """Neither five hours nor few windows, however bad."""
    assert not evidence([(1.0, 0.0)] * 5, windows=1000).falls_behind
    assert not evidence([(1.0, 0.0)] * 24, windows=10).falls_behind
    assert not Evidence().falls_behind


def test_a_small_difference_is_none() -> None:
    """Within the margin, or where neither loses what matters."""
    assert not evidence([(0.02 * MARGIN - 0.0001, 0.02)] * 24).falls_behind
    assert not evidence([(0.0019, 0.0001)] * 24).falls_behind


def test_one_bad_hour_is_chance() -> None:
    """The sum is worse, but for one hour alone."""
    hours = [(0.02, 0.02)] * 11 + [(0.5, 0.02)]
    assert evidence(hours).ratio > MARGIN
    assert not evidence(hours).falls_behind


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=30), st.integers(1, 10_000))
def test_the_better_one_is_never_rolled_back(losses: list[tuple[float, float]], windows: int) -> None:
    """Whatever the hours: not both of two can fall behind the other, and never one whose whole loss is no larger."""
    found, exchanged = evidence(losses, windows), evidence([(before, mine) for mine, before in losses], windows)
    assert not (found.falls_behind and exchanged.falls_behind)
    if sum(mine for mine, _ in losses) <= sum(before for _, before in losses):
        assert not found.falls_behind


def test_equal_models_are_seldom_rolled_back() -> None:
    """Two that are equally good, with losses that vary by the hour as much as they are large, asked after every hour of
    a day: at most six in a hundred fall behind."""
    draw = random.Random(17)
    fallen = 0
    for _ in range(500):
        losses = [(draw.expovariate(50), draw.expovariate(50)) for _ in range(24)]
        fallen += any(evidence(losses[:hours]).falls_behind for hours in range(int(ENOUGH_SECONDS // 3600), 25))
    assert fallen < 500 * 0.06


def test_a_window_counts_with_both_losses() -> None:
    """Both forecast the window that begins now; when it is over, the one that was too low loses, in shares of the
    largest demand."""
    _, left = compared([], news(flat(90.0)), flat(50.0))
    assert [(one.peak, one.newest) for one in left] == [(90.0, 50.0)]
    ends = left[0].ends
    over, _ = compared(left, news(None, ends - 20, 100.0), None)
    assert over == []
    over, left = compared(_, news(flat(90.0), ends, 80.0), flat(50.0))
    assert [one.observed for one in over] == [100.0]
    assert len(left) == 1, "the next window"
    (hour,) = counted(Evidence(), over, TRIGGER, largest=200.0).hours.values()
    assert hour.windows == 1
    assert math.isclose(hour.loss, 0.9 * 10 / 200)
    assert math.isclose(hour.before, 0.9 * 50 / 200)


def test_without_both_forecasts_nothing_begins() -> None:
    assert compared([], news(flat(90.0)), None) == ([], [])
    assert compared([], news(None), flat(50.0)) == ([], [])
    assert compared([], news(flat(math.nan)), flat(50.0)) == ([], [])


@given(st.floats(0, 1e300), st.floats(0, 1e300), st.floats(0, 1e300), st.floats(allow_nan=True))
def test_no_number_breaks_the_sums(peak: float, other: float, truth: float, largest: float) -> None:
    found = counted(Evidence(), [Noted(NOW, NOW + 300, peak, other, truth)], TRIGGER, largest)
    for hour in found.hours.values():
        assert 0 <= hour.loss <= MOST_LOSS
        assert 0 <= hour.before <= MOST_LOSS

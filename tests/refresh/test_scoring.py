"""Forecasts are scored when their time has come, minute by minute, as the refresh does it."""

from dataclasses import replace

import numpy as np
import pytest

from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.refresh.scoring import Asked, Scoring
from scaler.scoring import Scores
from scaler.series import Forecast

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
WINDOWS = (1, 2, 5, 8, 15, 30, 60)
START = 19_723 * 86_400.0
ASKED = Asked(0.9, 450.0)
"""a plan that looks seven and a half minutes ahead: the peak of eight is scored"""
UTC = np.zeros(1, np.int64)


def forecast(at: float, quantiles: tuple[float, ...], step_seconds: float = 60.0) -> Forecast:
    quantile = np.array(quantiles, np.float32)
    steps, peaks = np.tile(quantile, (120, 1)), np.tile(quantile, (len(WINDOWS), 1))
    return Forecast(at, step_seconds, LEVELS, steps, WINDOWS, peaks, "plain@1")


FLAT = (80, 85, 90, 100, 110, 120, 130, 150)


class World:
    """A replica that refreshes one trigger, every 15 s."""

    def __init__(self, asked: Asked = ASKED) -> None:
        self.memory, self.scoring, self.asked = MinuteMemory(), Scoring(), asked
        self.memory.add("a")
        self.scoring.add("a")
        self.at = START

    def run(self, minutes: float, demand: object, made: object = FLAT, every: float = 15.0) -> None:
        """demand, made: a value, or a function of seconds since the start; None for a forecast that is missing."""
        until = self.at + 60 * minutes
        while self.at < until:
            second = self.at - START
            value = demand(second) if callable(demand) else demand
            quantiles = made(second) if callable(made) else made
            self.memory.put(["a"], np.array([value], np.float32), local_minutes(self.at, UTC))
            one = None if quantiles is None else forecast(self.at, quantiles)
            self.scoring.score(self.memory, ["a"], [one], [self.asked], self.at, UTC)
            self.at += every

    @property
    def scores(self) -> Scores:
        found = self.scoring.scores("a")
        assert found is not None
        return found


def test_nothing_is_scored_before_its_time() -> None:
    world = World()
    world.run(3, 100.0)
    assert world.scoring.scores("a") is None
    world.run(2, 100.0)
    assert set(world.scores.buckets) == {"2 min"}
    world.run(90, 100.0)
    assert set(world.scores.buckets) == {"2 min", "5 min", "15 min", "60 min", "peak"}


def test_figures_of_a_constant_demand() -> None:
    world = World()
    world.run(180, 110.0)
    for name, bucket in world.scores.buckets.items():
        assert bucket.mae == pytest.approx(10, rel=5e-3), name
        assert bucket.bias == pytest.approx(-10, rel=5e-3)
        assert bucket.mape == pytest.approx(10 / 110, rel=5e-3)
        assert bucket.coverage == {0.1: 0.0, 0.5: 0.0, 0.9: 1.0, 0.95: 1.0, 0.99: 1.0}
        assert bucket.held == 1.0
        assert bucket.over_persistence is None  # persistence is perfect here


def test_a_forecast_is_scored_about_once_a_minute() -> None:
    """Of an hour ahead, one in five minutes; none twice."""
    world = World()
    world.run(240, 100.0)
    counts = {name: bucket.count for name, bucket in world.scores.buckets.items()}
    assert counts["2 min"] == pytest.approx(237, abs=2)
    assert counts["peak"] == pytest.approx(230, abs=2)
    assert counts["15 min"] == pytest.approx(224 / 2, abs=2)
    assert counts["60 min"] == pytest.approx(178 / 5, abs=2)


def test_the_peak_is_the_largest_demand_of_the_window() -> None:
    """A minute of 500 every ten minutes lies in the window of eight minutes in nine windows of ten, or in eight."""
    world = World()
    world.run(300, lambda second: 500.0 if second // 60 % 10 == 0 else 100.0)
    held = world.scores.buckets["peak"].held
    assert 0.05 <= held <= 0.25
    assert world.scores.buckets["2 min"].held == pytest.approx(0.9, abs=0.02)


def test_a_forecast_that_knows_beats_persistence_and_one_that_does_not_loses() -> None:
    """Demand that rises by 1 a second is known to the second, and the newest observation is always too small."""

    def knows(second: float) -> tuple[float, ...]:
        return tuple(100 + second + 120.0 for _ in LEVELS)

    for made, is_better in ((knows, True), (lambda second: (1.0,) * len(LEVELS), False)):
        world = World()
        world.run(60, lambda second: 100 + second, made)
        ratio = world.scores.buckets["2 min"].over_persistence
        assert ratio is not None
        assert (ratio < 0.3) if is_better else (ratio > 2)


def test_demand_of_a_day_before_is_the_seasonal_rival() -> None:
    """Twice the demand of the day before: the forecast of that is off by half."""
    world = World()
    world.run(1440, 50.0, None, every=60.0)
    world.run(120, 100.0, (100,) * len(LEVELS))
    assert world.scores.buckets["5 min"].over_seasonal == pytest.approx(0, abs=0.01)
    world = World()
    world.run(1440, 50.0, None, every=60.0)
    world.run(120, 100.0, (50,) * len(LEVELS))
    assert world.scores.buckets["5 min"].over_seasonal == pytest.approx(1, abs=0.05)


def test_the_trigger_own_quantile_lies_between_the_levels_of_the_bundle() -> None:
    """p93 of FLAT lies at 126: 127 is beyond it, and within the p95."""
    world = World(replace_quantile(0.93))
    world.run(60, 127.0)
    peak = world.scores.buckets["peak"]
    assert (peak.held, peak.coverage[0.95], peak.coverage[0.9]) == (0.0, 1.0, 0.0)
    world = World(replace_quantile(0.93))
    world.run(60, 125.0)
    assert world.scores.buckets["peak"].held == 1.0


def replace_quantile(quantile: float) -> Asked:
    return ASKED._replace(quantile=quantile)


def test_minutes_without_an_observation_score_nothing() -> None:
    world = World()
    world.run(30, 100.0)
    before = world.scores.buckets["2 min"].count
    world.run(30, float("nan"))
    assert world.scores.buckets["2 min"].count <= before + 2


def test_a_refresh_without_forecast_notes_none() -> None:
    world = World()
    world.run(60, 100.0, None)
    assert world.scoring.scores("a") is None


def test_what_was_scored_long_ago_hardly_counts() -> None:
    """A fault of an hour weighs as much as an hour without one on the same day, and little after three weeks."""
    world = World()
    world.run(60, 1000.0, every=60.0)
    assert world.scores.buckets["2 min"].held == 0.0
    world.run(60, 100.0)
    assert world.scores.buckets["2 min"].held == pytest.approx(0.5, abs=0.05)
    world.at = START + 21 * 86_400
    world.run(60, 100.0)
    assert world.scores.buckets["2 min"].held > 0.95


def test_a_clock_that_is_set_back_scores_nothing_twice_and_nothing_of_the_future() -> None:
    world = World()
    world.run(60, 100.0)
    count = world.scores.buckets["2 min"].count
    world.at -= 1800
    world.run(20, 100.0)
    assert world.scores.buckets["2 min"].count <= count + 20


def test_a_removed_trigger_leaves_nothing_to_the_next_one() -> None:
    world = World()
    world.run(30, 100.0)
    world.scoring.add("b")
    world.scoring.remove("a")
    world.scoring.add("a")
    assert world.scoring.scores("a") is None
    world.run(2, 100.0)
    assert world.scoring.scores("a") is None


def test_a_bundle_of_five_minute_steps_is_scored_at_the_leads_that_it_has() -> None:
    scoring, memory = Scoring(), MinuteMemory()
    scoring.add("a")
    memory.add("a")
    for minute in range(90):
        at = START + 60 * minute
        memory.put(["a"], np.array([100.0], np.float32), local_minutes(at, UTC))
        made = replace(forecast(at, FLAT, 300.0), quantiles_HQ=np.tile(np.float32([*FLAT]), (12, 1)))
        scoring.score(memory, ["a"], [made], [ASKED], at, UTC)
    found = scoring.scores("a")
    assert found is not None
    assert set(found.buckets) == {"5 min", "15 min", "60 min", "peak"}

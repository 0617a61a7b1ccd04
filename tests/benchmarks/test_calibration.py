"""Promised against realised coverage: which windows count, and the figures of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from calibration import (
    CORRECTED,
    LEVELS,
    PLAIN,
    WEEK_MINUTES,
    Judged,
    Kept,
    hours_to_recover,
    largest,
    summary,
    ticks_of,
    windows_kept,
    worst_week,
)
from league_cell import setting_of

from scaler.forecast.catalog import SEASONAL
from tests.training.replay.made import series, waves
from training.data.load import DAY_SECONDS
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario, Span
from training.replay.simulation.start_up import Constant

SHIFT = 1_700_000_040.0


def kept(plain: np.ndarray, corrected: np.ndarray, begin: float = SHIFT) -> Kept:
    return Kept(begin + 60.0 * np.arange(len(plain)), plain.astype(bool), corrected.astype(bool))


def judged(plain: np.ndarray, corrected: np.ndarray, file: str = "a") -> Judged:
    one = kept(plain, corrected)
    return Judged(file, "s", dict.fromkeys(LEVELS, one), one, SHIFT)


def test_coverage_counts_each_series_once() -> None:
    """Half of a short one and all of a long one: three quarters."""
    short, long = np.array([1, 0]), np.ones(8)
    found = summary([judged(short, short), judged(long, long)])
    assert (found["coverage_at_90"], found["coverage_at_90_without"]) == (0.75, 0.75)
    assert found["series"] == 2


def test_the_worst_week_is_that_of_the_worst_series() -> None:
    good = np.ones(WEEK_MINUTES + 1440)
    bad = good.copy()
    bad[1440 : 1440 + WEEK_MINUTES // 2] = 0
    assert worst_week([judged(good, good), judged(good, bad)], CORRECTED) == pytest.approx(0.5)
    assert worst_week([judged(good, good), judged(good, bad)], PLAIN) == 1.0
    assert math.isnan(worst_week([judged(good[:100], good[:100])], PLAIN))


def test_recovered_is_when_three_hours_hold_85_percent() -> None:
    """Nothing holds for four hours after the shift, then all does: 0.85 of three hours from 3 h 33 min on."""
    marks = np.concatenate([np.zeros(240), np.ones(600)])
    assert hours_to_recover([judged(marks, np.ones(840))], PLAIN) == pytest.approx((240 - 27) / 60)
    assert hours_to_recover([judged(marks, np.ones(840))], CORRECTED) == 0
    assert hours_to_recover([judged(np.zeros(840), np.ones(840))], PLAIN) == math.inf


def test_a_peak_is_known_where_most_of_it_is() -> None:
    assert largest(np.array([1.0, np.nan, 3.0])) == 3.0
    assert math.isnan(largest(np.array([1.0, np.nan, np.nan])))


def test_a_series_is_gone_through() -> None:
    """Demand that doubles for a minute in every quarter of an hour: the correction holds more, and no window less."""
    recorded = series(waves(days=4))
    spiky = recorded.values.copy()
    spiky[::15] *= 2
    span = Span(recorded.start + 3 * DAY_SECONDS, recorded.start + 3.5 * DAY_SECONDS)
    setting = setting_of(recorded, 120.0)
    scenario = Scenario(Demand(replace(recorded, values=spiky)), replace(setting, start_up=Constant(120.0)), span)
    found = windows_kept(scenario, ticks_of(scenario, SEASONAL), trigger_of(setting, "demand", "UTC"))
    assert len(found.begins_N) == pytest.approx(12 * 60, abs=10)
    assert found.corrected_N.mean() > found.plain_N.mean() + 0.05
    assert not (found.plain_N & ~found.corrected_N).any()

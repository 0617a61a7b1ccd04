"""The period at which demand repeats."""

import numpy as np
import pytest

from scaler.forecast.cycles import SEARCHED_MINUTES, find_period
from scaler.series import Floats

MINUTES = np.arange(SEARCHED_MINUTES)


def noisy(demand: Floats, share: float = 0.05) -> Floats:
    return (demand * np.exp(share * np.random.default_rng(1).standard_normal(len(demand)))).astype(np.float32)


@pytest.mark.parametrize("period", [5, 20, 30, 45, 60, 360])
def test_a_crontab_has_its_period(period: int) -> None:
    assert find_period(noisy(np.where(MINUTES % period < max(2, period // 6), 400.0, 100.0))) == period


def test_a_period_that_divides_no_day_is_found_in_growing_demand() -> None:
    bursts = np.where(MINUTES % 37 < 4, 5.0, 1.0)
    assert find_period(noisy(bursts * np.linspace(100, 500, len(MINUTES)))) == 37


def test_noise_has_none() -> None:
    assert find_period(noisy(np.full(SEARCHED_MINUTES, 100.0), 0.3)) == 0


def test_a_day_is_no_short_cycle() -> None:
    assert find_period(noisy(100 * (1.5 + np.sin(2 * np.pi * MINUTES / 1440)))) == 0


@pytest.mark.parametrize("minutes", [0, 10, SEARCHED_MINUTES])
def test_too_little_or_no_demand_has_none(minutes: int) -> None:
    assert find_period(np.full(minutes, np.nan, np.float32)) == 0
    assert find_period(np.zeros(minutes, np.float32)) == 0


def test_a_gap_does_not_hide_it() -> None:
    demand = noisy(np.where(MINUTES % 30 < 5, 500.0, 100.0))
    demand[1000:1400] = np.nan
    assert find_period(demand) == 30

"""How often demand has a new number."""

import numpy as np
import pytest

from scaler.forecast.steps import find_step
from scaler.series import Floats

MINUTES = np.arange(2880)
BY_DAY = 200 - 150 * np.cos(2 * np.pi * MINUTES / 1440)


def noisy(demand: Floats) -> Floats:
    return (demand * np.exp(0.1 * np.random.default_rng(1).standard_normal(len(demand)))).astype(np.float32)


def stairs(demand: Floats, step: int) -> Floats:
    """A new number every `step` minutes."""
    return np.asarray(np.repeat(demand[::step], step)[: len(demand)], np.float32)


@pytest.mark.parametrize("step", [3, 4, 5, 6, 10, 15])
def test_stairs_have_their_step(step: int) -> None:
    assert find_step(stairs(noisy(BY_DAY), step)) == step


def test_demand_by_the_minute_has_none() -> None:
    assert find_step(noisy(BY_DAY)) == 0
    assert find_step(stairs(noisy(BY_DAY), 2)) == 0
    assert find_step(stairs(noisy(BY_DAY), 30)[:2880]) == 0  # longer than a queryStep can be


def test_a_rate_that_shows_a_part_of_a_new_number_first_hides_no_step() -> None:
    new = stairs(noisy(BY_DAY), 5)
    assert find_step(np.concatenate([new[:1], 0.25 * new[:-1] + 0.75 * new[1:]])) == 5


def test_scrapes_that_drift_and_differ_by_a_minute_hide_no_step() -> None:
    """Every 5 min and 2 s."""
    number = (MINUTES * 60 / 302).astype(int)
    assert find_step(noisy(BY_DAY)[number]) == 5


def test_equal_numbers_hide_no_step() -> None:
    """Whole numbers, of which half are as the one before."""
    few = stairs(np.round(noisy(BY_DAY) / 30), 5)
    assert 0.4 < np.mean(np.diff(few[::5]) == 0) < 0.5
    assert find_step(few) == 5


@pytest.mark.parametrize("step", [1, 5])
def test_nights_of_zero_are_no_step(step: int) -> None:
    by_day = np.where((MINUTES % 1440 > 480) & (MINUTES % 1440 < 1200), stairs(noisy(BY_DAY), step), 0.0)
    assert find_step(by_day.astype(np.float32)) == (0 if step == 1 else 5)


def test_gaps_hide_no_step_and_are_none() -> None:
    five, one = stairs(noisy(BY_DAY), 5), noisy(BY_DAY)
    for begin in range(7, 2880, 240):
        five[begin : begin + 40], one[begin : begin + 40] = np.nan, np.nan
    assert find_step(five) == 5
    assert find_step(one) == 0


@pytest.mark.parametrize(
    "demand",
    [
        np.full(2880, np.nan),
        np.zeros(2880),
        np.full(20, 7.0),
        np.where(MINUTES % 30 < 6, 400.0, 100.0),  # a crontab
        np.where(MINUTES % 20 < 10, 400.0, 100.0),  # on and off in turn
        np.random.default_rng(2).poisson(0.1, 2880),  # few, at any minute
        np.random.default_rng(3).poisson(0.5, 2880),
        np.random.default_rng(3).poisson(2.0, 2880),
        np.repeat(np.random.default_rng(5).random(576), np.random.default_rng(6).integers(1, 10, 576))[:2880],
        np.cumsum(np.random.default_rng(4).random(2880) < 0.2),  # a queue that grows now and then
    ],
)
def test_demand_that_stays_as_it_is_now_and_then_has_none(demand: Floats) -> None:
    assert find_step(demand.astype(np.float32)) == 0

"""The forecast by the hour for people: it learns the day and the week, is ascending, and says when it cannot."""

import numpy as np
import pytest

from scaler.forecast.hourly import DAY, LEVELS, MOST_AHEAD, PAST_HOURS, hourly_forecast, is_enough, needed_hours

MONDAY = 24 * 4  # 5 January 1970


def week_of_shop(hours: int, first: int = MONDAY) -> np.ndarray:
    """Busy from 9 to 17 on weekdays, a tenth at weekends."""
    hour = first + np.arange(hours)
    weekday = (hour // DAY + 3) % 7
    busy = (hour % DAY >= 9) & (hour % DAY < 17)
    return (10 + 90.0 * busy) * np.where(weekday >= 5, 0.1, 1.0)


def test_the_week_is_learnt() -> None:
    """Four weeks of one shape are followed by that shape, over the weekend too."""
    every = week_of_shop(PAST_HOURS + MOST_AHEAD)
    made = hourly_forecast(every[:PAST_HOURS].astype(np.float32), MONDAY + PAST_HOURS - 1, MOST_AHEAD)
    assert made.quantiles_AQ.shape == (MOST_AHEAD, len(LEVELS))
    assert np.abs(made.quantiles_AQ[:, 1] - every[PAST_HOURS:]).max() < 1.0
    assert made.weights["past weeks"] + made.weights["days of its kind"] > 0.9


def test_a_higher_level_is_followed_and_fades() -> None:
    """A last day of twice the usual demand makes the next hours higher, those of a week later less so."""
    shape = 50 + 30 * np.sin(2 * np.pi * np.arange(PAST_HOURS) / DAY)
    shape[-DAY:] *= 2
    middle = hourly_forecast(shape.astype(np.float32), MONDAY, MOST_AHEAD).quantiles_AQ[:, 1]
    assert middle[:DAY].mean() > 60
    assert 50 <= middle[-DAY:].mean() < middle[:DAY].mean()


def test_quantiles_ascend_and_hold_their_share() -> None:
    """On noise around a day, about nine tenths are below p90, and quantiles cross nowhere."""
    rng = np.random.default_rng(4)
    held = []
    for _ in range(20):
        level = 50 + 30 * np.sin(2 * np.pi * np.arange(PAST_HOURS + MOST_AHEAD) / DAY)
        every = np.maximum(level + rng.normal(0, 8, len(level)), 0)
        found = hourly_forecast(every[:PAST_HOURS].astype(np.float32), MONDAY, MOST_AHEAD).quantiles_AQ
        assert (np.diff(found, axis=1) >= 0).all()
        assert (found >= 0).all()
        held.append((every[PAST_HOURS:] <= found[:, 2]).mean())
    assert 0.86 < np.mean(held) < 0.95


def test_gaps_and_zeros_are_no_trouble() -> None:
    """A third of the hours unknown, and demand that is always 0, give finite quantiles."""
    rng = np.random.default_rng(1)
    gappy = week_of_shop(PAST_HOURS)
    gappy[rng.random(PAST_HOURS) < 0.3] = np.nan
    for past in (gappy, np.zeros(PAST_HOURS)):
        assert np.isfinite(hourly_forecast(past.astype(np.float32), MONDAY, 48).quantiles_AQ).all()


@pytest.mark.parametrize("hours", [1, 24, 168])
def test_a_short_past_is_refused(hours: int) -> None:
    past = week_of_shop(needed_hours(hours)).astype(np.float32)
    assert np.isfinite(hourly_forecast(past, MONDAY, hours).quantiles_AQ).all()
    assert not is_enough(past[1:], hours)
    with pytest.raises(ValueError, match="too short"):
        hourly_forecast(past[1:], MONDAY, hours)
    assert not is_enough(np.full(PAST_HOURS, np.nan, np.float32), hours)

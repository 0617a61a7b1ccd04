"""Which triggers a tick forecasts when there is no time for all of them."""

import pytest

from scaler.refresh.urgency import LEAST, Candidate, select


def steady(count: int, forecast_at: float = 0.0) -> list[Candidate]:
    return [Candidate(f"steady-{number}", False, forecast_at + number) for number in range(count)]


@pytest.mark.parametrize(
    ("seconds_per_forecast", "chosen"), [(0.0, 600), (0.0125, 600), (0.013, 576), (0.05, 150), (1.0, LEAST)]
)
def test_forecasts_take_half_the_interval_at_most(seconds_per_forecast: float, chosen: int) -> None:
    """The rest waits and is counted; a slow machine makes a few forecasts all the same."""
    selected = select(steady(600), 15.0, seconds_per_forecast)
    assert (len(selected.keys), selected.deferred) == (chosen, 600 - chosen)


def test_growth_comes_first_and_then_the_oldest_forecast() -> None:
    """A trigger that expects growth is never put off for one that does not."""
    growing = [Candidate(f"growing-{number}", True, 1000.0) for number in range(10)]
    selected = select([*reversed(steady(100)), *growing], 15.0, 7.5 / 70)
    assert selected.keys == {*(one.key for one in growing), *(f"steady-{number}" for number in range(60))}
    assert selected.deferred == 40


def test_nobody_is_put_off_for_ever() -> None:
    """Forecast triggers become the least urgent, so a few ticks reach all of them."""
    forecast_at = {one.key: one.forecast_at for one in steady(200)}
    reached: set[str] = set()
    for tick in range(1, 5):
        candidates = [Candidate(key, False, at) for key, at in forecast_at.items()]
        keys = select(candidates, 15.0, 1.0).keys
        reached |= keys
        forecast_at |= dict.fromkeys(keys, 1000.0 * tick)
    assert len(reached) == 200


def test_without_candidates_nothing_is_put_off() -> None:
    """A tick without triggers is no special case."""
    assert select([], 15.0, 0.05) == (frozenset(), 0)

"""The last value in Headway's planner: flat forecasts, and the planner's own rules."""

import numpy as np
import pytest

from tests.training.replay.made import scenario, waves
from training.replay.policies.registry import POLICIES, PolicyInputs
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.scenario import Scenario


def forecasts_for(one: Scenario, every: int) -> Forecasts:
    """Forecasts of nothing, at every so many ticks."""
    issued = one.refresh_K[::every]
    shape = (len(issued), 30, 3)
    return Forecasts(
        issued, np.arange(len(issued)), np.zeros(shape, np.float32), None, 60, (0.5, 0.9, 0.99), (), "none"
    )


@pytest.mark.parametrize("every", [1, 4])
def test_the_forecast_is_the_newest_value_at_its_issue(every: int) -> None:
    """What the bundle forecast is of no account; its moments, steps and levels are kept."""
    one = scenario(waves(2))
    policy = POLICIES["last value"](PolicyInputs(one, forecasts_for(one, every)))
    for k in (0, 401, 3002):
        forecast = policy._tick_forecasts.forecasts[k]  # type: ignore[attr-defined]
        tick = k // every * every
        assert forecast.start == one.refresh_K[tick]
        assert forecast.quantiles_HQ.shape == (30, 3)
        assert set(np.unique(forecast.quantiles_HQ)) == {np.float32(one.refreshed.value_K[tick])}


def test_before_any_value_there_is_no_forecast() -> None:
    values = waves(2)
    values[: 1440 + 30] = np.nan
    one = scenario(values)
    policy = POLICIES["last value"](PolicyInputs(one, forecasts_for(one, 1)))
    assert policy._tick_forecasts.forecasts[4] is None  # type: ignore[attr-defined]
    assert policy._tick_forecasts.forecasts[400] is not None  # type: ignore[attr-defined]

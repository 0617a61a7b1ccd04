"""Kalman filter and ARIMA: what they expect a lead time ahead, without a look at it."""

import numpy as np
import pytest

from tests.training.replay.made import scenario, waves
from training.replay.policies.state_space import Model, StateSpace, ahead, arima, kalman

MODELS = [kalman, arima]


@pytest.mark.parametrize("model", MODELS)
def test_the_expected_value_is_the_forecast_of_the_library(model: Model) -> None:
    """From the state of each minute in one pass; a gap in between is filtered over."""
    values = waves(1, steep=False).astype(float) / 300
    values[700:720] = np.nan
    found = ahead(model, values, 600, 3)
    fitted = model(values[:600]).fit(disp=0, maxiter=50).params
    for minute in (650, 725, 1200):
        expected = model(values[: minute + 1]).filter(fitted).forecast(3)[-1]
        assert found[minute] == pytest.approx(expected, rel=1e-6)


def test_the_filter_follows_a_trend() -> None:
    """Where demand grows it expects more than the reactive trigger has, by the growth of the lead time."""
    growing = 100 + np.arange(3 * 1440) * 0.5 + np.random.default_rng(1).normal(0, 0.5, 3 * 1440)
    policy = StateSpace(scenario(growing), kalman)
    today, expected = policy.answer(4000, 1).metrics
    assert 0.5 <= expected.value - today.value <= 6  # type: ignore[operator]


@pytest.mark.parametrize("model", MODELS)
def test_without_history_there_is_the_reactive_trigger_alone(model: Model) -> None:
    unknown = np.full(3 * 1440, np.nan)
    unknown[-100:] = 50.0
    assert StateSpace(scenario(unknown), model).answer(0, 1).metrics[1].value == 0


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_followed_beyond_reason(model: Model) -> None:
    """Not below zero, and at most ten times what has been seen."""
    values = np.concatenate([np.geomspace(1, 1e6, 1440), np.zeros(1440)])
    policy = StateSpace(scenario(values), model)
    asked = [policy.answer(k, 1).metrics[1].value for k in range(5000)]
    assert min(asked) >= 0  # type: ignore[type-var]
    assert max(asked) <= 1e7  # type: ignore[type-var, operator]

"""The last value as forecast, in Headway's own planner: what the planner does without a model.

Every quantile of every step is the newest observed demand (the persistence forecast, also called naive).

Axes: K ticks, H steps, Q levels.
"""

from dataclasses import replace

import numpy as np

from scaler.series import Forecast, Observation
from scaler.trigger import Trigger
from training.replay.policies.headway import Headway, TickForecasts
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.scenario import Scenario


class LastValue(Headway):
    """forecasts: the forecasts whose steps and levels are kept, and whose moments of issue."""

    def __init__(
        self, scenario: Scenario, forecasts: Forecasts, tick_forecasts: TickForecasts, trigger: Trigger
    ) -> None:
        naive = replace(tick_forecasts, forecasts=_naive(scenario, forecasts, tick_forecasts), _shared={})
        super().__init__(scenario, naive, trigger, "last value")


def _naive(scenario: Scenario, forecasts: Forecasts, tick_forecasts: TickForecasts) -> tuple[Forecast | None, ...]:
    """The forecast in force at each tick: that of the newest tick with an issue. [K]"""
    shape = forecasts.quantiles_IHQ.shape[1:]

    def made(now: float, observation: Observation | None) -> Forecast | None:
        if observation is None:
            return None
        flat_HQ = np.broadcast_to(np.float32(observation.value), shape)
        return Forecast(now, forecasts.step_seconds, forecasts.levels, flat_HQ, (), None, "last value")

    found: list[Forecast | None] = []
    newest: Forecast | None = None
    ticks = zip(scenario.refresh_K.tolist(), tick_forecasts.observations, tick_forecasts.issued, strict=True)
    for now, observation, is_issued in ticks:
        if is_issued or newest is None:
            newest = made(now, observation)
        found.append(newest)
    return tuple(found)

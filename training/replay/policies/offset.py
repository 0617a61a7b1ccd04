"""One point of the forecast: the demand expected at now + offset. No window, no quantile, no floor.

Sources: KEDA's `elastic-forecast` scaler (https://github.com/kedacore/keda/issues/7494, `lookAhead`, 10 minutes by
default: the predicted value of the bucket that covers now + lookAhead, 0 while there is none) and its `predictkube`
scaler (https://keda.sh/docs/latest/scalers/predictkube/, `predictHorizon`: the last of the points predicted until
then). Their models are not public or not free; here the point is the median of the bundle that Headway uses, so that
only the decision differs.

Axes: K ticks, I issues, H steps, Q levels.
"""

import math

import numpy as np

from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario

LOOK_AHEAD_SECONDS = 600.0


class Offset:
    """One point as the only trigger; with `beside`, next to the reactive one, as elastic-forecast's proposal advises.

    offset_seconds: at most the horizon of the forecasts. target: as in `Reactive`.
    """

    def __init__(
        self,
        scenario: Scenario,
        forecasts: Forecasts,
        offset_seconds: float = LOOK_AHEAD_SECONDS,
        target: float | None = None,
        beside: bool = False,
    ) -> None:
        self.name = f"forecast at {offset_seconds:g} s" + (" beside reactive" if beside else "")
        point_K = expected(scenario, forecasts, offset_seconds)
        self._answers = beside_reactive(scenario, target, point_K) if beside else _alone(scenario, target, point_K)

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


def expected(scenario: Scenario, forecasts: Forecasts, offset_seconds: float) -> Moments:
    """Median demand `offset_seconds` after each tick, by the newest forecast; NaN if none covers it. [K]

    Raises ValueError if the offset is beyond the horizon, or the forecasts have no median.
    """
    steps = forecasts.quantiles_IHQ.shape[1]
    kept_seconds = steps * forecasts.step_seconds
    if not 0 < offset_seconds <= kept_seconds:
        raise ValueError(f"offset_seconds {offset_seconds:g}: must lie above 0 and at most {kept_seconds:g} ahead")
    if 0.5 not in forecasts.levels:
        raise ValueError(f"levels {forecasts.levels}: 0.5 must be one of them")
    median_IH = forecasts.quantiles_IHQ[:, :, forecasts.levels.index(0.5)]
    issue_K = np.searchsorted(forecasts.issued_I, scenario.refresh_K + 1e-6, side="right") - 1
    which_K = np.where(issue_K >= 0, forecasts.newest_I[issue_K], -1)
    ahead_K = scenario.refresh_K + offset_seconds - forecasts.issued_I[which_K]
    step_K = np.ceil(ahead_K / forecasts.step_seconds - 1e-9).astype(np.int64) - 1
    there_K = (which_K >= 0) & (step_K < steps)
    return np.where(there_K, median_IH[which_K, np.where(there_K, step_K, 0)], np.nan).astype(np.float64)


def _alone(scenario: Scenario, target: float | None, point_K: Moments) -> list[PolicyAnswer]:
    aim = scenario.setting.threshold if target is None else target
    activation = scenario.setting.keda.activation_threshold
    values = [0.0 if math.isnan(point) else point for point in point_K.tolist()]
    return [PolicyAnswer((Metric(value, aim),), value > activation) for value in values]

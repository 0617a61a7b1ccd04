"""Demand a lead time ahead by a Kalman filter or by ARIMA, as one more trigger next to the reactive one.

Both are state-space models that users build such triggers from (Durbin and Koopman, "Time Series Analysis by State
Space Methods", 2nd ed.): a local linear trend, and ARIMA(2, 1, 1), as statsmodels has them. Parameters are fitted by
maximum likelihood on the three days before the span and stay. At each minute the filter updates the state with what the
server returned; the state then gives the expected demand at now + lead time. The HPA takes the larger of both triggers.

Axes: T minutes, K ticks, S states.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from training.data.load import DAY_SECONDS
from training.replay.policies.headway import lead_seconds
from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import PolicyAnswer
from training.replay.simulation.scenario import Scenario

MINUTE = 60.0
FITTED_DAYS = 3
LEAST_MINUTES = 60
MOST_STEPS = 50
"""of the optimiser"""
MOST_TIMES = 10
"""the largest demand seen: a trend that is followed further than that is an error"""

Model: TypeAlias = Callable[[Moments], Any]
"""values [T] → a state-space model of statsmodels"""


def kalman(values_T: Moments) -> Any:
    """A local linear trend: level and slope, each a random walk."""
    from statsmodels.tsa.statespace.structural import (  # type: ignore[import-untyped,unused-ignore]
        UnobservedComponents,
    )

    return UnobservedComponents(values_T, level="local linear trend")


def arima(values_T: Moments) -> Any:
    """ARIMA(2, 1, 1)."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX  # type: ignore[import-untyped,unused-ignore]

    return SARIMAX(values_T, order=(2, 1, 1))


class StateSpace:
    """model: `kalman` or `arima`. target: as in `Reactive`."""

    def __init__(self, scenario: Scenario, model: Model, target: float | None = None) -> None:
        self.name = model.__name__
        self._answers = beside_reactive(scenario, target, _expected(scenario, model))

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


def _expected(scenario: Scenario, model: Model) -> Moments:
    """The expected demand at each sync's lead time ahead, NaN without enough history. [K]"""
    begin = scenario.span.begin - FITTED_DAYS * DAY_SECONDS
    first = math.ceil(max(scenario.demand.start, begin) / MINUTE) * MINUTE
    at_T = np.arange(first, scenario.sync_K[-1], MINUTE)
    seen_T = scenario.demand.observed(at_T, scenario.setting.observing)
    before = int(np.searchsorted(at_T, scenario.span.begin))
    known_T = seen_T[:before][~np.isnan(seen_T[:before])]
    if len(known_T) < LEAST_MINUTES or not known_T.any():
        return np.full(len(scenario), np.nan)
    steps = math.ceil(lead_seconds(scenario.setting) / MINUTE)
    unit = float(known_T.mean())
    ahead_T = unit * ahead(model, seen_T / unit, before, steps)
    most_T = MOST_TIMES * np.maximum.accumulate(np.nan_to_num(seen_T))
    newest_K = np.searchsorted(at_T, scenario.refresh_K + 1e-6, side="right") - 1
    return np.asarray(np.clip(ahead_T, 0, most_T)[newest_K])


def ahead(model: Model, values_T: Moments, fitted: int, steps: int) -> Moments:
    """The expected value so many steps after each minute, by what came until then. [T]

    fitted: the number of minutes, from the first on, that parameters are fitted to.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the optimiser stops early, its best parameters are taken
        parameters = model(values_T[:fitted]).fit(disp=0, maxiter=MOST_STEPS).params
        found = model(values_T).filter(parameters).filter_results
    onward = np.linalg.matrix_power(found.transition[:, :, 0], steps)
    return np.asarray((found.design[:, :, 0] @ onward @ found.filtered_state)[0])

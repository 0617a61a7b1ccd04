"""The largest demand around this time last week, as one more Prometheus trigger next to the reactive one.

Source: Grafana Mimir's `predictive scaling` of queriers (https://github.com/grafana/mimir/pull/7775), a trigger on
`max_over_time(query[30m] offset 6d23h30m)`: the maximum from this time last week until half an hour later. The HPA
takes the larger of the two triggers, so this one only adds replicas.

Axes: K ticks.
"""

import numpy as np
import pandas as pd

from scaler.plan.hpa import SYNC_SECONDS
from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import PolicyAnswer
from training.replay.simulation.scenario import Scenario

OFFSET_SECONDS = 7 * 86_400.0 - 1800
LOOKBACK_SECONDS = 1800.0


class LastWeek:
    """target: as in `Reactive`; both triggers have it."""

    def __init__(self, scenario: Scenario, target: float | None = None) -> None:
        self.name = "last week"
        self._answers = beside_reactive(scenario, target, _largest(scenario))

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


def _largest(scenario: Scenario) -> Moments:
    """The maximum of all scrapes in the lookback before the offset; NaN without a value. [K]"""
    samples = round(LOOKBACK_SECONDS / SYNC_SECONDS)
    first = scenario.sync_K[0] - OFFSET_SECONDS - SYNC_SECONDS * (samples - 1)
    at = first + SYNC_SECONDS * np.arange(len(scenario) + samples - 1)
    observed = pd.Series(scenario.demand.observed(at, scenario.setting.observing))
    return np.asarray(observed.rolling(samples, min_periods=1).max(), np.float64)[samples - 1 :]

"""A plan per hour next to the reactive trigger, like the predictive scaling of cloud providers.

Source: Amazon EC2 Auto Scaling, "How predictive scaling works"
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/predictive-scaling-policy-overview.html) and the API's
`PredictiveScalingConfiguration`: from up to 14 days of history, at least 24 hours, a forecast for each hour, renewed
every 6 hours; capacity is raised at the start of the hour, or `SchedulingBufferTime` (300 s) before; it never takes
capacity away, which dynamic scaling does. How Amazon forecasts an hour is not public. Here it is the mean of the same
hour on the same weekday, where any is on record, else on all days on record; each hour counts by its largest demand
over five minutes, which serves better than the hour's mean. As the newest such hour ends long before a plan is made,
replanning matters only while history is short. Hours and days are UTC.

Axes: K ticks, D days back, N hours on record.
"""

import math

import numpy as np
from numpy.typing import NDArray

from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import PolicyAnswer
from training.replay.simulation.scenario import Scenario

HOUR = 3600
REPLAN_HOURS = 6
LEAST_HOURS = 24
DAYS = 14
PERIOD_SECONDS = 300


class Hourly:
    """buffer_seconds: how long before an hour its capacity is requested. target: as in `Reactive`.

    Raises ValueError for a buffer that is not shorter than an hour.
    """

    def __init__(self, scenario: Scenario, buffer_seconds: float = 300.0, target: float | None = None) -> None:
        if not 0 <= buffer_seconds < HOUR:
            raise ValueError(f"buffer_seconds {buffer_seconds:g}: must lie from 0 to below {HOUR}")
        self.name = "hourly plan"
        plan = _Plan(scenario)
        value_K = np.fmax(plan.of(scenario.sync_K, 0.0), plan.of(scenario.sync_K, buffer_seconds))
        self._answers = beside_reactive(scenario, target, value_K)

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


class _Plan:
    def __init__(self, scenario: Scenario) -> None:
        self._first = math.ceil(scenario.demand.start / HOUR)
        count = max(0, math.floor(scenario.span.end / HOUR) - self._first)
        bounds = self._first * HOUR + PERIOD_SECONDS * np.arange(count * HOUR / PERIOD_SECONDS + 1)
        means = scenario.demand.mean(bounds[:-1], bounds[1:]).reshape(count, -1)
        self._peak_N = np.fmax.reduce(means, axis=1)

    def of(self, at_K: Moments, ahead_seconds: float) -> Moments:
        """The planned demand, by the plan in force at each moment, of the hour this far ahead; NaN without a plan."""
        hour_K = np.floor((at_K + ahead_seconds) / HOUR).astype(np.int64)
        made_K = np.floor(at_K / HOUR / REPLAN_HOURS).astype(np.int64) * REPLAN_HOURS
        pairs, inverse_K = np.unique(np.stack([hour_K, made_K]), axis=1, return_inverse=True)
        planned = self._planned(pairs[0], pairs[1])
        return planned[inverse_K.ravel()]

    def _planned(self, hour_K: NDArray[np.int64], made_K: NDArray[np.int64]) -> Moments:
        """hour_K, made_K: hours since the epoch, the one planned for and the one at whose start the plan was made."""
        past_KD = hour_K[:, None] - 24 * np.arange(1, DAYS + 1)
        enough_K = made_K - self._first >= LEAST_HOURS
        there_KD = enough_K[:, None] & (past_KD >= self._first) & (past_KD - self._first < len(self._peak_N))
        if not there_KD.any():
            return np.full(len(hour_K), np.nan)
        peak_KD = np.where(there_KD, self._peak_N[np.where(there_KD, past_KD - self._first, 0)], np.nan)
        weekday_K = _mean(peak_KD[:, 6::7])
        return np.where(np.isnan(weekday_K), _mean(peak_KD), weekday_K)


def _mean(values_KD: Moments) -> Moments:
    """Mean of the known values; NaN if there are none."""
    known_K = (~np.isnan(values_KD)).sum(axis=1)
    return np.where(known_K > 0, np.nansum(values_KD, axis=1) / np.maximum(known_K, 1), np.nan)

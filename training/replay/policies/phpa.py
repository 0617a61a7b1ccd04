"""The Predictive Horizontal Pod Autoscaler: Holt-Winters on the replicas that the HPA computed, and the larger of both.

Source: https://github.com/jthomperoo/predictive-horizontal-pod-autoscaler, docs/user-guide/models.md. At every
`syncPeriod` it computes replicas from the metrics as the HPA does and stores them; from the last `storedSeasons`
seasons of `seasonalPeriods` values, at least two, Holt-Winters predicts the next value, rounded up; `decisionType:
maximum` takes the larger of computed and predicted. Its smoothing factors "require tweaking": by default the best of a
grid on the replicas before the span are taken, by squared error. (It also offers linear regression, whose horizon is
seconds and which needs no history.)

Differences: its period here is 5 minutes, so that a day's season is 288 values, but computed replicas apply at every
sync, which serves better; computed replicas are stored without the tolerance, which depends on the current replicas;
and the HPA's tolerance also applies to the predicted replicas, which are a second metric.

Axes: T periods, N series or settings side by side, K ticks, I periods in which the span lies.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.plan.hpa import average_value, milli
from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import PolicyAnswer
from training.replay.simulation.scenario import Scenario

TUNING_SEASONS = 14
"""the most history before the span on which smoothing factors are chosen"""
MOST = 1e6
"""replicas; with unsuitable factors the recursion grows without bounds"""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Smoothing factors, from 0 to 1."""

    alpha: float
    beta: float
    gamma: float


DOCUMENTED = Tuning(0.9, 0.9, 0.9)
"""those of the documentation's example"""
GRID = tuple(
    Tuning(alpha, beta, gamma)
    for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)
    for beta in (0.0, 0.01, 0.1, 0.5, 0.9)
    for gamma in (0.0, 0.1, 0.3, 0.6, 0.9)
)


@dataclass(frozen=True, slots=True)
class Seasons:
    """`syncPeriod`, `seasonalPeriods` and `storedSeasons`."""

    sync_seconds: float = 300.0
    periods: int = 288
    stored: int = 4


class Phpa:
    """target: as in `Reactive`. tuning: by default chosen on the history before the span."""

    def __init__(
        self,
        scenario: Scenario,
        target: float | None = None,
        tuning: Tuning | None = None,
        seasons: Seasons | None = None,
    ) -> None:
        self.name = "phpa"
        aim = scenario.setting.threshold if target is None else target
        seasons = seasons or Seasons()
        at_T, replicas_T = _computed(scenario, aim, seasons)
        before = int(np.searchsorted(at_T, scenario.span.begin))
        self.tuning = tuning or chosen(replicas_T[:before], seasons.periods)
        period_K = np.searchsorted(at_T, scenario.sync_K + 1e-6, side="right") - 1
        period_I, which_K = np.unique(period_K, return_inverse=True)
        foretold_I = _foretold(replicas_T, period_I, self.tuning, seasons)
        self._answers = beside_reactive(scenario, target, foretold_I[which_K] * aim)

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


def holt_winters(
    values_TN: Moments, periods: int, alpha: float | Moments, beta: float | Moments, gamma: float | Moments
) -> Moments:
    """Additive Holt-Winters: row t is the prediction of t + 1 after t. [T, N], with T at least two seasons.

    Holt (1957), Winters (1960), in the form of Hyndman and Athanasopoulos, "Forecasting: Principles and Practice",
    8.3. It starts from the first season's mean and shape, and the slope to the second season's mean. The factors are
    numbers, or [N].
    """
    level = values_TN[:periods].mean(axis=0)
    trend = (values_TN[periods : 2 * periods].mean(axis=0) - level) / periods
    season = values_TN[:periods] - level
    next_TN = np.empty(values_TN.shape)
    for t, value in enumerate(values_TN):
        usual = season[t % periods]
        before = level + trend
        level = alpha * (value - usual) + (1 - alpha) * before
        trend = beta * (level - before + trend) + (1 - beta) * trend
        season[t % periods] = gamma * (value - before) + (1 - gamma) * usual
        next_TN[t] = level + trend + season[(t + 1) % periods]
    return next_TN


def chosen(replicas_T: Moments, periods: int) -> Tuning:
    """The factors of the grid with the least squared error one period ahead; with less than three seasons, the
    documented ones.
    """
    if len(replicas_T) < 3 * periods:
        return DOCUMENTED
    recent_T = replicas_T[-TUNING_SEASONS * periods :]
    alpha_N, beta_N, gamma_N = np.array([(one.alpha, one.beta, one.gamma) for one in GRID]).T
    with np.errstate(over="ignore", invalid="ignore"):
        next_TN = holt_winters(np.tile(recent_T[:, None], len(GRID)), periods, alpha_N, beta_N, gamma_N)
        error_N = ((next_TN[2 * periods : -1] - recent_T[2 * periods + 1 :, None]) ** 2).mean(axis=0)
    return GRID[int(np.argmin(np.nan_to_num(error_N, nan=np.inf)))]


def _computed(scenario: Scenario, target: float, seasons: Seasons) -> tuple[Moments, Moments]:
    """Time and computed replicas of each of its syncs; without a value, the last ones before. [T] each"""
    step = seasons.sync_seconds
    reach = max(TUNING_SEASONS, seasons.stored) * seasons.periods * step
    first = math.ceil(max(scenario.demand.start, scenario.span.begin - reach) / step)
    at = step * np.arange(first, math.floor(scenario.sync_K[-1] / step) + 1)
    observed = pd.Series(scenario.demand.observed(at, scenario.setting.observing), index=at).ffill().dropna()
    target_milli = milli(target)
    replicas = [average_value(milli(value), target_milli, 0, scenario.setting.hpa) for value in observed.tolist()]
    return observed.index.to_numpy(), np.array(replicas, np.float64)


def _foretold(replicas_T: Moments, period_I: NDArray[np.int64], tuning: Tuning, seasons: Seasons) -> Moments:
    """The predicted replicas of the period after each of these; 0 before two seasons are stored. [I]"""
    foretold_I = np.zeros(len(period_I))
    stored_I = np.minimum((period_I + 1) // seasons.periods, seasons.stored)
    for stored in range(2, seasons.stored + 1):
        rows = stored_I == stored
        if rows.any():
            back_T = np.arange(1 - stored * seasons.periods, 1)
            history_TN = replicas_T[period_I[rows] + back_T[:, None]]
            next_TN = holt_winters(history_TN, seasons.periods, tuning.alpha, tuning.beta, tuning.gamma)
            foretold_I[rows] = np.clip(np.ceil(next_TN[-1] - 1e-9), 0, MOST)
    return foretold_I

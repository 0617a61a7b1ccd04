"""What a forecast whose time has come adds to the sums of its trigger. Pure numpy.

Axes: N forecasts, Q scored levels (`LEVELS`), F figures (`Figure`).
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from scaler.series import Floats

LEVELS: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
_MEDIAN = LEVELS.index(0.5)
ROUNDING = 1.002
"""times a quantile: truths and quantiles are kept as half floats, each off by up to 0.05 %"""


class Figure(IntEnum):
    """The sums that are kept. Those of hits, one for each of `LEVELS`, follow the last one."""

    COUNT = 0
    """forecasts that were scored"""
    PINBALL = 1
    """mean over the levels. Koenker and Bassett 1978"""
    PERSISTENCE = 2
    """the same loss of the newest observation, had it been forecast at every level"""
    BESIDE_SEASONAL = 3
    """`PINBALL`, where demand of a day before is known"""
    SEASONAL = 4
    """there, the same loss of that demand"""
    ABSOLUTE = 5
    """error of the median"""
    BIAS = 6
    """the median minus the truth"""
    SQUARED = 7
    PERCENT = 8
    """absolute error over the truth, where that is above 0 …"""
    PERCENT_COUNT = 9
    """… and how often it is"""
    SYMMETRIC = 10
    """absolute error over the mean of median and truth; 0 where both are 0"""
    PROMISED = 11
    """pinball loss at the trigger's own quantile"""
    PROMISED_PERSISTENCE = 12
    """the same loss of the newest observation"""
    HELD = 13
    """truths within the trigger's own quantile"""


FIGURES: Final = len(Figure) + len(LEVELS)


class Due(NamedTuple):
    """Forecasts whose time has come, beside what was to be forecast."""

    quantiles_NQ: Floats
    own_N: Floats
    """at the trigger's own quantile"""
    level_N: Floats
    """that quantile"""
    truth_N: Floats
    persistence_N: Floats
    """the newest observation when it was issued"""
    seasonal_N: Floats
    """the truth of a day before; NaN where it is not known"""


def sums(due: Due) -> Floats:
    """What each forecast adds [N, F]; zeros where the truth, or the observation at its issue, is not known."""
    truth_N, median_N = due.truth_N, due.quantiles_NQ[:, _MEDIAN]
    loss_N, naive_N = _pinball(due.quantiles_NQ, truth_N), _pinball(due.persistence_N[:, None], truth_N)
    seasonal_N = _pinball(due.seasonal_N[:, None], truth_N)
    has_season = ~np.isnan(seasonal_N)
    error_N = median_N - truth_N
    absolute_N, size_N = np.abs(error_N), 0.5 * (np.abs(median_N) + np.abs(truth_N))
    is_above_zero = truth_N > 0
    found = np.zeros((len(truth_N), FIGURES), np.float32)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found[:, Figure.COUNT] = 1
        found[:, Figure.PINBALL] = loss_N
        found[:, Figure.PERSISTENCE] = naive_N
        found[:, Figure.BESIDE_SEASONAL] = np.where(has_season, loss_N, 0)
        found[:, Figure.SEASONAL] = np.where(has_season, seasonal_N, 0)
        found[:, Figure.ABSOLUTE] = absolute_N
        found[:, Figure.BIAS] = error_N
        found[:, Figure.SQUARED] = error_N**2
        found[:, Figure.PERCENT] = np.where(is_above_zero, absolute_N / truth_N, 0)
        found[:, Figure.PERCENT_COUNT] = is_above_zero
        found[:, Figure.SYMMETRIC] = np.where(size_N > 0, absolute_N / size_N, 0)
    found[:, Figure.PROMISED] = _at_level(due.own_N, due.level_N, truth_N)
    found[:, Figure.PROMISED_PERSISTENCE] = _at_level(due.persistence_N, due.level_N, truth_N)
    found[:, Figure.HELD] = truth_N <= ROUNDING * due.own_N
    found[:, len(Figure) :] = truth_N[:, None] <= ROUNDING * due.quantiles_NQ
    found[np.isnan(truth_N) | np.isnan(due.persistence_N)] = 0
    return found


def _pinball(quantiles_NQ: Floats, truth_N: Floats) -> Floats:
    level_Q = np.array(LEVELS, np.float32)
    return np.asarray(_at_level(quantiles_NQ, level_Q, truth_N[:, None]).mean(axis=1), np.float32)


def _at_level(quantile: Floats, level: Floats, truth: Floats) -> Floats:
    above = truth - quantile
    return np.asarray(np.maximum(level * above, (level - 1) * above), np.float32)

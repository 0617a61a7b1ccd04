"""The period at which demand repeats, where it does: a crontab every twenty minutes, a queue filled every 45. Pure."""

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats

Doubles = NDArray[np.float64]

SEARCHED_MINUTES = 2880
"""of the past are searched"""
TREND_MINUTES = 361
"""the mean over this many minutes is taken off first: the daily pattern is no short cycle"""
SHORTEST, LONGEST = 3, 720
LEAST_CORRELATION = 0.35
NEARLY = 0.85
"""share of the best correlation at which the shortest period counts"""


def find_period(minutes_M: Floats) -> int:
    """The period in minutes of demand by the minute, oldest first, NaN where missing; 0 without one.

    The lag of the highest autocorrelation of the logarithm of demand (Box and Jenkins), or a shorter one that is
    nearly as good, so that not a multiple of the period is found.
    """
    known = ~np.isnan(minutes_M)
    if known.sum() < SEARCHED_MINUTES // 2:
        return 0
    level = float(minutes_M[known].mean())
    if level <= 0:
        return 0
    logs = np.log(np.where(known, minutes_M, level) + 0.05 * level).astype(np.float64)
    logs -= _rolling_mean(logs, TREND_MINUTES)
    logs[~known] = 0
    correlation = _autocorrelation(logs)[: LONGEST + 1]
    fallen = np.flatnonzero(correlation < LEAST_CORRELATION)  # before that, a slow change resembles itself
    candidates = np.arange(max(SHORTEST, fallen[0]) if len(fallen) else LONGEST, LONGEST)
    neighbours = np.maximum(correlation[candidates - 1], correlation[candidates + 1])
    candidates = candidates[correlation[candidates] >= neighbours]
    if not len(candidates):
        return 0
    best = correlation[candidates].max()
    if best < LEAST_CORRELATION:
        return 0
    return int(candidates[correlation[candidates] >= NEARLY * best][0])


def _rolling_mean(values: Doubles, width: int) -> Doubles:
    """The centred mean; at the ends over what is there."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(values))
    return np.asarray((total[last] - total[first]) / (last - first))


def _autocorrelation(values: Doubles) -> Doubles:
    spectrum = np.fft.rfft(values, 2 * len(values))
    found = np.fft.irfft(spectrum * np.conj(spectrum))[: len(values)]
    variance = found[0]
    overlap = np.arange(len(values), 0, -1) / len(values)
    return found / (variance * overlap) if variance > 0 else np.zeros(len(values))

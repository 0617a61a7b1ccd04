"""What a forecast says about a window of time: quantiles of demand, and of its peak. Q levels, H steps, W windows."""

import math
from functools import lru_cache

from scaler.series import Floats, Forecast


def largest_quantile(forecast: Forecast, level: float, start: float, end: float) -> float:
    """The largest `level` quantile of demand over the steps that touch (start, end]; 0 where no step does.

    The quantile of a maximum is at least this: see `peak_quantile`.
    """
    first = max(0, math.floor((start - forecast.start) / forecast.step_seconds))
    last = math.ceil((end - forecast.start) / forecast.step_seconds)
    if last <= first or first >= len(forecast.quantiles_HQ):
        return 0.0
    lower, share = _bracket(forecast.levels, level)
    quantile_H = forecast.quantiles_HQ[first:last, lower]
    if share:
        quantile_H = quantile_H + share * (forecast.quantiles_HQ[first:last, lower + 1] - quantile_H)
    return float(quantile_H.max())


def peak_quantile(forecast: Forecast, level: float, now: float, end: float) -> float:
    """The `level` quantile of the largest demand over (now, end].

    A bundle's `peaks` count from the start of the forecast, the window counts from now. So the steps say where demand
    goes, and the peaks say by how much the maximum over a window of this length exceeds what the steps show: at the
    start of the forecast the result is the peak itself, and later it moves on with the steps, without a jump. The
    excess is carried over as a difference and as a ratio, and the smaller result counts: a difference is too much
    once demand has fallen, a ratio once it has risen from nearly nothing. A window longer than all of the bundle's has
    the excess of the longest.

    NaN where one of the numbers is negative or not finite: a difference or a ratio of such numbers can look like
    demand.
    """
    steps = largest_quantile(forecast, level, now, end)
    if forecast.peaks_WQ is None or not forecast.peak_steps:
        return steps
    window_steps = min((end - now) / forecast.step_seconds, forecast.peak_steps[-1])
    peak = _first_peak(forecast.peaks_WQ, forecast, level, window_steps)
    steps_then = largest_quantile(
        forecast, level, forecast.start, forecast.start + window_steps * forecast.step_seconds
    )
    if not all(0 <= part < math.inf for part in (steps, peak, steps_then)):
        return math.nan
    # in this order both are exactly the peak at the start of the forecast: rounding puts no quantile below a lower one
    shifted = peak + (steps - steps_then)
    scaled = peak * (steps / steps_then) if steps_then > 0 else math.inf
    return max(0.0, min(shifted, scaled))


def _first_peak(peaks_WQ: Floats, forecast: Forecast, level: float, window_steps: float) -> float:
    """The quantile of the maximum over the first `window_steps` steps, between the window lengths the bundle gives.

    A window shorter than all of them gets the shortest one, which is an upper bound.
    """
    upper, share = _between(forecast.peak_steps, window_steps)
    lower_level, level_share = _bracket(forecast.levels, level)
    pair = slice(lower_level, lower_level + 2)
    peak = _mix(peaks_WQ[upper, pair].tolist(), level_share)
    if share == 1.0:
        return peak
    # with a weight each, which rounding cannot make fall where either peak rises
    return (1 - share) * _mix(peaks_WQ[upper - 1, pair].tolist(), level_share) + share * peak


def _mix(pair: list[float], share: float) -> float:
    return pair[0] + share * (pair[1] - pair[0]) if share else pair[0]


@lru_cache(maxsize=1024)
def _between(lengths: tuple[int, ...], wanted: float) -> tuple[int, float]:
    """The first index whose length reaches `wanted`, and the share of it against the one before."""
    upper = next(index for index, length in enumerate(lengths) if length >= wanted)
    if upper == 0:
        return 0, 1.0
    below, above = lengths[upper - 1], lengths[upper]
    return upper, (wanted - below) / (above - below)


@lru_cache(maxsize=1024)
def _bracket(levels: tuple[float, ...], level: float) -> tuple[int, float]:
    """The index of the level below, and the share of the next one. Outside the levels, the outermost one.

    Not extrapolated: a quantile beyond what a model was trained for is a guess, and an expensive one.
    """
    above = next((index for index, known in enumerate(levels) if known >= level - 1e-6), None)
    if above is None:
        return len(levels) - 1, 0.0
    if above == 0 or levels[above] <= level + 1e-6:
        return above, 0.0
    below = levels[above - 1]
    return above - 1, (level - below) / (levels[above] - below)

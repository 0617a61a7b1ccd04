"""A bundle's forecasts mixed with what past days show. Pure numpy.

Axes: N series, W windows, H steps, Q levels, E experts (`scores.EXPERTS`; 0 is the bundle).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scaler.forecast.scores import LEVELS, LONGEST_WINDOW, Integers
from scaler.forecast.similar_days import (
    ALIKE,
    ALL_DAYS,
    SAME_WEEKDAY,
    Comparison,
    Quantiles,
    compare,
    day_weights,
    quantiles,
)
from scaler.recurrence import Recurrence
from scaler.series import Floats, Forecast, PastDays

STEPS = 30
"""minutes ahead in which past days count; further ahead the bundle is alone"""
STEP_SECONDS = 60.0
SCORED_BEYOND_SECONDS = 300.0
"""beyond the lead time: the peaks over this window are scored"""


def can_mix(forecast: Forecast) -> bool:
    """Whether past days can be mixed in: it is by the minute, with peaks, and has the levels that are scored."""
    is_by_minute = forecast.step_seconds == STEP_SECONDS and forecast.peaks_WQ is not None
    return is_by_minute and bool(windows_of(forecast.peak_steps)) and set(LEVELS) <= set(forecast.levels)


def windows_of(peak_steps: Sequence[int]) -> tuple[int, ...]:
    """Of the windows of a forecast by the minute, those in which past days count."""
    return tuple(window for window in peak_steps if window <= LONGEST_WINDOW)


def scored_window(windows: Sequence[int], seconds: float) -> int:
    """Index of the window that is scored for a plan that looks so many seconds ahead."""
    wanted = seconds / STEP_SECONDS
    return next((i for i, window in enumerate(windows) if window >= wanted), len(windows) - 1)


def of_past_days(compared: Comparison, past: PastDays, levels: Sequence[float]) -> list[Quantiles]:
    """What the experts `days` and `weekday` expect, from a comparison of days scaled to today."""
    days = past.before_NBD.shape[2]
    kinds = ALL_DAYS, SAME_WEEKDAY
    return [quantiles(compared, day_weights(kind, past.weekday_N, days), levels) for kind in kinds]


def scaled_days(past: PastDays, windows: Sequence[int], lag_N: Integers) -> Comparison:
    """Past days, scaled to today's level. lag: see `lag_minutes`."""
    return compare(past, windows, STEPS, is_scaled=True, lag_N=lag_N)


def of_cycles(past: PastDays, windows: Sequence[int], levels: Sequence[float], lag_N: Integers) -> Quantiles:
    """What the expert `cycle` expects, from past periods in place of days."""
    compared = compare(past, windows, STEPS, is_scaled=False, lag_N=lag_N)
    weight_ND = day_weights(ALIKE, np.zeros(len(past.mean_N), np.int64), past.before_NBD.shape[2])
    return quantiles(compared, weight_ND, levels)


def stacked(forecasts: Sequence[Forecast], windows: int) -> Quantiles:
    """What the bundle expects, in the windows and steps of the other experts."""
    peaks = np.stack([forecast.peaks_WQ[:windows] for forecast in forecasts if forecast.peaks_WQ is not None])
    return Quantiles(peaks, np.stack([forecast.quantiles_HQ[:STEPS] for forecast in forecasts]))


class Mixture(NamedTuple):
    """Quantiles as in `Quantiles`, and the weight of each expert in them."""

    peaks_NWQ: Floats
    steps_NHQ: Floats
    weights_NE: Floats


def mix(experts: Sequence[Quantiles], weights_NE: Floats) -> Mixture:
    """The weighted mean of the experts' quantiles. experts: the bundle first, which counts for those without any."""
    return Mixture(
        np.maximum.accumulate(_mean([expert.peaks_NWQ for expert in experts], weights_NE), axis=1),
        _mean([expert.steps_NHQ for expert in experts], weights_NE),
        heard(experts, weights_NE),
    )


def heard(experts: Sequence[Quantiles], weights_NE: Floats) -> Floats:
    """The weights, where an expert without quantiles has left its own to the bundle [N, E]."""
    is_silent = np.stack([np.isnan(expert.peaks_NWQ[:, 0, 0]) for expert in experts], axis=1)
    heard_NE = np.where(is_silent, 0, weights_NE)
    heard_NE[:, 0] += 1 - heard_NE.sum(axis=1)
    return heard_NE


def with_mixture(
    forecast: Forecast,
    peaks_WQ: Floats,
    steps_HQ: Floats,
    weight_E: Floats,
    days_alike: tuple[int, int] = (0, 0),
    recurrence: Recurrence | None = None,
) -> Forecast:
    """The forecast with mixed quantiles in its first windows and steps; no longer window has a smaller peak."""
    assert forecast.peaks_WQ is not None
    longer_WQ = np.maximum(forecast.peaks_WQ[len(peaks_WQ) :], peaks_WQ[-1])
    return Forecast(
        forecast.start,
        forecast.step_seconds,
        forecast.levels,
        np.concatenate([steps_HQ, forecast.quantiles_HQ[len(steps_HQ) :]]),
        forecast.peak_steps,
        np.concatenate([peaks_WQ, longer_WQ]),
        forecast.model,
        tuple(weight_E[1:].tolist()),
        days_alike,
        recurrence,
    )


def _mean(parts: Sequence[Floats], weights_NE: Floats) -> Floats:
    bundle = parts[0]
    total = weights_NE[:, 0, None, None] * bundle
    for e, part in enumerate(parts[1:], 1):
        total = total + weights_NE[:, e, None, None] * np.where(np.isnan(part), bundle, part)
    return np.maximum.accumulate(total, axis=2, dtype=np.float32)

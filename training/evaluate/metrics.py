"""Scores of forecasts: small functions of arrays. Lower is better, except R² and coverage.

Axes: N windows, T past steps, H future steps, W window lengths, Q quantile levels; "..." stands for any axes.
Truth that is NaN is ignored; a forecast that is NaN where the truth is known makes the score NaN, and so does having
no known truth at all. Scores are computed in float64, in the units of the truth unless stated otherwise.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.errors import ModelError

Numbers: TypeAlias = NDArray[np.floating[Any]]
Scores: TypeAlias = NDArray[np.float64]


def mean_known(values: Numbers, truth: Numbers, axis: int | tuple[int, ...] | None = None) -> Scores:
    """Mean of `values` over `axis` (all, unless named) where `truth` is known; NaN if none is.

    `values` has the axes of `truth`, or those and one more at the end, which stays.
    """
    known = ~np.isnan(truth)
    if axis is None:
        axis = tuple(range(truth.ndim))
    if values.ndim > truth.ndim:
        known = known[..., None]
    total = np.where(known, values, 0.0).sum(axis=axis, dtype=np.float64)
    count = np.broadcast_to(known, values.shape).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), np.float64)


def pinball(truth: Numbers, quantiles: Numbers, levels: Sequence[float]) -> Scores:
    """Loss of each quantile of each truth [..., Q]: level times the shortfall, 1 - level times the excess.

    Koenker and Bassett, "Regression Quantiles", 1978.
    """
    short = np.asarray(truth, np.float64)[..., None] - quantiles
    level_Q = np.asarray(levels, np.float64)
    return np.asarray(np.maximum(level_Q * short, (level_Q - 1.0) * short))


def pinball_loss(truth: Numbers, quantiles: Numbers, levels: Sequence[float]) -> Scores:
    """Mean pinball loss per level. [Q]"""
    return mean_known(pinball(truth, quantiles, levels), truth)


def wql(truth: Numbers, quantiles: Numbers, levels: Sequence[float]) -> float:
    """Weighted quantile loss: twice the summed pinball loss over the summed |truth|, averaged over the levels.

    It is the `mean_weighted_sum_quantile_loss` of GluonTS (Alexandrov et al., 2020). NaN where the truth sums to 0.
    """
    size = mean_known(np.abs(truth), truth)
    return _ratio(2.0 * float(pinball_loss(truth, quantiles, levels).mean()), float(size))


def peak_loss(peak_NW: Numbers, peaks_NWQ: Numbers, levels: Sequence[float], mean_demand: float) -> Scores:
    """Pinball loss of the largest demand of the first w steps, in mean demands of the series. [W, Q]

    peak_NW: the peaks that came, as `Truth.peaks` gives them. NaN where `mean_demand` is not positive.
    """
    loss = mean_known(pinball(peak_NW, peaks_NWQ, levels), peak_NW, axis=0)
    return loss / mean_demand if mean_demand > 0 else np.full_like(loss, np.nan)


def coverage(truth: Numbers, quantiles: Numbers, axis: int | tuple[int, ...] | None = None) -> Scores:
    """Share of truths at or below each quantile, over `axis`: all [Q], or the windows alone (0): per lead [H, Q]."""
    below = np.where(np.isnan(quantiles), np.nan, np.asarray(truth)[..., None] <= quantiles)
    return mean_known(below, truth, axis)


def median_of(quantiles: Numbers, levels: Sequence[float]) -> Scores:
    """The forecast as one number: the quantile at 0.5, interpolated if 0.5 is not a level. [...]

    Raises ModelError where the levels do not enclose 0.5.
    """
    level_Q = np.asarray(levels, np.float64)
    above = int(np.searchsorted(level_Q, 0.5))
    if above == len(level_Q) or (above == 0 and level_Q[0] != 0.5):
        raise ModelError(f"levels {tuple(levels)} must enclose 0.5: they give no median")
    upper = np.asarray(quantiles[..., above], np.float64)
    if level_Q[above] == 0.5:
        return upper
    share = (0.5 - level_Q[above - 1]) / (level_Q[above] - level_Q[above - 1])
    return np.asarray(quantiles[..., above - 1] * (1.0 - share) + upper * share)


def mae(truth: Numbers, point: Numbers) -> float:
    """Mean absolute error."""
    return float(mean_known(np.abs(_error(truth, point)), truth))


def rmse(truth: Numbers, point: Numbers) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(mean_known(_error(truth, point) ** 2, truth)))


def mape(truth: Numbers, point: Numbers) -> float:
    """Mean of |error| / |truth|, as a share. Truths of 0 are left out: there it has no meaning."""
    counted = np.where(truth == 0, np.nan, truth)
    return float(mean_known(np.abs(_error(counted, point)) / np.abs(counted), counted))


def smape(truth: Numbers, point: Numbers) -> float:
    """Mean of 2 |error| / (|truth| + |forecast|), a share between 0 and 2; 0 where both are 0."""
    size = np.abs(truth) + np.abs(point)
    return float(mean_known(2.0 * np.abs(_error(truth, point)) / np.where(size == 0, 1.0, size), truth))


def r2(truth: Numbers, point: Numbers) -> float:
    """Share of the variance of the truth that the forecast explains; NaN where the truth does not vary."""
    spread = mean_known((truth - mean_known(truth, truth)) ** 2, truth)
    return 1.0 - _ratio(float(mean_known(_error(truth, point) ** 2, truth)), float(spread))


def naive_error(history_NT: Numbers, lag: int) -> Scores:
    """Mean |difference| of the samples `lag` steps apart in each history: what MASE is measured in. [N]

    `lag` 1 is the error of the last value, a season's steps that of the seasonal naive. NaN where no pair is known.
    """
    if not 0 < lag < history_NT.shape[1]:
        raise ModelError(f"lag of {lag} steps: must be positive and below the {history_NT.shape[1]} steps of history")
    change = np.abs(_error(history_NT[:, lag:], history_NT[:, :-lag]))
    return mean_known(change, change, axis=1)


def mase(truth_NH: Numbers, point_NH: Numbers, naive_error_N: Numbers) -> float:
    """Mean absolute scaled error: each window's MAE over the `naive_error` of its history, averaged over windows.

    Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006. Windows whose history does not vary
    (or is unknown) are left out; NaN where there is no other.
    """
    mae_N = mean_known(np.abs(_error(truth_NH, point_NH)), truth_NH, axis=1)
    usable = (~np.isnan(truth_NH)).any(axis=1) & (naive_error_N > 0)
    return float((mae_N[usable] / naive_error_N[usable]).mean()) if usable.any() else float("nan")


def daily_r2(means_L: Numbers, per_day: int) -> float:
    """How strongly a series repeats each day: the R² of its mean day over `per_day` block means a day.

    The share is the adjusted one (less for few days than the fit suggests). NaN below a week of known blocks.
    """
    known = ~np.isnan(means_L)
    if known.sum() < 7 * per_day:
        return float("nan")
    place, values = np.arange(len(means_L))[known] % per_day, np.asarray(means_L, np.float64)[known]
    count = np.maximum(np.bincount(place, minlength=per_day), 1)
    day = np.bincount(place, values, minlength=per_day) / count
    plain = r2(values, day[place])
    return 1.0 - (1.0 - plain) * (len(values) - 1) / (len(values) - per_day)


def _error(truth: Numbers, point: Numbers) -> Scores:
    return np.asarray(np.asarray(truth, np.float64) - point)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")

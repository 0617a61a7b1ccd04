"""Quantiles of a rule's own errors, and predictions made from them, in numpy.

A level p of n errors is read at rank p (n + 1), as split conformal prediction does (Vovk, Gammerman, Shafer,
"Algorithmic Learning in a Random World", 2005). Axes: N windows, K leads (steps or window lengths), T past steps,
H future steps, W window lengths, Q levels.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats
from training.data.windows import Past
from training.errors import ModelError
from training.task import Prediction, Task

Values: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

RECENT_STEPS = 5
"""if none of the newest steps is known there is no forecast"""
NEIGHBOURS = 0.1
"""leads that differ by at most this share pool their errors"""
FEWEST_ERRORS = 8
"""a lead with fewer uses those of the nearest lead that has enough"""
BATCH = 2000
"""windows per batch: more cost memory and are no faster"""


def answerable(task: Task, past: Past) -> Mask:
    """Which windows have enough history, some of it recent. [N]"""
    known_NT = ~np.isnan(past.history_NT)
    enough_N = known_NT.sum(axis=1) >= task.minimum_history_steps
    return np.asarray(enough_N & known_NT[:, -RECENT_STEPS:].any(axis=1))


def batches(past: Past) -> Iterator[Past]:
    """The windows in their order, `BATCH` at a time; one empty batch where there are none."""
    positions = np.arange(len(past))
    for start in range(0, max(1, len(past)), BATCH):
        yield past.take(positions[start : start + BATCH])


def trailing_mean(values_NT: Values, steps: int) -> Values:
    """Mean of the known values of the newest `steps`; NaN without any. [N]"""
    newest = values_NT[:, -steps:]
    known = ~np.isnan(newest)
    return over(np.where(known, newest, 0.0).sum(axis=1), known.sum(axis=1))


def over(total: Values, count: Values | NDArray[np.int64]) -> Values:
    """total / count, NaN where count is 0."""
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), np.float64)


def error_quantiles(errors_NK: Values, leads: Sequence[int], levels: Sequence[float]) -> Values:
    """Quantiles of the errors of all windows at each lead and those next to it. NaN does not count. [K, Q]

    Raises ModelError if no lead has FEWEST_ERRORS errors.
    """
    leads_K = np.asarray(leads)
    rows = [_known(errors_NK[:, np.abs(leads_K - lead) <= NEIGHBOURS * lead]) for lead in leads]
    good = [k for k, errors in enumerate(rows) if len(errors) >= FEWEST_ERRORS]
    if not good:
        raise ModelError(
            f"no lead has {FEWEST_ERRORS} errors: too few windows have demand in their history and a record after it"
        )
    nearest = [min(good, key=lambda g: abs(leads_K[g] - lead)) for lead in leads]
    found = {k: np.quantile(rows[k], levels, method="weibull") for k in set(nearest)}
    return np.stack([found[k] for k in nearest])


def _known(errors: Values) -> Values:
    return np.asarray(errors[np.isfinite(errors)], np.float64)


def pinball(truth_NK: Values | Floats, quantiles_NKQ: Values | Floats, levels: Sequence[float]) -> Values:
    """Pinball loss, mean over the levels; NaN if either is. [N, K]"""
    miss = truth_NK[:, :, None] - quantiles_NKQ
    return np.asarray(np.maximum(np.asarray(levels) * miss, (np.asarray(levels) - 1) * miss).mean(axis=2))


def prediction(answerable_N: Mask, steps_NHQ: Values, peaks_NWQ: Values) -> Prediction:
    """A valid prediction: not negative, ascending, NaN without a forecast."""
    steps = np.maximum.accumulate(np.maximum(steps_NHQ, 0.0), axis=2)
    peaks = np.maximum.accumulate(np.maximum.accumulate(np.maximum(peaks_NWQ, 0.0), axis=2), axis=1)
    steps[~answerable_N], peaks[~answerable_N] = np.nan, np.nan
    return Prediction(steps.astype(np.float32), peaks.astype(np.float32))


def joined(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of consecutive windows as one."""
    return Prediction(
        np.concatenate([part.quantiles_NHQ for part in parts]), np.concatenate([part.peaks_NWQ for part in parts])
    )

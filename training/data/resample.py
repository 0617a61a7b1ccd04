"""Series on one step: finer ones are averaged, coarser ones are refused."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from training.data.load import Loaded, Refused, Series

LEAST_KNOWN = 0.5
"""share of a bin that must be known"""


def usual_step(series: Iterable[Series]) -> int:
    """The step, in seconds, that most of the series have; the finer of two."""
    steps = [one.step_seconds for one in series]
    return min(set(steps), key=lambda step: (-steps.count(step), step))


def on_step(loaded: Loaded, step_seconds: int) -> Loaded:
    """All series on the step; those that cannot be resampled join the refused."""
    found = [_on_step(one, step_seconds) for one in loaded.series]
    refused = tuple(one for one in found if isinstance(one, Refused))
    return Loaded(tuple(one for one in found if isinstance(one, Series)), loaded.refused + refused)


def _on_step(series: Series, step_seconds: int) -> Series | Refused:
    if series.step_seconds == step_seconds:
        return series
    if series.step_seconds > step_seconds:
        rule = f"its step of {series.step_seconds} s is coarser than {step_seconds} s: values in between are unknown"
        return Refused(series.system, series.name, rule)
    if step_seconds % series.step_seconds:
        rule = f"{step_seconds} s is not a multiple of its step of {series.step_seconds} s"
        return Refused(series.system, series.name, rule)
    return _averaged(series, step_seconds)


def _averaged(series: Series, step_seconds: int) -> Series | Refused:
    """Means over bins aligned to the clock, NaN if less than half is known."""
    per = step_seconds // series.step_seconds
    start = np.ceil(series.start / step_seconds) * step_seconds
    skipped = round((start - series.start) / series.step_seconds)
    count = max(0, (len(series.values) - skipped) // per)
    if not count:
        return Refused(series.system, series.name, f"does not cover one step of {step_seconds} s")
    bins = series.values[skipped : skipped + count * per].reshape(count, per)
    known = ~np.isnan(bins)
    total, share = np.where(known, bins, 0).sum(axis=1), known.sum(axis=1)
    means = np.where(share >= per * LEAST_KNOWN, total / np.maximum(share, 1), np.nan)
    return replace(series, start=float(start), step_seconds=step_seconds, values=means.astype(np.float32))

"""The columns of a time line: demand, plans and forecast at the same moments. Pure.

Axes: M minutes from the first to the last that is known; B points that are shown of them; P plans; Q quantile levels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaler.past_plans import RENEWED_SECONDS, PastPlan
from scaler.series import Floats, Forecast
from scaler.status.records import Record

MOST_POINTS = 1500
"""of a line: beyond, the largest values of some minutes stand for them"""


def minutes(since: float, count: int) -> Any:
    """The first full minutes at or after `since` [M], in seconds since the epoch."""
    return 60.0 * (math.ceil(since / 60) + np.arange(count))


def columns(time_M: Any, lines: Mapping[str, Any], forecast: Forecast | None) -> Record:
    """Times, and a value or null for each in every other column. lines: by name, a value for each minute [M]."""
    width = max(1, math.ceil(len(time_M) / MOST_POINTS))
    starts_B = np.arange(0, len(time_M), width)
    time_B = time_M[np.minimum(starts_B + width - 1, len(time_M) - 1)]
    ahead = (
        np.empty(0)
        if forecast is None
        else forecast.start + forecast.step_seconds * (1 + np.arange(len(forecast.quantiles_HQ)))
    )
    later = ahead > (time_B[-1] if len(time_B) else 0)
    nothing, before = np.full(int(later.sum()), np.nan), np.full(len(time_B), np.nan)
    found: dict[str, Any] = {"times": np.concatenate([time_B, ahead[later]]).tolist(), "quantiles": {}}
    for name, value_M in lines.items():
        value_B = np.asarray(value_M, np.float64)
        if width > 1:
            value_B = np.fmax.reduceat(value_B, starts_B)
        found[name] = _numbers(np.concatenate([value_B, nothing]))
    if forecast is not None:
        for place, level in enumerate(forecast.levels):
            values = np.concatenate([before, forecast.quantiles_HQ[later, place]])
            found["quantiles"][f"{level:g}"] = _numbers(values)
    return found


def stepped(plans: Sequence[PastPlan], time_M: Any, name: str) -> Floats:
    """What counted at each minute: the newest plan before it, for an hour at most."""
    known = [(plan.at, value) for plan in plans if (value := getattr(plan, name)) is not None]
    if not known:
        return np.full(len(time_M), np.nan, np.float32)
    at_P, value_P = np.array(known, np.float64).T
    place_M = np.searchsorted(at_P, time_M, side="right") - 1
    found = np.where(place_M >= 0, value_P[np.maximum(place_M, 0)], np.nan)
    return np.where(time_M - at_P[np.maximum(place_M, 0)] <= RENEWED_SECONDS + 60, found, np.nan)


def _numbers(values: Any) -> list[float | None]:
    """For JSON: six digits that count, and None where a value is not known."""
    return [None if not math.isfinite(value) else float(f"{value:.6g}") for value in values.tolist()]

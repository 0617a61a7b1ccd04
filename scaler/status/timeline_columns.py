"""The columns of a time line: demand, plans and forecast at the same moments. Pure.

Axes: M minutes from the first to the last that is known; B points that are shown of them; P plans; Q quantile levels.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scaler.past_plans import PastPlan
from scaler.series import Floats, Forecast
from scaler.status.records import Record

MOST_POINTS = 1500
"""of a line: beyond, the largest demand of some minutes stands for them"""


def columns(observed_M: Floats, plans: Sequence[PastPlan], forecast: Forecast | None, since: float) -> Record:
    """Times, and a value or null for each in every other column."""
    width = max(1, math.ceil(len(observed_M) / MOST_POINTS))
    time_M = 60.0 * (math.ceil(since / 60) + np.arange(len(observed_M)))
    time_B, observed_B = _thinned(time_M, observed_M, width)
    ahead = (
        np.empty(0)
        if forecast is None
        else forecast.start + forecast.step_seconds * (1 + np.arange(len(forecast.quantiles_HQ)))
    )
    later = ahead > (time_B[-1] if len(time_B) else 0)
    times = np.concatenate([time_B, ahead[later]])
    nothing, before = np.full(int(later.sum()), np.nan), np.full(len(time_B), np.nan)
    found: dict[str, Any] = {
        "times": times.tolist(),
        "observed": _numbers(np.concatenate([observed_B, nothing])),
        "planned": _numbers(np.concatenate([_stepped(plans, time_B, "planned"), nothing])),
        "metric": _numbers(np.concatenate([_stepped(plans, time_B, "metric"), nothing])),
        "quantiles": {},
    }
    if forecast is not None:
        for place, level in enumerate(forecast.levels):
            values = np.concatenate([before, forecast.quantiles_HQ[later, place]])
            found["quantiles"][f"{level:g}"] = _numbers(values)
    return found


def _thinned(time_M: Any, value_M: Floats, width: int) -> tuple[Any, Any]:
    """Of every `width` minutes the last moment and the largest value."""
    if width == 1:
        return time_M, value_M.astype(np.float64)
    starts = np.arange(0, len(value_M), width)
    largest = np.fmax.reduceat(value_M.astype(np.float64), starts)
    return time_M[np.minimum(starts + width - 1, len(time_M) - 1)], largest


def _stepped(plans: Sequence[PastPlan], time_B: Any, name: str) -> Any:
    """What counted at each moment: the newest plan before it, for an hour at most."""
    known = [(plan.at, value) for plan in plans if (value := getattr(plan, name)) is not None]
    if not known:
        return np.full(len(time_B), np.nan)
    at_P, value_P = np.array(known, np.float64).T
    place_B = np.searchsorted(at_P, time_B, side="right") - 1
    found = np.where(place_B >= 0, value_P[np.maximum(place_B, 0)], np.nan)
    return np.where(time_B - at_P[np.maximum(place_B, 0)] <= 3600 + 60, found, np.nan)


def _numbers(values: Any) -> list[float | None]:
    return [None if not math.isfinite(value) else float(f"{value:.6g}") for value in values.tolist()]

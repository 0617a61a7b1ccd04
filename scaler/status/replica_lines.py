"""The replicas that follow from a line of demand: the HPA's own arithmetic, a few minutes at a time.

What an HPA runs now depends on all that it has read before: within its tolerance it stays where it is. So that a minute
has the same replicas in every window that is shown, an HPA is followed anew for each STRETCH_SECONDS of the clock, from
WARM_UP_SECONDS before. Its first value then lies outside the stabilisation window, and where demand has moved by more
than the tolerance since, nothing is left of where it began.

Axes: M minutes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scaler.plan.counterfactual import HPA
from scaler.plan.hpa_estimate import HpaEstimate, estimate_replicas
from scaler.status.exposition import Turn

STRETCH_SECONDS, WARM_UP_SECONDS = 6 * 3600.0, 3600.0
MINUTES_AT_A_TIME = 15
"""followed before the event loop may answer KEDA: about half a millisecond's work"""


def followed_from(since: float) -> float:
    """From when a line must be known, so that its replicas from `since` on are those of every other window."""
    return since // STRETCH_SECONDS * STRETCH_SECONDS - WARM_UP_SECONDS


async def followed_replicas(time_M: Any, metric_M: Any, threshold: float, turn: Turn) -> list[int | None]:
    """What an HPA without limits runs at each minute, if it reads this metric; None where the metric is NaN."""
    found: list[int | None] = []
    while len(found) < len(time_M):
        begin = time_M[len(found)] // STRETCH_SECONDS * STRETCH_SECONDS
        first, end = np.searchsorted(time_M, (begin - WARM_UP_SECONDS, begin + STRETCH_SECONDS))
        metric = [value if math.isfinite(value) else None for value in metric_M[first:end].tolist()]
        followed = await _followed(time_M[first:end].tolist(), metric, threshold, turn)
        found += followed[len(found) - first :]
    return found


async def _followed(
    times: Sequence[float], metric: Sequence[float | None], threshold: float, turn: Turn
) -> list[int | None]:
    """The same of one HPA, from the first of these minutes on."""
    estimate: HpaEstimate | None = None
    found: list[int | None] = []
    for position, (at, value) in enumerate(zip(times, metric, strict=True)):
        if position % MINUTES_AT_A_TIME == 0:
            await turn()
        estimate = estimate_replicas(estimate, value, threshold, at, HPA)
        found.append(None if value is None or estimate is None else estimate.replicas)
    return found

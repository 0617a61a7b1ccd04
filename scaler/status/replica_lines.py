"""The replicas that follow from a line of demand: the HPA's own arithmetic, a few points at a time.

Axes: B points of a time line.
"""

from collections.abc import Sequence

from scaler.plan.counterfactual import HPA
from scaler.plan.hpa_estimate import HpaEstimate, estimate_replicas
from scaler.status.exposition import Turn

POINTS_AT_A_TIME = 15
"""followed before the event loop may answer KEDA: about half a millisecond's work"""


async def followed_replicas(
    times: Sequence[float], metric: Sequence[float | None], threshold: float, turn: Turn
) -> list[int | None]:
    """What an HPA without limits runs at each point [B], if it reads this metric; None before the first value is known,
    and where none is known."""
    estimate: HpaEstimate | None = None
    found: list[int | None] = []
    for position, (at, value) in enumerate(zip(times, metric, strict=True)):
        if position % POINTS_AT_A_TIME == 0:
            await turn()
        estimate = estimate_replicas(estimate, value, threshold, at, HPA)
        found.append(None if value is None or estimate is None else estimate.replicas)
    return found

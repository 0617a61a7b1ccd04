"""How many replicas a workload has by now, if its HPA followed our answers. Pure.

KEDA does not pass the number to a scaler, but the HPA's arithmetic is known. Where the estimate is wrong (another
trigger, a limit, a person who scaled the Deployment), the first answer beyond the HPA's tolerance puts both at the
same number again.

Three HPAs are followed. At syncs of exactly 15 s, the stabilisation window of five minutes holds 21 recommendations.
The syncs of a real HPA are a little further apart, and it holds 20. Once a peak leaves the window, one of the two has
released its replicas a sync before the other. The third has no window, as an HPA may with `behavior`: it has what the
newest answers ask for. Nobody knows which one is right; a plan is lifted over each.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import starmap
from typing import NamedTuple

from scaler.plan.hpa import (
    MOST_REPLICAS,
    SYNC_SECONDS,
    Hpa,
    HpaState,
    Stamped,
    average_value,
    is_settled,
    milli,
    sync,
)
from scaler.plan.rule import News, Remembered

UNLIMITED = Hpa(min_replicas=1, max_replicas=MOST_REPLICAS)
WINDOW_SYNCS: Mapping[str, int] = {"replicas": 21, "replicas_20_syncs": 20, "replicas_1_sync": 1}
"""recommendations in the stabilisation window of each HPA that is followed, by the name of its estimate"""
MOST_SYNCS = 40
"""after ten minutes of the same answer the HPA has done with it all that it will ever do"""


class HpaEstimate(NamedTuple):
    """The HPA as it must be at the moment `at`."""

    at: float
    replicas: int
    state: HpaState = HpaState()


def estimate_replicas(
    before: HpaEstimate | None, metric: float | None, threshold: float, now: float, hpa: Hpa = UNLIMITED
) -> HpaEstimate | None:
    """The HPA at `now`, having read `metric` at every sync since `before`; None while nothing is known of it.

    metric None: it was answered with an error, and changed nothing.
    """
    read = None if metric is None else (milli(metric), milli(threshold))
    if before is None:
        return None if read is None else HpaEstimate(now, max(1, average_value(*read, 0, hpa)))
    if now < before.at:
        return before
    syncs = min(MOST_SYNCS, max(1, math.floor((now - before.at) / SYNC_SECONDS + 0.5)))
    replicas, state = before.replicas, before.state
    for later in range(syncs - 1, -1, -1):
        proposal = None if read is None else average_value(*read, replicas, hpa)
        if proposal == replicas and is_settled(hpa, state, replicas):  # all later syncs find the same
            return HpaEstimate(now, replicas, HpaState((Stamped(now, replicas),), state.ups, state.downs))
        result = sync(hpa, state, replicas, [proposal], now - SYNC_SECONDS * later)
        replicas, state = result.replicas, result.state
    return HpaEstimate(now, replicas, state)


def _observe(hpa: Hpa, before: HpaEstimate | None, news: News) -> HpaEstimate | None:
    """At most once per sync: the HPA has read what was answered since the last one."""
    if before is not None and news.now - before.at < 0.5 * SYNC_SECONDS:
        return before
    return estimate_replicas(before, news.answered, news.trigger.threshold, news.now, hpa)


def holding(syncs: int) -> Hpa:
    """An HPA whose stabilisation window holds so many recommendations, even if refreshes are a few seconds off."""
    return replace(UNLIMITED, downscale_stabilization_seconds=(syncs - 0.5) * SYNC_SECONDS)


def _followed(name: str, syncs: int) -> Remembered[HpaEstimate | None]:
    return Remembered(
        name=name,
        start=None,
        observe=partial(_observe, holding(syncs)),
        conclude=lambda estimate: None if estimate is None else estimate.replicas,
        resume=lambda replicas, at: HpaEstimate(at, int(replicas)),
        or_from=next(iter(WINDOW_SYNCS)),
    )


HPA_ESTIMATES: tuple[Remembered[HpaEstimate | None], ...] = tuple(starmap(_followed, WINDOW_SYNCS.items()))
"""how many replicas the workload has, if its HPA followed our answers: one for each of `WINDOW_SYNCS`"""


def estimates_in(remembered: Mapping[str, float]) -> list[int]:
    """The numbers of replicas that the workload may have, ascending; empty while nothing is known."""
    return sorted({int(remembered[name]) for name in WINDOW_SYNCS if name in remembered})

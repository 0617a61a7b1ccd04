"""What bounds a plan: the policy's step limits, what is absurd, and the HPA's dead band."""

from scaler.plan.fallback import Situation
from scaler.plan.hpa_estimate import estimates_in
from scaler.trigger import LARGEST_DEMAND

MATTERS = 1.03
"""times the replicas there are: a smaller lack is left alone, lifting it would only add scale events …"""
MATTERS_REPLICAS = 3.0
"""… but a lack of this many replicas, which is less in a large fleet, never is"""
BEYOND = 1.101
"""times the replicas there are: just more than the HPA tolerates …"""
ONE_MILLI = 0.001
"""… also where KEDA rounds it"""


def step(situation: Situation, value: float) -> tuple[float, str] | None:
    """At most the policy's step over the observed demand, or the largest demand on record where that is more.

    What has been there can be there again: a batch of ten times the demand before it is no broken forecast.
    """
    if situation.observed is None or situation.last is None:
        return None
    policy = situation.policy
    furthest = policy.step_factor * situation.observed + policy.step_replicas * situation.trigger.threshold
    record = max(situation.last.history_peak, situation.last.recent_peak)
    limit = max(furthest, min(record, LARGEST_DEMAND))
    if not value > limit:
        return None
    if limit > furthest:
        return limit, f"the largest demand on record, {record:.4g}"
    return limit, (
        f"the {policy.name} policy allows {policy.step_factor:g} × the observed {situation.observed:.4g} "
        f"and {policy.step_replicas:g} replicas more"
    )


def absurd(situation: Situation, value: float) -> tuple[float, str] | None:
    """At most a multiple of the largest demand ever observed, and never more than KEDA and the HPA can represent."""
    last, factor = situation.last, situation.policy.absurd_factor
    if last is not None and 0 < last.history_peak < LARGEST_DEMAND / factor:
        limit = max(factor * last.history_peak, situation.trigger.threshold, situation.observed or 0.0)
        if not value > limit:
            return None
        return (
            limit,
            f"more than {factor:g} × the largest demand ever observed, {last.history_peak:.4g}, is not believed",
        )
    return (LARGEST_DEMAND, "larger numbers overflow the HPA's arithmetic") if value > LARGEST_DEMAND else None


def dead_band(situation: Situation, value: float) -> tuple[float, str] | None:
    """Just beyond the HPA's tolerance, where more replicas are wanted than there are; upwards only.

    From 3 % or three replicas more on, whichever is less.

    The HPA leaves a workload of r replicas alone until the value exceeds 1.1 × r × threshold, so a growth of up to a
    tenth is answered with nothing. How many replicas there are is estimated from our answers (hpa_estimate.py), with
    up to three results: the plan is lifted over each of them, and the largest value counts.

        | wanted, in replicas, of 20 there are | 19 | 20.5 | 20.7 | 22    | 22.1 |
        | answered with                        | 19 | 20.5 | 22.02 | 22.02 | 22.1 |
    """
    if situation.forecast is None:
        return None
    for replicas in reversed(estimates_in(situation.remembered)):
        there = replicas * situation.trigger.threshold
        lifted = BEYOND * there + ONE_MILLI
        matters = min(MATTERS * there, there + MATTERS_REPLICAS * situation.trigger.threshold)
        if matters < value < lifted < LARGEST_DEMAND:
            return lifted, f"lifted over the tolerance of the HPA: up to 10 % more, it leaves {replicas} replicas alone"
    return None

"""Capacity that the forecast needs again soon is kept: fewer scale events at no cost in service."""

import math

from scaler.plan.demand import largest_quantile
from scaler.plan.fallback import Situation
from scaler.plan.hpa_estimate import estimates_in
from scaler.series import RECENT_SECONDS


def hold(situation: Situation, value: float) -> tuple[float, str] | None:
    """At least what the forecast needs within the policy's hold window, at the policy's lower quantile.

    Never more than the recent peak of demand, nor than the replicas there are carry: holding keeps what is there, and
    orders nothing.
    """
    forecast, last = situation.forecast, situation.last
    if forecast is None or last is None or abs(situation.now - last.at) > RECENT_SECONDS:
        return None
    if not value < last.recent_peak:
        return None
    policy = situation.policy
    level = min(policy.hold_quantile, situation.trigger.quantile)
    again = largest_quantile(forecast, level, situation.now, situation.now + policy.hold_seconds)
    replicas = min(estimates_in(situation.remembered), default=math.inf)
    held = min(again, last.recent_peak, replicas * situation.trigger.threshold)
    if not held > value:
        return None
    return held, f"{held:.4g} is kept: needed again within {policy.hold_seconds:.0f} s (p{100 * level:g})"

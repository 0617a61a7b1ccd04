"""Capacity that the forecast needs again soon is kept: fewer scale events at no cost in service."""

import math

from scaler.plan.demand import largest_quantile
from scaler.plan.fallback import KNOWN_SHARE, Situation
from scaler.plan.hpa_estimate import estimates_in
from scaler.series import RECENT_SECONDS, Forecast
from scaler.words.wording import span

RELEASE_SECONDS = 300.0
"""the HPA's stabilisation window: what is released before leaves after it"""


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
    seconds = _hold_seconds(situation, forecast)
    again = largest_quantile(forecast, level, situation.now, situation.now + seconds)
    replicas = min(estimates_in(situation.remembered), default=math.inf)
    held = min(again, last.recent_peak, replicas * situation.trigger.threshold)
    if not held > value:
        return None
    return held, f"{held:.4g} is kept: needed again within {span(seconds)} (p{100 * level:g})"


def _hold_seconds(situation: Situation, forecast: Forecast) -> float:
    """The policy's; where past days know demand, no longer than it takes to release replicas and to start new ones."""
    policy = situation.policy
    if policy.holds_known or forecast.past_share < KNOWN_SHARE:
        return policy.hold_seconds
    return min(policy.hold_seconds, RELEASE_SECONDS + situation.trigger.lead_time_seconds)

"""One order for all of the next minutes, where past days know them: each further one would be a scale event. Pure."""

import math
from typing import NamedTuple

from scaler.plan.calibration import calibrated
from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import KNOWN_SHARE, Situation
from scaler.plan.hpa_estimate import estimates_in
from scaler.plan.limits import MATTERS
from scaler.plan.rule import News, Remembered
from scaler.words.wording import span

RESERVE = 1.03
"""times the peak: what is ordered, so that a little more noise orders nothing"""
COMING = 1.1
"""times the observed demand, from which on more is still to come"""
LATELY_SECONDS = 60.0
"""how long an answer is remembered, or two refresh intervals where these take longer"""


class Answered(NamedTuple):
    """The largest answer of late, and when it was last given."""

    at: float
    value: float


def _observe(before: Answered | None, news: News) -> Answered | None:
    """The answer since the last time, unless a larger one was given lately."""
    if news.answered is None:
        return before
    is_over = before is None or news.now - before.at > max(LATELY_SECONDS, 2 * news.refresh_seconds)
    if before is None or is_over or news.answered >= before.value:
        return Answered(news.now, news.answered)
    return before


ANSWERED: Remembered[Answered | None] = Remembered(
    name="answered",
    start=None,
    observe=_observe,
    conclude=lambda answered: None if answered is None else answered.value,
    resume=lambda value, at: Answered(at, value),
)
"""the largest answer of late"""


def order(situation: Situation, value: float) -> tuple[float, str] | None:
    """Where replicas must be ordered by now: as many as the peak over the policy's whole window needs, and 3 % more.

    A forecast that past days make up is sharp, so the window of `need` ends soon after the lead time: it says when to
    order. What to order is the peak over the window of the policy. So demand that rises for some minutes is ordered
    once, and not in a step each minute. The answer stays the same until that demand is there.

        | replicas x threshold there are | need | peak over the window of the policy | answered with |
        | 100                            | 102  | 200                                | 102           |
        | 100                            | 110  | 200                                | 206           |
        | 200                            | 110  | 200                                | 110           |
        | 200, 206 was answered lately   | 110  | 200, 95 is observed                | 206           |
    """
    forecast, replicas = situation.forecast, min(estimates_in(situation.remembered), default=None)
    if forecast is None or replicas is None or forecast.past_share < KNOWN_SHARE:
        return None
    peak = peak_quantile(forecast, situation.trigger.quantile, situation.now, situation.order_end)
    if not peak < math.inf:  # NaN or infinite, beyond the window of `need`
        return None
    wanted = RESERVE * max(calibrated(situation, peak), value)
    seconds = situation.order_end - situation.now
    if value > MATTERS * replicas * situation.trigger.threshold:
        return wanted, f"replicas for the next {span(seconds)} are ordered in one step, with 3 % in reserve"
    kept = min(wanted, situation.remembered.get(ANSWERED.name, 0.0))
    if situation.observed is None or not value > COMING * situation.observed or not kept > value:
        return None
    return kept, "what was ordered in the last minutes is kept: its demand is still to come"

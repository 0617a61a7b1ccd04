"""A source that has just returned shows too little: nothing scales down on that. Pure.

After an outage, `rate(…[5m])` averages over a window that is not full yet, and targets come back one after the other.
So for five minutes after demand is observed again, a plan stays at what was observed last before.
"""

import math
from typing import NamedTuple

from scaler.plan.fallback import Situation
from scaler.plan.hpa_estimate import estimates_in
from scaler.plan.rule import News, Remembered
from scaler.trigger import Mode

AWAY_SECONDS = 60.0
"""without an observation for longer, or for four refreshes, a source was away"""
FORGOTTEN_SECONDS = 3600.0
"""what was observed earlier says nothing about now"""
FILLS_SECONDS = 300.0
"""after which the windows of usual queries are full"""


class Returning(NamedTuple):
    """What is remembered of a trigger: its newest observation, and, after an outage, the one before that."""

    at: float = -math.inf
    value: float = 0.0
    since: float = -math.inf
    """when demand was observed again"""
    before: float = 0.0
    """what was observed last before; 0 where no source has returned of late"""


def watch(state: Returning, news: News) -> Returning:
    """`state`, with the newest observation."""
    seen = news.observation
    if state.before and news.now > state.since + FILLS_SECONDS:
        state = state._replace(before=0.0)
    if seen is None or seen.at <= state.at or not 0 <= seen.value < math.inf:
        return state
    away = seen.at - state.at
    if max(AWAY_SECONDS, 4 * news.refresh_seconds) < away <= FORGOTTEN_SECONDS:
        return Returning(seen.at, seen.value, seen.at, max(state.before, state.value))
    return state._replace(at=seen.at, value=seen.value)


RETURNING: Remembered[Returning] = Remembered(
    name="returning",
    start=Returning(),
    observe=watch,
    conclude=lambda state: state.before or None,
    reads_answers=False,
)
"""what was observed before the source was away, for some minutes after it has returned"""


def returning(situation: Situation, value: float) -> tuple[float, str] | None:
    """The rule: no less than before the source was away, nor more than the replicas there are carry.

    In mode reactive, the answer is the observation.
    """
    before = situation.remembered.get(RETURNING.name, 0.0)
    replicas = min(estimates_in(situation.remembered), default=math.inf)
    kept = min(before, replicas * situation.trigger.threshold)
    if situation.trigger.mode is Mode.REACTIVE or situation.observed is None or not kept > value:
        return None
    return (
        kept,
        f"{kept:.4g} is kept: the source was away, {before:.4g} was observed before, and it may show too little",
    )

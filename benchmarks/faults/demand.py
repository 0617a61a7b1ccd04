"""The bystander's demand: a staircase that a query computes from the time alone, so that the truth is always known."""

import math

STEP_SECONDS = 10
STAIRS = 12
PERIOD_SECONDS = 127
"""no divisor of ten minutes or an hour, so that the demand of another time is another demand"""
LOWEST = 1000.0
RISE = 100.0
FRESH_SECONDS = 15.0
"""maxStaleness of the bystander's triggers, and how often an HPA reads a reactive one"""
TICK_SECONDS = 7.5
"""A plan is judged at the tick of its refresh, and counts for one and a half intervals of 5 s: an observation that was
fresh at the tick counts for so much longer."""
PROMQL = f"{LOWEST:g} + {RISE:g} * floor(vector(time() % {PERIOD_SECONDS}) / {STEP_SECONDS})"


def demand(moment: float) -> float:
    """What the query returns at `moment`."""
    return LOWEST + RISE * math.floor((moment % PERIOD_SECONDS) / STEP_SECONDS)


def least(start: float, end: float) -> float:
    """The lowest demand within a span of time."""
    first = math.floor(start / 0.5)
    moments = (start, end, *(0.5 * i for i in range(first + 1, math.floor(end / 0.5) + 1)))
    return min(map(demand, moments))


def reactive_need(asked: float, answered: float, ahead: float = 0.0) -> float:
    """The least that a reactive trigger can have read for an answer of this moment.

    ahead: also count observations up to so many seconds later, as after a clock was set back.
    """
    return least(asked - FRESH_SECONDS - TICK_SECONDS - 0.5, answered + ahead)

"""Which triggers a tick forecasts when there is no time to forecast all of them. Pure.

The choice is made once per tick for all servers together, from what is known when the tick begins. So the servers
share one budget, and a slow server delays no choice.
"""

from collections.abc import Iterable
from typing import NamedTuple

SHARE = 0.5
"""share of the refresh interval that forecasting may take"""

LEAST = 64
"""forecasts that every tick makes, however slow they are; also the fewest that their pace is measured on"""


class Candidate(NamedTuple):
    """A trigger that wants a forecast."""

    key: str
    expects_growth: bool
    """whether its plan needs more than the demand now"""
    forecast_at: float
    """when its last forecast was made, in seconds since the epoch; 0 without one"""


class Selection(NamedTuple):
    """keys: whom to forecast now. deferred: how many candidates wait for a later tick."""

    keys: frozenset[str]
    deferred: int


def select(candidates: Iterable[Candidate], interval_seconds: float, seconds_per_forecast: float) -> Selection:
    """All candidates where that takes at most half the interval; else as many of the most urgent as fit.

    Most urgent are those that expect growth; among equals, those with the oldest forecast. seconds_per_forecast: 0
    while it is not known.

        | interval 15 s, candidates 600: seconds a forecast takes | 0   | 0.0125 | 0.05 | 1  |
        | forecast now                                            | 600 | 600    | 150  | 64 |
    """
    by_urgency = sorted(candidates, key=lambda one: (not one.expects_growth, one.forecast_at))
    room = len(by_urgency)
    if seconds_per_forecast > 0:
        room = max(LEAST, int(SHARE * interval_seconds / seconds_per_forecast))
    return Selection(frozenset(one.key for one in by_urgency[:room]), max(0, len(by_urgency) - room))

"""Windows of demand that a forecast spoke about, watched until they are over. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scaler.plan.fallback import window_of
from scaler.plan.rule import News
from scaler.series import Observation

BETWEEN_SECONDS = 60.0
"""a window is noted at this interval …"""
MOST_NOTED = 8
"""… or a longer one, where as many windows would not cover the time until the first is over"""
FIRST_SEEN_SECONDS, LAST_SEEN_SECONDS = 75.0, 15.0
"""what is observed from 75 s after a window begins until 15 s after it ends shows demand of that window alone"""
NEGLIGIBLE = 0.1
"""share of the largest demand on record, below which a forecast is not judged; nor is one of less than a replica"""


class Noted(NamedTuple):
    """A window, the quantile that was forecast for it, and the largest demand observed of it so far, if any."""

    begins: float
    ends: float
    peak: float
    newest: float
    """the newest observation when it began"""
    observed: float | None = None


def sorted_out(noted: Sequence[Noted], news: News) -> tuple[list[Noted], list[Noted]]:
    """(windows that are over and in which demand was observed, windows that go on), with the newest observation."""
    over, left = [], []
    for one in noted:
        seen = _with(one, news.observation)
        if seen.ends > news.now:
            left.append(seen)
        elif seen.observed is not None:
            over.append(seen)
    return over, left


def due_end(left: Sequence[Noted], news: News) -> float | None:
    """When the window that begins now ends; None without forecast or observation, and where another began just now."""
    if news.forecast is None or news.observation is None:
        return None
    ends = window_of(news.trigger, news.now, news.refresh_seconds, news.forecast)
    between = max(BETWEEN_SECONDS, (ends + LAST_SEEN_SECONDS - news.now) / MOST_NOTED)
    return ends if not left or news.now >= left[-1].begins + between else None


def worth_noting(news: News, ends: float, peak: float) -> Noted | None:
    """The window from now on, if its peak is one to judge by: what is exceeded at night says nothing about the day."""
    assert news.observation is not None
    least = max(NEGLIGIBLE * news.observation.history_peak, news.trigger.threshold)
    return noted_now(news, ends, peak) if least <= peak < math.inf else None


def noted_now(news: News, ends: float, peak: float) -> Noted:
    """The window from now on; something was observed."""
    assert news.observation is not None
    return Noted(news.now, ends + LAST_SEEN_SECONDS, peak, news.observation.value)


def _with(noted: Noted, observation: Observation | None) -> Noted:
    """The window, with an observation of demand in it."""
    if observation is None or not noted.begins + FIRST_SEEN_SECONDS < observation.at <= noted.ends:
        return noted
    value, seen = observation.value, noted.observed
    if not 0 <= value < math.inf or (seen is not None and seen >= value):
        return noted
    return noted._replace(observed=value)

"""Scores as they are kept: the sums of one trigger and lead over an hour or a day, and who asks for them. Pure.

What the sums are is said where they are made, in scaler/scoring/losses.py; here they have the names of columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

HOUR_SECONDS = 3600
DAY_HOURS = 24

LEADS = ("2 min", "5 min", "15 min", "60 min", "peak")
"""of what is scored, as rows name them: minutes ahead, and the largest demand that plans look at"""
SUMS = (
    "forecasts",
    "pinball",
    "pinball_of_newest",
    "pinball_beside_season",
    "pinball_of_season",
    "absolute_error",
    "error",
    "squared_error",
    "relative_error",
    "relative_forecasts",
    "symmetric_error",
    "own_pinball",
    "own_pinball_of_newest",
    "held",
    "within_p10",
    "within_p50",
    "within_p90",
    "within_p95",
    "within_p99",
)
"""in the order of `scaler.scoring.losses.Figure`, and of its levels after it"""


class Owner(NamedTuple):
    """Whose scores they are. trigger: the hash of its metadata."""

    namespace: str
    name: str
    trigger: str


@dataclass(frozen=True, slots=True)
class ScoredHour:
    """What one process has scored of one trigger and lead within an hour, or a part of it."""

    owner: Owner
    lead: str
    """`2 min`, …, or `peak`"""
    quantile: float
    """the trigger's own"""
    hour: int
    """hours since the epoch"""
    part: str
    """distinguishes records of the same hour: another process, or the same one after an interruption"""
    minutes: int
    """of the hour, in which its forecasts were looked at"""
    sums: tuple[float, ...]
    """in the order of `SUMS`"""


@dataclass(frozen=True, slots=True)
class ScoredDay:
    """The sums of a day of UTC, as the store has added them up."""

    trigger: str
    quantile: float
    day: int
    """days since the epoch"""
    minutes: float
    sums: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoresAsked:
    """Which days of one ScaledObject somebody wants to read."""

    namespace: str
    name: str
    lead: str
    hours: tuple[int, int]
    """[first, last), since the epoch"""


@dataclass(frozen=True, slots=True)
class TotalsAsked:
    """Of which days of one ScaledObject somebody wants the sums, of each lead."""

    namespace: str
    name: str
    hours: tuple[int, int]
    """[first, last), since the epoch"""


@dataclass(frozen=True, slots=True)
class ScoredTotal:
    """The sums of one trigger and lead over the days that were asked for, as the store has added them up."""

    trigger: str
    lead: str
    quantile: float
    sums: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WeekAsked:
    """Whose last days somebody wants to read, in which those that are long ago fade.

    Of the hour `until`, what the process `but_not_of` has scored is left out, and all that is later.
    """

    owner: Owner
    until: int
    """hours since the epoch"""
    but_not_of: str = ""
    """a process: what its parts begin with; empty for none"""


Weeks: TypeAlias = Mapping[Owner, Mapping[str, tuple[float, ...]]]
"""sums by owner and lead, of each of which there are some"""

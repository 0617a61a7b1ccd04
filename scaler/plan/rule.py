"""What a rule of the planner is: a change of the value, and for some rules something that it remembers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from scaler.plan.fallback import Situation
from scaler.series import Forecast, Observation
from scaler.trigger import Trigger

S = TypeVar("S")


class News(NamedTuple):
    """What has happened to a trigger since the last time its memory was updated."""

    trigger: Trigger
    now: float
    """seconds since the epoch"""
    observation: Observation | None
    """the newest one, however old"""
    forecast: Forecast | None
    """the newest one, however old"""
    answered: float | None
    """the planned value that has been the answer since then; None where there was none"""
    refresh_seconds: float


@dataclass(frozen=True, slots=True)
class Remembered(Generic[S]):
    """What a rule remembers of a trigger from one refresh to the next. All functions are pure.

    name: the key of its conclusion in `Outlook.remembered`. start: the state when nothing is known yet.
    or_from: the name of a conclusion to resume from where its own is missing, as in an outlook of an older version.
    observe: the state after the news. conclude: what the rule reads, and what other replicas receive; None while there
    is nothing to say. resume: the state of a replica that takes over, from a conclusion and its moment.
    """

    name: str
    start: S
    observe: Callable[[S, News], S]
    conclude: Callable[[S], float | None]
    resume: Callable[[float, float], S] | None = None
    or_from: str = ""
    reads_answers: bool = True
    """whether the state depends on `News.answered`. A replay observes what does not at every refresh, once for all
    triggers of one query, lead time, policy and quantile; what does, whenever the answer may change."""
    lasts: bool = False
    """whether the conclusion counts for days, so that it is worth storing"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One step of the plan. apply: (situation, value so far) → the new value and why; None to leave it alone."""

    name: str
    apply: Callable[[Situation, float], tuple[float, str] | None]
    remembers: tuple[Remembered[Any], ...] = ()

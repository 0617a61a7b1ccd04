"""The plan: a fold over a visible list of small rules. Pure: no clock, no I/O, no logging."""

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """Where on the fallback ladder a plan stands."""

    BOTH = "forecast_and_observation"
    FORECAST = "forecast_alone"
    OBSERVATION = "observation_alone"
    NOTHING = "nothing"


SHADOW = "shadow"
"""rule of the reason in which a plan says that the observation is answered in its place"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule did (or did not) change the value. `text` is a sentence for the person on call."""

    rule: str
    text: str
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer for one trigger at one moment.

    metric: what KEDA reads, in demand units; None on the rung NOTHING (the caller answers UNAVAILABLE).
    planned: what predictive mode would answer (the same as `metric` but in shadow mode).
    need: the quantile of the peak over the window before any other rule; None without forecast.
    observed: the observation that counted; None without.
    """

    at: float
    rung: Rung
    metric: float | None
    planned: float | None
    active: bool
    need: float | None
    observed: float | None
    model: str
    reasons: tuple[Reason, ...]

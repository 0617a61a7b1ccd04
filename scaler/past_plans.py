"""Plans of the past, as they are kept: one whenever the plan of a trigger changed in a way that matters. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MINUTE_SECONDS = 60.0
RENEWED_SECONDS = 3600.0
"""a plan that stays as it is is kept again after this time: where there is none for longer, nobody has planned"""


@dataclass(frozen=True, slots=True)
class PastPlan:
    """What was planned for one trigger from `at` on. Numbers are in the unit of its query.

    reasons: each with rule, text, before and after, as the API has them. replicas: metric over threshold. quantile:
    the one of the peak that was read; None without forecast. error: why the observation was old or missing.
    """

    namespace: str
    name: str
    trigger: str
    """the hash of its metadata"""
    at: float
    """seconds since the epoch"""
    rung: str
    metric: float | None
    planned: float | None
    need: float | None
    quantile: float | None
    observed: float | None
    active: bool
    replicas: int | None
    model: str
    error: str
    reasons: tuple[Mapping[str, Any], ...]

    @property
    def minute(self) -> int:
        """Minutes since the epoch; a trigger has one plan of each at most."""
        return int(self.at // MINUTE_SECONDS)


@dataclass(frozen=True, slots=True)
class PastPlansAsked:
    """Which plans of one ScaledObject somebody wants to read, the newest first.

    since, until: seconds since the epoch, both included. after: minute and trigger of the last one that was read.
    """

    namespace: str
    name: str
    since: float
    until: float
    limit: int
    after: tuple[int, str] | None = None

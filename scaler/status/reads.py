"""What the HTTP port shows beyond this process's plans: out of the store, and of the memory of the refresh."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.models import ModelIndex
from scaler.models.changing import CheckBundle, unchecked
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.savings import SavedDay, SavingsAsked
from scaler.scored import ScoredDay, ScoredTotal, ScoresAsked, TotalsAsked, WeekAsked, Weeks
from scaler.series import Floats, HoursAhead
from scaler.trigger import Trigger

ReadSavings: TypeAlias = Callable[[SavingsAsked], Awaitable[list[SavedDay]]]
ReadScores: TypeAlias = Callable[[ScoresAsked], Awaitable[list[ScoredDay]]]
ReadScoreTotals: TypeAlias = Callable[[TotalsAsked], Awaitable[list[ScoredTotal]]]
ReadWeeks: TypeAlias = Callable[[Sequence[WeekAsked]], Awaitable[Weeks]]
ReadPlans: TypeAlias = Callable[[PastPlansAsked], Awaitable[list[PastPlan]]]
ReadAnomalies: TypeAlias = Callable[[AnomaliesAsked], Awaitable[list[Anomaly]]]
ReadModels: TypeAlias = Callable[[], ModelIndex]


class ReadDemand(Protocol):
    """Demand of a trigger by the minute, from `since` to `until`: the minute that ends at the first full minute at or
    after `since` comes first [M]; NaN where it is not known. Raises StoreUnavailable where only the store has it."""

    async def __call__(self, trigger: Trigger, since: float, until: float) -> Floats: ...


class ReadHours(Protocol):
    """The next hours of a trigger, at most 168. Raises StoreUnavailable where only the store has its history."""

    async def __call__(self, trigger: Trigger, hours: int) -> HoursAhead: ...


@dataclass(frozen=True, slots=True)
class Reads:
    """None: this process cannot read it. All may raise StoreUnavailable."""

    savings: ReadSavings | None = None
    scores: ReadScores | None = None
    weeks: ReadWeeks | None = None
    plans: ReadPlans | None = None
    anomalies: ReadAnomalies | None = None
    demand: ReadDemand | None = None
    models: ReadModels | None = None
    hours: ReadHours | None = None
    backends: Callable[[], "BackendFacts"] | None = None
    replicas: Callable[[], Awaitable[Mapping[str, int]]] | None = None
    """how many triggers each replica refreshes, by its name; raises CacheUnavailable"""
    check_bundle: CheckBundle = unchecked
    score_totals: ReadScoreTotals | None = None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """What this process works with. Kinds are `memory` or `redis`, and `none`, `sqlite` or `postgresql`; an error is
    empty where there is none."""

    replica: str
    cache: str
    store: str
    cache_error: str = ""
    store_error: str = ""
    refused_bundles: Mapping[str, str] = field(default_factory=dict)
    """by folder or URL, why"""


NOTHING = Reads()

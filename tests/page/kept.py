"""What a store knows of shop/web and of a trigger of it that was edited, for the tests of the page of a workload."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind
from scaler.errors import StoreUnavailable
from scaler.models import Kind as Decided
from scaler.models import ModelDecision, ModelIndex
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.savings import SavedDay, SavingsAsked, Side, Sums
from scaler.scored import LEADS, ScoredDay, ScoredTotal, ScoresAsked, TotalsAsked
from scaler.status.reads import Reads
from tests.page.site import demand
from tests.status.registry import NOW, filled_registry

TODAY = int(NOW // 86400)
WEB = filled_registry().page(1, namespace="shop", name="web")[0].trigger.short_key
GONE = "0fade0fade00"
"""a trigger that was edited"""
REASONS = (
    {"rule": "need", "text": "the peak over the next 8 min", "before": None, "after": 60.0},
    {"rule": "floor", "text": "the newest observation", "before": 60.0, "after": 62.0},
)


def past_plan(minutes_ago: float, trigger: str = WEB, **changed: Any) -> PastPlan:
    at = NOW - 60 * minutes_ago
    texts = ("shop", "web", trigger, at, "forecast_and_observation")
    plan = PastPlan(*texts, 62.0, 62.0, 60.0, 0.9, 42.5, True, 7, "seasonal@1", "", REASONS)
    return replace(plan, **changed)


def saved_day(number: int) -> SavedDay:
    """Three minutes a day for three hundredths of the cost."""
    plan, reactive = (
        Side((103 + number) * 3600, 30, 300, 20),
        Side((100 + number) * 3600, 210 + 60 * (number % 3), 2100, 20),
    )
    return SavedDay("shop", "web", "predictive", TODAY - 14 + number, Sums(86400.0, 86400 * 100.0, plan, reactive))


def scored_day(day: int, trigger: str, count: float) -> ScoredDay:
    """Of `count` forecasts 88 % within the p90, and losses of a half of those of the newest observation."""
    losses = (
        count,
        count,
        2 * count,
        3 * count,
        4 * count,
        5 * count,
        -count,
        30 * count,
        0.1 * count,
        count,
        0.1 * count,
    )
    own = (count, 3 * count, 0.88 * count)
    levels = tuple(share * count for share in (0.12, 0.47, 0.88, 0.94, 0.985))
    return ScoredDay(trigger, 0.9, day, 1440.0, losses + own + levels)


@dataclass
class Kept:
    """Answers as a store does; raises StoreUnavailable where there is an `error`."""

    plans: list[PastPlan] = field(default_factory=list)
    error: str = ""

    def reads(self) -> Reads:
        own = (self.savings, self.scores, None, self.past_plans, self.anomalies, demand, self.models)
        return Reads(*own, score_totals=self.score_totals)

    async def past_plans(self, asked: PastPlansAsked) -> list[PastPlan]:
        self._fail()
        found = [one for one in self.plans if (one.namespace, one.name) == (asked.namespace, asked.name)]
        found = [one for one in found if asked.since <= one.at <= asked.until]
        if asked.after is not None:
            found = [one for one in found if (-one.minute, one.trigger) > (-asked.after[0], asked.after[1])]
        return sorted(found, key=lambda one: (-one.minute, one.trigger))[: asked.limit]

    async def scores(self, asked: ScoresAsked) -> list[ScoredDay]:
        self._fail()
        if (asked.namespace, asked.name) != ("shop", "web") or asked.lead == "60 min":
            return []
        days = [(TODAY - 200, GONE)] + [(TODAY - n, WEB) for n in range(20, -1, -1)]
        return [scored_day(day, key, 1000.0) for day, key in days if asked.hours[0] <= 24 * day < asked.hours[1]]

    async def score_totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        found = []
        for lead in LEADS:
            days = await self.scores(ScoresAsked(asked.namespace, asked.name, lead, asked.hours))
            for trigger in {one.trigger for one in days}:
                sums = zip(*(one.sums for one in days if one.trigger == trigger), strict=True)
                found.append(ScoredTotal(trigger, lead, 0.9, tuple(map(sum, sums))))
        return found

    async def savings(self, asked: SavingsAsked) -> list[SavedDay]:
        self._fail()
        return [saved_day(n) for n in range(14)] if asked.one == ("shop", "web") else []

    async def anomalies(self, asked: AnomaliesAsked) -> list[Anomaly]:
        self._fail()
        times = (NOW - 3600, NOW - 3000)
        return [Anomaly("shop", "web", WEB, *times, Direction.ABOVE, Kind.ANOMALY, 310.0, 100.0, 120.0, is_over=True)]

    def models(self) -> ModelIndex:
        self._fail()
        return cast(ModelIndex, Index())

    def _fail(self) -> None:
        if self.error:
            raise StoreUnavailable(self.error)


class Index:
    """The log of an index in which one champion was made."""

    async def decisions(self, limit: int, scope: str) -> Sequence[ModelDecision]:
        made = ModelDecision(NOW - 7200, Decided.PROMOTED, "shop@2", "gate", "12 % better", "shop")
        return [made] if scope == "shop" else []

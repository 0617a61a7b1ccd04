"""A process that has something to say to each path of the HTTP port."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind, Seen
from scaler.discovery import Refusal, Scope
from scaler.errors import Fault
from scaler.models import Champion, ModelDecision, ModelVersion, Serving
from scaler.models import Kind as Decided
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.savings import SavedDay, SavingsAsked, Side, Sums
from scaler.scored import SUMS, ScoredDay, ScoresAsked
from scaler.scoring.uncertainty import Doubt
from scaler.series import Floats, Gap, HistoryFacts, HoursAhead
from scaler.status.reads import BackendFacts, Reads
from scaler.status.shown import Shown
from scaler.store.null_models import NullModels
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger
from tests.status.model_life import version
from tests.status.registry import NOW, filled_registry
from tests.status.scores import scored

ANOMALY = Anomaly(
    *("shop", "web", "abc", NOW - 600, NOW - 300, Direction.ABOVE, Kind.ANOMALY, 90.0, 40.0, 60.0), is_over=True
)
FACTS = HistoryFacts(
    *("seasonal@1", NOW - 5, None, 600.0, 3600.0, 86400.0, False, "", "refused", NOW + 60),
    (Gap(NOW - 7200, NOW - 3600, "out of retention"),),
)


class Watched:
    """One namespace that is watched, and one object that is refused."""

    def scopes(self) -> Sequence[Scope]:
        return [Scope("shop", is_up=True, error=""), Scope("test", is_up=False, error="forbidden")]

    def watched(self) -> int:
        return 1

    def refusal(self, namespace: str, name: str) -> Refusal | None:
        return self.refusals(1)[0] if name == "dead" else None

    def refused(self) -> int:
        return 1

    def refusals(self, most: int) -> Sequence[Refusal]:
        return [Refusal("shop", "dead", (Fault("threshold", "x", "must be a number"),))][:most]


async def demand(trigger: Trigger, since: float, until: float) -> Floats:
    return np.full(int(until // 60) - int(-(-since // 60)) + 1, 40.0, np.float32)


async def plans(asked: PastPlansAsked) -> list[PastPlan]:
    if asked.name == "nobody":
        return []
    reasons = ({"rule": "need", "text": "the peak", "before": None, "after": 60.0},)
    plan = PastPlan(
        *(asked.namespace, asked.name, "abc", NOW - 60, "forecast_and_observation", 60.0, 60.0, 60.0, 0.9, 42.5),
        *(True, 6, "seasonal@1", "", reasons),
    )
    return [plan, replace(plan, at=NOW - 3600, metric=None, planned=None, need=None, quantile=None, replicas=None)]


async def savings(asked: SavingsAsked) -> list[SavedDay]:
    if asked.one is not None and asked.one[1] == "nobody":
        return []
    return [SavedDay("shop", "web", "predictive", 20_000, Sums(3600.0, 1e5, Side(10.0, 1.0, 2.0, 3), Side()))]


async def scores(asked: ScoresAsked) -> list[ScoredDay]:
    return [] if asked.name == "nobody" else [ScoredDay("abc", 0.9, 20_000, 60.0, tuple([1.0] * len(SUMS)))]


async def anomalies(asked: AnomaliesAsked) -> list[Anomaly]:
    return [] if asked.name == "nobody" else [ANOMALY, replace(ANOMALY, is_over=False)]


async def hours(trigger: Trigger, count: int) -> HoursAhead:
    quantiles = np.tile(np.array([10, 20, 30, 40], np.float32), (count, 1))
    return HoursAhead(NOW // 3600 * 3600, (0.1, 0.5, 0.9, 0.95), quantiles, "past days 1.0", "minutes", 336, 330)


class KeptModels(NullModels):
    """One version that serves all triggers, and one entry of the log."""

    async def versions(self, name: str | None = None) -> list[ModelVersion]:
        return [version("2")]

    async def champions(self) -> dict[str, Champion]:
        return {"": Champion("", "own@2", NOW - 60, "own@1", NOW + 60)}

    async def decisions(
        self, limit: int, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> list[ModelDecision]:
        kinds = (Decided.RETRAINING_ASKED, Decided.RETRAINED, Decided.RETRAINING_BEGAN)
        return [ModelDecision(NOW, kind, "", "alice", "why", figures={"series": 2.0}, number=9) for kind in kinds]

    async def lease(self, name: str) -> tuple[str, float] | None:
        return "pod-1", NOW + 60


def backends() -> BackendFacts:
    return BackendFacts(
        "here-1", "redis", "sqlite", "no answer in time", "locked", {"/bundles/own@3": "4 levels, not 8"}
    )


async def replicas() -> Mapping[str, int]:
    return {"there-2": 5, "here-1": 2}


READS = Reads(
    *(savings, scores),
    plans=plans,
    anomalies=anomalies,
    demand=demand,
    hours=hours,
    models=KeptModels,
    backends=backends,
    replicas=replicas,
)


def telemetry() -> Telemetry:
    """As of a process that has refreshed, with one server that does not answer."""
    made = Telemetry()
    with made.step("refresh"):
        pass
    for called, value in (("refresh_interval", 15), ("last_refresh", NOW - 3), ("watched_triggers", 7)):
        made.set(called, value)
    made.set("refreshed_triggers", 2)
    made.set("cache_up", 0)
    made.set("store_up", 1)
    made.count("source_error", 3, server="http://prometheus:9090", kind="SourceUnavailable")
    made.follow("circuit_open", lambda: {("http://prometheus:9090",): 1.0, ("http://thanos:9090",): 0.0})
    made.follow("queue_length", lambda: {("source_new",): 4.0})
    made.follow("quota_limit", lambda: {("triggers",): 10_000.0, ("connections",): 100.0})
    made.follow("quota_used", lambda: {("triggers",): 7.0})
    made.follow("quota_refused", lambda: {("triggers",): 1.0})
    made.follow("bundle_info", lambda: {("general@1",): 1.0})
    return made


def everything(reads: Reads) -> Shown:
    """Of shop/web all is known, of shop/new and shop/dead little."""
    registry = filled_registry()
    web = next(one for one in registry if one.trigger.name == "web")
    web.scores = scored
    web.anomalies = lambda: Seen(ANOMALY, above=1)
    web.doubt = lambda: Doubt(1.5, None, None, 40.0, is_wide=True, is_split=False)
    web.serving = Serving(Champion("shop", "own@2", NOW - 60, "own@1", NOW + 60), "own@2")
    return Shown(registry, telemetry(), dict, lambda key: FACTS, lambda: NOW, Watched(), reads)

"""The paths of the HTTP API, each as a method, and the records that they answer.

Written by `make docs` from the declarations in scaler/status. Do not edit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict, cast
from urllib.parse import quote

from scaler.client.session import Session


class Row(TypedDict):
    namespace: str
    name: str
    trigger: str
    mode: Literal["predictive", "shadow", "reactive"]
    rung: Literal["forecast_and_observation", "forecast_alone", "observation_alone", "nothing"]
    demand: float | None
    metric: float | None
    planned: float | None
    threshold: float
    quantile: float
    replicas: int | None
    replicas_soon: int | None
    skill: float | None
    coverage: float | None
    saved_replica_hours: float | None
    saved_short_minutes: float | None
    model: str
    forecast_at: float | None


class Triggers(TypedDict):
    at: float
    count: int
    page: int
    limit: int
    triggers: list[Row]


class Anomaly(TypedDict):
    namespace: str
    name: str
    trigger: str
    since: float
    until: float
    direction: Literal["above", "below"]
    kind: Literal["anomaly", "level_shift"]
    largest: float
    expected: float
    bound: float
    is_over: bool


class Event(TypedDict):
    at: float
    kind: Literal["rung", "model", "champion"]
    text: str


class Timeline(TypedDict):
    namespace: str
    name: str
    trigger: str
    at: float
    timezone: str
    threshold: float
    quantile: float
    lead_time_seconds: float
    missing: list[str]
    times: list[float]
    observed: list[float | None]
    planned: list[float | None]
    metric: list[float | None]
    quantiles: dict[str, list[float | None]]
    planned_replicas: list[int | None]
    reactive_replicas: list[int | None]
    anomalies: list[Anomaly]
    events: list[Event]


class AheadPart(TypedDict):
    of: Literal["outlook", "hours"]
    model: str
    until: float
    issued: NotRequired[float]
    history: NotRequired[str]
    reach_hours: NotRequired[int]
    known_hours: NotRequired[int]


class Ahead(TypedDict):
    namespace: str
    name: str
    trigger: str
    at: float
    timezone: str
    threshold: float
    ahead_seconds: float
    step_seconds: float
    rests_on: list[AheadPart]
    times: list[float]
    quantiles: dict[str, list[float]]
    replicas: dict[str, list[int]]


class Reason(TypedDict):
    rule: str
    text: str
    before: float | None
    after: float | None


class Plan(TypedDict):
    at: float
    rung: Literal["forecast_and_observation", "forecast_alone", "observation_alone", "nothing"]
    metric: float | None
    planned: float | None
    need: float | None
    observed: float | None
    active: bool
    model: str
    replicas: int | None
    reasons: list[Reason]


class Observation(TypedDict):
    at: float
    value: float | None
    recent_peak: float | None
    history_peak: float | None


class Forecast(TypedDict):
    model: str
    start: float
    end: float
    step_seconds: float
    data_step_seconds: float | None
    window_seconds: float
    peak: dict[str, float | None]
    largest: dict[str, float | None]


class CurrentPlan(TypedDict):
    namespace: str
    name: str
    trigger: str
    query: str
    server: str
    ignore_null_values: bool
    tenant: str
    query_parameters: list[list[str]]
    threshold: float
    activation_threshold: float
    lead_time_seconds: float
    query_step_seconds: float | None
    quantile: float
    mode: Literal["predictive", "shadow", "reactive"]
    policy: Literal["aggressive", "balanced", "conservative"]
    model: str
    first_called: float
    last_called: float | None
    listed_by: Literal["settings", "annotation"] | None
    plan: Plan | None
    status: str
    error: str
    observation: Observation | None
    forecast: Forecast | None


class CurrentPlans(TypedDict):
    at: float
    next: str | None
    plans: list[CurrentPlan]


class PastPlan(TypedDict):
    at: float
    rung: Literal["forecast_and_observation", "forecast_alone", "observation_alone", "nothing"]
    metric: float | None
    planned: float | None
    need: float | None
    observed: float | None
    active: bool
    model: str
    replicas: int | None
    reasons: list[Reason]
    trigger: str
    quantile: float | None
    error: str
    until: float | None


class PastPlans(TypedDict):
    namespace: str
    name: str
    at: float
    timezone: str
    next: str | None
    asked: NotRequired[float]
    plans: list[PastPlan]


class Fault(TypedDict):
    field: str
    value: str
    rule: str


class Gap(TypedDict):
    first: float
    last: float
    why: str


class History(TypedDict):
    error: str
    retry_at: float | None
    gaps: list[Gap]
    gap_count: int


class Score(TypedDict):
    count: int
    held: float
    pinball: float
    mae: float
    rmse: float | None
    bias: float
    mape: float | None
    smape: float
    over_persistence: float | None
    over_seasonal: float | None
    promised_over_persistence: float | None
    coverage: dict[str, float]


class Uncertainty(TypedDict):
    width: float | None
    usual_width: float | None
    past: float | None
    bundle: float
    is_wide: bool
    is_split: bool
    is_uncertain: bool


class Champion(TypedDict):
    scope: str
    model: str
    since: float
    previous: str | None
    probation_until: float | None
    serves: str
    fault: str


class Readiness(TypedDict):
    ready: bool
    missing: list[str]
    when: str
    meanwhile: str
    covered_seconds: float
    needed_seconds: float
    wanted_seconds: float


class Why(TypedDict):
    namespace: str
    name: str
    trigger: str
    query: str
    server: str
    ignore_null_values: bool
    tenant: str
    query_parameters: list[list[str]]
    threshold: float
    activation_threshold: float
    lead_time_seconds: float
    query_step_seconds: float | None
    quantile: float
    mode: Literal["predictive", "shadow", "reactive"]
    policy: Literal["aggressive", "balanced", "conservative"]
    model: str
    first_called: float
    last_called: float | None
    listed_by: Literal["settings", "annotation"] | None
    plan: Plan | None
    status: str
    error: str
    observation: Observation | None
    forecast: Forecast | None
    history: History | None
    scores: dict[str, Score] | None
    scores_from: Literal["replica", "store"] | None
    scores_error: str
    anomaly: Anomaly | None
    uncertainty: Uncertainty | None
    champion: Champion | None
    readiness: Readiness | None


class WhyOne(TypedDict):
    namespace: str
    name: str
    at: float
    refused: list[Fault] | None
    triggers: list[Why]


class Side(TypedDict):
    replica_seconds: float
    short_seconds: float
    unserved: float
    scale_events: int


class SavedDay(TypedDict):
    day: str
    known_seconds: float
    demand: float
    plan: Side
    reactive: Side


class Savings(TypedDict):
    namespace: str
    name: str
    mode: Literal["predictive", "shadow", "reactive"]
    days: list[SavedDay]


class SavingsPage(TypedDict):
    at: float
    next: str | None
    savings: list[Savings]


class ScoredDay(TypedDict):
    day: str
    minutes: int
    count: int
    held: float
    pinball: float
    mae: float
    rmse: float | None
    bias: float
    mape: float | None
    smape: float
    over_persistence: float | None
    over_seasonal: float | None
    promised_over_persistence: float | None
    coverage: dict[str, float]


class ScoredDays(TypedDict):
    minutes: int
    count: int
    held: float
    pinball: float
    mae: float
    rmse: float | None
    bias: float
    mape: float | None
    smape: float
    over_persistence: float | None
    over_seasonal: float | None
    promised_over_persistence: float | None
    coverage: dict[str, float]


class ScoredTrigger(TypedDict):
    trigger: str
    watched: bool
    quantile: float
    days: list[ScoredDay]
    all: ScoredDays


class Scores(TypedDict):
    namespace: str
    name: str
    at: float
    days: int
    lead: Literal["peak", "60 min", "15 min", "5 min", "2 min"]
    triggers: list[ScoredTrigger]


class AnomaliesPage(TypedDict):
    at: float
    next: str | None
    anomalies: list[Anomaly]


class AnyEvent(TypedDict):
    at: float
    kind: Literal["anomaly", "model", "rung"]
    scope: str
    text: str


class EventsPage(TypedDict):
    at: float
    next: int | None
    missing: list[str]
    events: list[AnyEvent]


class Replica(TypedDict):
    name: str
    triggers: int
    is_this: bool


class Source(TypedDict):
    server: str
    is_circuit_open: bool
    errors: dict[str, int]


class RefusedBundle(TypedDict):
    bundle: str
    why: str


class Quota(TypedDict):
    name: str
    limit: float
    used: float | None
    refused: int


class Scope(TypedDict):
    namespace: str
    is_up: bool
    error: str


class RefusedObject(TypedDict):
    namespace: str
    name: str
    faults: list[Fault]


class DiscoveryState(TypedDict):
    scopes: list[Scope]
    watched: int
    refused_count: int
    refused: list[RefusedObject]


class System(TypedDict):
    at: float
    version: str
    started_at: float
    replica: str
    replicas: list[Replica]
    replicas_error: str
    triggers: dict[str, Any]
    refresh: dict[str, Any]
    sources: list[Source]
    cache: dict[str, Any]
    store: dict[str, Any]
    queues: dict[str, int]
    models: list[str]
    refused_bundles: list[RefusedBundle]
    quotas: list[Quota]
    discovery: DiscoveryState | None


class Finding(TypedDict):
    level: Literal["error", "warning", "advice"]
    rule: str
    line: int | None
    field: str
    text: str
    fix: str
    example: str


class TriggerSettings(TypedDict):
    namespace: str
    name: str
    trigger: str
    query: str
    server: str
    ignore_null_values: bool
    tenant: str
    query_parameters: list[list[str]]
    threshold: float
    activation_threshold: float
    lead_time_seconds: float
    query_step_seconds: float | None
    quantile: float
    mode: Literal["predictive", "shadow", "reactive"]
    policy: Literal["aggressive", "balanced", "conservative"]
    model: str


class Preview(TypedDict):
    since: float
    until: float
    every_seconds: float
    observed: list[float | None]
    planned: list[float | None]
    most_replicas: int | None
    most_reactive_replicas: int | None
    replica_hours: float
    reactive_replica_hours: float
    known_minutes: int
    differs: list[str]


class TriedTrigger(TypedDict):
    index: int
    type: str
    faults: list[Fault]
    settings: TriggerSettings | None
    watched: CurrentPlan | None
    preview: Preview | None


class TriedObject(TypedDict):
    kind: str
    namespace: str
    name: str
    findings: list[Finding]
    triggers: list[TriedTrigger]


class Tried(TypedDict):
    at: float
    objects: list[TriedObject]
    skipped: list[str]


class ChampionOfScope(TypedDict):
    scope: str
    model: str
    since: float
    previous: str | None
    probation_until: float | None


class ModelVersion(TypedDict):
    model: str
    name: str
    version: str
    place: str
    published_at: float
    retired_at: float | None
    figures: dict[str, float]
    champion_of: list[str]


class Models(TypedDict):
    at: float
    count: int
    page: int
    limit: int
    champions: list[ChampionOfScope]
    versions: list[ModelVersion]


class Decision(TypedDict):
    number: int
    at: float
    kind: Literal[
        "published",
        "refused",
        "promoted",
        "assigned",
        "rolled_back",
        "retired",
        "retraining_asked",
        "retraining_began",
        "retrained",
        "retraining_failed",
    ]
    model: str
    by: str
    reason: str
    scope: str
    previous: str | None
    figures: dict[str, float]
    text: str


class DecisionsPage(TypedDict):
    at: float
    next: int | None
    decisions: list[Decision]


class RunningRetraining(TypedDict):
    holder: str
    lease_until: float
    since: float | None
    why: str


class Retrainings(TypedDict):
    at: float
    running: RunningRetraining | None
    asked: list[Decision]
    ended: list[Decision]


class Done(TypedDict):
    at: float
    by: str
    done: str


class Promote(TypedDict):
    model: str
    scope: NotRequired[str]
    probation: NotRequired[str]
    reason: NotRequired[str]
    seen: NotRequired[str]


class RollBack(TypedDict):
    scope: NotRequired[str]
    reason: NotRequired[str]
    seen: NotRequired[str]


class Retire(TypedDict):
    model: str
    reason: NotRequired[str]


class Retrain(TypedDict):
    scope: NotRequired[str]
    reason: NotRequired[str]


class CardSection(TypedDict):
    title: str
    rows: list[list[str]]


class ModelCard(TypedDict):
    model: str
    name: str
    version: str
    place: str
    published_at: float
    retired_at: float | None
    figures: dict[str, float]
    champion_of: list[str]
    at: float
    manifest: dict[str, Any]
    notes: dict[str, str]
    champions: list[ChampionOfScope]
    card: list[CardSection]
    decisions: list[Decision]


class Discovery(TypedDict):
    at: float
    scopes: list[Scope]
    watched: int
    refused_count: int
    refused: list[RefusedObject]


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault]


class Client(Session):
    """A running scaler. All methods raise NoAnswer and ApiProblem."""

    def triggers(
        self,
        *,
        q: str | None = None,
        namespace: str | None = None,
        rung: Literal["", "forecast_and_observation", "forecast_alone", "observation_alone", "nothing"] | None = None,
        mode: Literal["", "predictive", "shadow", "reactive"] | None = None,
        sort: Literal[
            "",
            "name",
            "demand",
            "planned",
            "replicas",
            "replicas_soon",
            "rung",
            "skill",
            "coverage",
            "saved_replica_hours",
            "saved_short_minutes",
            "model",
            "forecast_at",
        ]
        | None = None,
        order: Literal["", "asc", "desc"] | None = None,
        page: int | None = None,
        limit: int | None = None,
    ) -> Triggers:
        """All triggers at a glance, sorted and filtered."""
        return cast(
            "Triggers",
            self.ask(
                "GET",
                "/api/v1/triggers",
                {
                    "q": q,
                    "namespace": namespace,
                    "rung": rung,
                    "mode": mode,
                    "sort": sort,
                    "order": order,
                    "page": page,
                    "limit": limit,
                },
            ),
        )

    def timeline_of(
        self,
        namespace: str,
        name: str,
        *,
        since: str | None = None,
        until: str | None = None,
        trigger: str | None = None,
    ) -> Timeline:
        """Demand, plans and forecast of one trigger on one time line."""
        return cast(
            "Timeline",
            self.ask(
                "GET",
                f"/api/v1/timeline/{quote(namespace, safe='')}/{quote(name, safe='')}",
                {"since": since, "until": until, "trigger": trigger},
            ),
        )

    def forecast_of(
        self,
        namespace: str,
        name: str,
        *,
        ahead: str | None = None,
        step: str | None = None,
        trigger: str | None = None,
    ) -> Ahead:
        """Demand of the next hours, up to a week, for people."""
        return cast(
            "Ahead",
            self.ask(
                "GET",
                f"/api/v1/forecast/{quote(namespace, safe='')}/{quote(name, safe='')}",
                {"ahead": ahead, "step": step, "trigger": trigger},
            ),
        )

    def plans(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> CurrentPlans:
        """The current plans with their reasons, ordered by namespace, name and trigger."""
        return cast(
            "CurrentPlans",
            self.ask("GET", "/api/v1/plans", {"namespace": namespace, "name": name, "limit": limit, "after": after}),
        )

    def plans_of(
        self,
        namespace: str,
        name: str,
        *,
        since: str | None = None,
        until: str | None = None,
        at: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> PastPlans:
        """What was planned for one ScaledObject, the newest first."""
        return cast(
            "PastPlans",
            self.ask(
                "GET",
                f"/api/v1/plans/{quote(namespace, safe='')}/{quote(name, safe='')}",
                {"since": since, "until": until, "at": at, "limit": limit, "after": after},
            ),
        )

    def why_of(self, namespace: str, name: str) -> WhyOne:
        """All about one ScaledObject: what `headway why` shows."""
        return cast("WhyOne", self.ask("GET", f"/api/v1/why/{quote(namespace, safe='')}/{quote(name, safe='')}", {}))

    def savings(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        days: int | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> SavingsPage:
        """What each workload was worth, by the day."""
        return cast(
            "SavingsPage",
            self.ask(
                "GET",
                "/api/v1/savings",
                {"namespace": namespace, "name": name, "days": days, "limit": limit, "after": after},
            ),
        )

    def scores_of(
        self,
        namespace: str,
        name: str,
        *,
        days: int | None = None,
        lead: Literal["peak", "60", "15", "5", "2"] | None = None,
    ) -> Scores:
        """How good the forecasts of one ScaledObject turned out, by the day."""
        return cast(
            "Scores",
            self.ask(
                "GET",
                f"/api/v1/scores/{quote(namespace, safe='')}/{quote(name, safe='')}",
                {"days": days, "lead": lead},
            ),
        )

    def anomalies(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        days: int | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> AnomaliesPage:
        """Demand outside the band of its forecast, the newest first."""
        return cast(
            "AnomaliesPage",
            self.ask(
                "GET",
                "/api/v1/anomalies",
                {"namespace": namespace, "name": name, "days": days, "limit": limit, "after": after},
            ),
        )

    def events(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        days: int | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> EventsPage:
        """What happened, the newest first: anomalies, decisions about models, what answers rested on."""
        return cast(
            "EventsPage",
            self.ask(
                "GET",
                "/api/v1/events",
                {"namespace": namespace, "name": name, "days": days, "limit": limit, "before": before},
            ),
        )

    def system(self) -> System:
        """Replicas, refreshes, metric servers, store, cache, bundles, quotas and discovery, as this replica knows
        them."""
        return cast("System", self.ask("GET", "/api/v1/system", {}))

    def check(self, body: str) -> Tried:
        """What `headway check` finds in ScaledObjects; nothing is kept, and no server is asked."""
        return cast("Tried", self.ask("POST", "/api/v1/check", {}, body.encode(), "application/yaml"))

    def models(self, *, page: int | None = None, limit: int | None = None) -> Models:
        """Versions of models, and which of them serves whom."""
        return cast("Models", self.ask("GET", "/api/v1/models", {"page": page, "limit": limit}))

    def models_log(
        self, *, limit: int | None = None, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> DecisionsPage:
        """What was decided about models, the newest first."""
        return cast(
            "DecisionsPage",
            self.ask("GET", "/api/v1/models/log", {"limit": limit, "before": before, "scope": scope, "model": model}),
        )

    def models_retrainings(self) -> Retrainings:
        """Which retraining runs, which are asked for, and how the last ones ended."""
        return cast("Retrainings", self.ask("GET", "/api/v1/models/retrainings", {}))

    def models_promote(self, body: Promote) -> Done:
        """Make a version the champion of a scope."""
        return cast("Done", self.ask("POST", "/api/v1/models/promote", {}, body))

    def models_roll_back(self, body: RollBack) -> Done:
        """Give a scope back to what its champion replaced."""
        return cast("Done", self.ask("POST", "/api/v1/models/roll-back", {}, body))

    def models_retire(self, body: Retire) -> Done:
        """Take a version out of use."""
        return cast("Done", self.ask("POST", "/api/v1/models/retire", {}, body))

    def models_retrain(self, body: Retrain) -> Done:
        """Give the next `headway retrain` of a scope a reason to train."""
        return cast("Done", self.ask("POST", "/api/v1/models/retrain", {}, body))

    def models_of(self, model: str) -> ModelCard:
        """The card of one version, its figures, and what was decided about it."""
        return cast("ModelCard", self.ask("GET", f"/api/v1/models/{quote(model, safe='')}", {}))

    def discovery(self) -> Discovery:
        """Which namespaces are watched for annotated ScaledObjects, and which objects are refused."""
        return cast("Discovery", self.ask("GET", "/api/v1/discovery", {}))

    def openapi(self) -> dict[str, Any]:
        """This description, as OpenAPI 3.1."""
        return cast("dict[str, Any]", self.ask("GET", "/api/v1/openapi.json", {}))

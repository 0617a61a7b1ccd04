"""Schemas of the records of `scaler.status.records`: a trigger, its plan, forecast, scores and readiness."""

from typing import Final

from scaler.anomalies import Direction, Kind
from scaler.plan import Rung
from scaler.registry import ListedBy
from scaler.scoring.pending import BUCKETS
from scaler.status.schemas import (
    FAULT,
    Schema,
    array,
    choice,
    flag,
    mapping,
    moment,
    nullable,
    real,
    record,
    text,
    whole,
)
from scaler.trigger import Mode, PolicyName

WHOSE: Final = {
    "namespace": text("the namespace of the ScaledObject"),
    "name": text("its name"),
}
TRIGGER_HASH: Final = text("the hash of the trigger, which telemetry shows, too")
RUNG: Final = choice(tuple(Rung), "what the answer rests on")
MODE: Final = choice(tuple(Mode), "the trigger's mode")
BY_LEVEL: Final = mapping(nullable(real()), "by quantile level")

SETTINGS_KEYS: Final = {
    **WHOSE,
    "trigger": TRIGGER_HASH,
    "query": text("what demand is asked with"),
    "server": text("the metric server, without credentials"),
    "ignore_null_values": flag("whether an empty answer is a demand of 0"),
    "tenant": text("tenant of the server, or empty"),
    "query_parameters": array(array(text()), "name and a hidden value of each"),
    "threshold": real("demand that one replica carries"),
    "activation_threshold": real("demand above which the workload is awake"),
    "lead_time_seconds": real("how long a new replica takes until it serves"),
    "query_step_seconds": nullable(real(), "between two new numbers of demand, where the trigger names it"),
    "quantile": real("the quantile of the peak that is planned for"),
    "mode": MODE,
    "policy": choice(tuple(PolicyName), "how carefully replicas are taken away"),
    "model": text("the model that the trigger names, or empty"),
}
SETTINGS: Final = {
    **SETTINGS_KEYS,
    "first_called": moment("KEDA's first call"),
    "last_called": nullable(real(), "KEDA's last call, in seconds since the epoch; null where there was none"),
    "listed_by": nullable(choice(tuple(ListedBy)), "who lists a trigger that KEDA does not call for"),
}
REASON: Final = record(
    "Reason",
    {
        "rule": text("the rule of the planner"),
        "text": text("what it did, in words"),
        "before": nullable(real(), "the value before"),
        "after": nullable(real(), "the value after"),
    },
)
PLAN_KEYS: Final = {
    "at": moment("when it was made"),
    "rung": RUNG,
    "metric": nullable(real(), "what KEDA reads"),
    "planned": nullable(real(), "what replicas are planned for; differs from metric in shadow mode"),
    "need": nullable(real(), "the peak over the lead window at the trigger's quantile"),
    "observed": nullable(real(), "the newest observation"),
    "active": flag("whether the workload is awake"),
    "model": text("what forecast it, or empty"),
    "replicas": nullable(whole(), "metric over threshold, before the HPA's tolerance and limits"),
    "reasons": array(REASON, "in the order in which the rules applied"),
}
PLAN: Final = record("Plan", PLAN_KEYS)
OBSERVATION: Final = record(
    "Observation",
    {
        "at": moment("when it was observed"),
        "value": nullable(real(), "demand"),
        "recent_peak": nullable(real(), "the largest demand of 15 minutes"),
        "history_peak": nullable(real(), "the largest demand on record"),
    },
)
FORECAST: Final = record(
    "Forecast",
    {
        "model": text("what made it"),
        "start": moment("when it was issued"),
        "end": moment("how far it reaches"),
        "step_seconds": real("between two of its values"),
        "data_step_seconds": nullable(
            real(), "between two new numbers of demand, where there is less than one a minute"
        ),
        "window_seconds": real("the lead window, over which the peak counts"),
        "peak": {**BY_LEVEL, "description": "the peak over the lead window, by quantile level"},
        "largest": {**BY_LEVEL, "description": "the same until the end"},
    },
)
CURRENT_KEYS: Final = {
    **SETTINGS,
    "plan": nullable(PLAN, "null where KEDA gets an error"),
    "status": text("the gRPC status that KEDA gets; OK where there is a plan"),
    "error": text("why the observation is old or missing, or why another model serves; else empty"),
    "observation": nullable(OBSERVATION),
    "forecast": nullable(FORECAST),
}
CURRENT: Final = record("CurrentPlan", CURRENT_KEYS)

_RATIO = "pinball loss over that of"
SCORE_KEYS: Final = {
    "count": whole("forecasts that were scored"),
    "held": real("share of truths within the trigger's quantile"),
    "pinball": real("mean pinball loss"),
    "mae": real("mean absolute error of the median"),
    "rmse": nullable(real(), "root of the mean squared error of the median"),
    "bias": real("mean error of the median; above 0 where it is too high"),
    "mape": nullable(real(), "mean absolute error of the median over demand"),
    "smape": real("the same over the mean of both"),
    "over_persistence": nullable(real(), f"{_RATIO} the newest observation"),
    "over_seasonal": nullable(real(), f"{_RATIO} the demand a day before"),
    "promised_over_persistence": nullable(real(), "over_persistence at the trigger's quantile"),
    "coverage": mapping(real(), "share of truths within each quantile, by level"),
}
SCORE: Final = record("Score", SCORE_KEYS)
ANOMALY: Final = record(
    "Anomaly",
    {
        **WHOSE,
        "trigger": TRIGGER_HASH,
        "since": moment("begin of the first minute outside"),
        "until": moment("end of the last minute outside, so far while it lasts"),
        "direction": choice(tuple(Direction), "above or below the band"),
        "kind": choice(tuple(Kind), "level_shift where it lasted for three hours"),
        "largest": real("demand where it was furthest outside"),
        "expected": real("the forecast's median for that minute"),
        "bound": real("the edge of the band"),
        "is_over": flag("false while it lasts"),
    },
)
_UNCERTAINTY = record(
    "Uncertainty",
    {
        "width": nullable(real(), "p95 of the peak over its median; null where the median is 0"),
        "usual_width": nullable(real(), "the median of that over about a week; null in the first day"),
        "past": nullable(real(), "the median of past days; null where they have no part in the forecast"),
        "bundle": real("the median of the bundle alone"),
        "is_wide": flag("wide against its own past"),
        "is_split": flag("its parts disagree"),
        "is_uncertain": flag("one of the two"),
    },
)
_CHAMPION = record(
    "Champion",
    {
        "scope": text("for whom it serves"),
        "model": text("the champion"),
        "since": moment("when it became champion"),
        "previous": nullable(text(), "which champion it replaced; null where there is nothing to roll back to"),
        "probation_until": nullable(real(), "end of its probation, in seconds since the epoch; null when it is over"),
        "serves": text("the model that serves"),
        "fault": text("why another model serves; else empty"),
    },
)
_GAP = record("Gap", {"first": moment("the first moment"), "last": moment("the last"), "why": text("why")})
_HISTORY = record(
    "History",
    {
        "error": text("why the last attempt to fetch a part of the past failed; else empty"),
        "retry_at": nullable(real(), "when the next attempt is due, in seconds since the epoch"),
        "gaps": array(_GAP, "the first stretches without a usable answer"),
        "gap_count": whole("how many there are"),
    },
)
_READINESS = record(
    "Readiness",
    {
        "ready": flag("false"),
        "missing": array(text(), "what the first forecast needs and does not have"),
        "when": text("when it will have it"),
        "meanwhile": text("what KEDA gets until then"),
        "covered_seconds": real("history that is available"),
        "needed_seconds": real("history that the bundle needs at least"),
        "wanted_seconds": real("history that it can use"),
    },
)
WHY: Final = record(
    "Why",
    {
        **CURRENT_KEYS,
        "history": nullable(_HISTORY, "null where nothing of the past is missing"),
        "scores": nullable(
            {**mapping(SCORE), "propertyNames": {"enum": list(BUCKETS)}}, "of about a week, by how far ahead"
        ),
        "scores_from": nullable(choice(("replica", "store")), "who has scored the forecasts"),
        "scores_error": text("why the database did not show any; else empty"),
        "anomaly": nullable(ANOMALY, "the newest that this replica has seen"),
        "uncertainty": nullable(_UNCERTAINTY),
        "champion": nullable(_CHAMPION, "null where none serves it, and where another replica refreshes it"),
        "readiness": nullable(_READINESS, "null once there is a forecast"),
    },
)
_SIDE = record(
    "Side",
    {
        "replica_seconds": real("replicas, times seconds"),
        "short_seconds": real("time in which demand was more than the ready replicas carry"),
        "unserved": real("demand beyond that, times seconds"),
        "scale_events": whole("how often the number of replicas changed"),
    },
)
DAY: Final = text("of UTC", pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
SAVINGS: Final = record(
    "Savings",
    {
        **WHOSE,
        "mode": MODE,
        "days": array(
            record(
                "SavedDay",
                {
                    "day": DAY,
                    "known_seconds": real("in which demand was observed"),
                    "demand": real("times seconds"),
                    "plan": {**_SIDE, "description": "what followed from Headway's plan"},
                    "reactive": {**_SIDE, "description": "what a reactive trigger would have led to"},
                },
            )
        ),
    },
)
_REFUSED: Final = record("RefusedObject", {**WHOSE, "faults": array(FAULT)})
DISCOVERY: Final[dict[str, Schema]] = {
    "scopes": array(
        record(
            "Scope",
            {
                "namespace": text("`*` for all"),
                "is_up": flag("whether it is watched now"),
                "error": text("why not; else empty"),
            },
        ),
        "the watched namespaces",
    ),
    "watched": whole("annotated ScaledObjects whose trigger is watched"),
    "refused_count": whole("how many are refused"),
    "refused": array(_REFUSED, "the first of them"),
}

"""A trigger as a JSON record: the same for `headway why` and the API."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from scaler.anomalies import Anomaly
from scaler.discovery import Discoveries
from scaler.errors import Fault, HeadwayError
from scaler.models import Serving
from scaler.plan import Plan
from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import window_of
from scaler.registry import NEVER, Answer, Registration, Registry
from scaler.scoring import Scores
from scaler.scoring.uncertainty import Doubt
from scaler.series import Forecast, Observation
from scaler.status.report import Explain, history_record, readiness_report
from scaler.telemetry.redaction import HIDDEN, redacted
from scaler.trigger import Trigger

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WeekOf:
    """Scores out of the store, of triggers that this process does not refresh, by key; or why there are none."""

    scores: Mapping[str, Scores] = field(default_factory=dict)
    error: str = ""


def plan_record(registry: Registry, registration: Registration, now: float) -> Record:
    """Trigger, plan with reasons, and what the plan was made from. `plan` is null, with `error`, where there is none.

    The metadata that KEDA sent is not part of it.
    """
    try:
        answer = registry.answer(registration, now)
    except HeadwayError as error:
        status, text = error.status, redacted(str(error))
        return {
            **trigger_record(registration),
            "plan": None,
            "status": status,
            "error": text,
            **_inputs(registration, registration.current, registry.refresh_seconds),
        }
    text = redacted(answer.outlook.error)
    return {
        **trigger_record(registration),
        "plan": _plan(answer.plan, registration.trigger),
        "status": "OK",
        "error": text,
        **_inputs(registration, answer, registry.refresh_seconds),
    }


def why_record(registry: Registry, registration: Registration, now: float, explain: Explain, stored: WeekOf) -> Record:
    """The plan's record with the readiness report, scores, and what is missing of the past."""
    facts = explain(registration.trigger.key)
    history = None if facts is None else history_record(facts)
    doubt = registration.doubt()
    record = {
        **plan_record(registry, registration, now),
        "history": history,
        **_scores(registration, stored),
        "anomaly": _newest_anomaly(registration),
        "uncertainty": doubt and _doubt_record(doubt),
        "champion": _champion(registration.serving, now),
    }
    if registration.current is not None and registration.current.outlook.forecast is not None:
        return {**record, "readiness": None}
    report = readiness_report(registration.trigger, facts, record["status"])
    return {**record, "readiness": {"ready": report.ready, **asdict(report)}}


def _scores(registration: Registration, stored: WeekOf) -> Record:
    """This replica's own scores, else those that another one has stored."""
    own = registration.scores()
    found = own or stored.scores.get(registration.trigger.key)
    return {
        "scores": found and found.record(),
        "scores_from": found and ("replica" if own else "store"),
        "scores_error": "" if found else redacted(stored.error),
    }


def _champion(serving: Serving | None, now: float) -> Record | None:
    """Which champion serves it; null where none does, or where another replica refreshes it."""
    if serving is None:
        return None
    found = serving.champion
    return {
        "scope": found.scope,
        "model": found.model,
        "since": found.since,
        "previous": found.previous,
        "probation_until": found.probation_until if found.is_on_probation(now) else None,
        "serves": serving.model,
        "fault": redacted(serving.fault),
    }


def _doubt_record(doubt: Doubt) -> Record:
    return {**doubt.record(), "width": number(doubt.width)}


def _newest_anomaly(registration: Registration) -> Record | None:
    seen = registration.anomalies()
    return None if seen is None or seen.newest is None else anomaly_record(seen.newest)


def anomaly_record(one: Anomaly) -> Record:
    """Which minutes they are, and how far demand was outside."""
    return {**asdict(one), "direction": one.direction.value, "kind": one.kind.value}


def trigger_record(registration: Registration) -> Record:
    """Which trigger it is, and its settings."""
    return {
        **settings_record(registration.trigger),
        "first_called": registration.first_called,
        "last_called": None if registration.last_called == NEVER else registration.last_called,
        "listed_by": None if registration.listed_by is None else registration.listed_by.value,
    }


def settings_record(trigger: Trigger) -> Record:
    """The settings of a trigger, defaults included."""
    return {
        "namespace": trigger.namespace,
        "name": trigger.name,
        "trigger": trigger.short_key,
        "query": trigger.query,
        "server": redacted(trigger.server_address),
        "ignore_null_values": trigger.ignore_null_values,
        "tenant": trigger.tenant,
        "query_parameters": [[key, HIDDEN] for key, _ in trigger.query_parameters],
        "threshold": trigger.threshold,
        "activation_threshold": trigger.activation_threshold,
        "lead_time_seconds": trigger.lead_time_seconds,
        "query_step_seconds": trigger.query_step_seconds,
        "quantile": trigger.quantile,
        "mode": trigger.mode.value,
        "policy": trigger.policy.value,
        "model": trigger.model,
    }


MOST_REFUSED = 500
"""refused objects that one record lists"""


def discovery_record(discoveries: Discoveries) -> Record:
    """The watched namespaces, and the objects that ask for a forecast and are refused."""
    return {
        "scopes": [asdict(scope) for scope in discoveries.scopes()],
        "watched": discoveries.watched(),
        "refused_count": discoveries.refused(),
        "refused": [
            {"namespace": one.namespace, "name": one.name, "faults": fault_records(one.faults)}
            for one in discoveries.refusals(MOST_REFUSED)
        ],
    }


def fault_records(faults: Iterable[Fault]) -> list[Record]:
    """Faults as the API lists them."""
    return [{"field": fault.field, "value": fault.value, "rule": fault.rule} for fault in faults]


def _plan(plan: Plan, trigger: Trigger) -> Record:
    return {
        "at": plan.at,
        "rung": plan.rung.value,
        "metric": number(plan.metric),
        "planned": number(plan.planned),
        "need": number(plan.need),
        "observed": number(plan.observed),
        "active": plan.active,
        "model": plan.model,
        "replicas": _replicas(plan.metric, trigger.threshold),
        "reasons": [{"rule": r.rule, "text": r.text, "before": r.before, "after": r.after} for r in plan.reasons],
    }


def _inputs(registration: Registration, answer: Answer | None, refresh_seconds: float) -> Record:
    if answer is None:
        return {"observation": None, "forecast": None}
    forecast, at = answer.outlook.forecast, answer.plan.at
    end = window_of(registration.trigger, at, refresh_seconds, forecast)
    return {"observation": _observation(answer.outlook.observation), "forecast": _forecast(forecast, at, end)}


def _observation(observation: Observation | None) -> Record | None:
    if observation is None:
        return None
    return {
        "at": observation.at,
        "value": number(observation.value),
        "recent_peak": number(observation.recent_peak),
        "history_peak": number(observation.history_peak),
    }


def _forecast(forecast: Forecast | None, now: float, until: float) -> Record | None:
    """When it was issued, how far it reaches, and by quantile level its peak over the lead window and until the end."""
    if forecast is None:
        return None
    peak = [peak_quantile(forecast, level, now, until) for level in forecast.levels]
    beyond = [peak_quantile(forecast, level, now, forecast.end) for level in forecast.levels]
    return {
        "model": forecast.model,
        "start": forecast.start,
        "end": forecast.end,
        "step_seconds": forecast.step_seconds,
        "data_step_seconds": forecast.data_step_seconds or None,
        "window_seconds": until - now,
        "peak": _by_level(forecast, peak),
        "largest": _by_level(forecast, map(max, peak, beyond)),
    }


def _by_level(forecast: Forecast, values: Iterable[float]) -> Record:
    return {f"{level:g}": number(value) for level, value in zip(forecast.levels, values, strict=True)}


def number(value: float | None) -> float | None:
    """The number, or null where JSON has no such number."""
    return value if value is not None and math.isfinite(value) else None


def _replicas(metric: float | None, threshold: float) -> int | None:
    return None if metric is None else math.ceil(metric / threshold)

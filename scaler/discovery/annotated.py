"""A ScaledObject with the annotation `headway.dev/forecast` → the trigger that is watched for it, or every fault.

Query, threshold and server are those of the object's own `prometheus` trigger, so they cannot differ from what KEDA
reads while there is no plan. Annotations hold the keys that only Headway reads. Pure: no clock, no I/O.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from scaler.errors import MOST_SPELLED_OUT, Fault, TriggerInvalid
from scaler.manifest import FieldPath, ScaledObject, TriggerEntry, dotted_path
from scaler.telemetry.names import PLANNED_DEMAND
from scaler.trigger import TRIGGER_KEYS, Trigger, TriggerRules, parse_trigger
from scaler.trigger.planned import plan_selector, reactive_half, reads_plan
from scaler.trigger.schema import KEDA_READS
from scaler.trigger.values import NOT_SHOWN, is_secret, shorten, veil

PREFIX = "headway.dev/"
FORECAST = f"{PREFIX}forecast"
ANNOTATIONS = ("metadata", "annotations")

TAKEN = (*KEDA_READS, "activationThreshold")
"""keys of the trigger, as KEDA reads them; an annotation for one of them is refused"""

MOST_WRAPPING = 1024
"""characters of a wrapped query beside the demand itself"""

_NOT_FOR_HEADWAY = frozenset({"authModes", "customHeaders"})
"""how KEDA authenticates to the server; Headway uses the credentials of its settings for that server"""


def annotation(key: str) -> str:
    """The annotation for a key of the trigger: `leadTime` → `headway.dev/lead-time`."""
    return PREFIX + re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", key)


KEY_OF: Mapping[str, str] = {annotation(key.name): key.name for key in TRIGGER_KEYS if key.name not in TAKEN}
"""annotation → key of the trigger, for those that an object may set"""

_TAKEN_FROM_TRIGGER: Mapping[str, str] = {annotation(key): key for key in TAKEN}


@dataclass(frozen=True, slots=True)
class Annotated:
    """The trigger that is watched for an object."""

    metadata: Mapping[str, str]
    trigger: Trigger
    entry: TriggerEntry
    """the `prometheus` trigger that it comes from"""

    @property
    def is_wrapped(self) -> bool:
        """Whether KEDA reads the plan already."""
        return self.entry.reads_plan

    def place(self, key: str) -> FieldPath:
        """Where a key of the trigger is written."""
        return _place(self.entry, key)


@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault, and its place in the object."""

    path: FieldPath
    fault: Fault


def asks_for_forecast(annotations: Mapping[str, Any]) -> bool:
    """Whether the annotation is there and not "false"; it may be faulty."""
    return annotations.get(FORECAST) not in (None, "false")


def read_annotated(scaled: ScaledObject, rules: TriggerRules) -> Annotated | tuple[PlacedFault, ...] | None:
    """The trigger that is watched for the object, or every fault; None for an object that asks for no forecast."""
    if not asks_for_forecast(scaled.annotations):
        return None
    faults = list(annotation_faults(scaled.annotations))
    try:
        entry = _chosen(scaled)
    except ValueError as error:
        path: FieldPath = ("spec", "triggers")
        return (*faults, PlacedFault(path, Fault(dotted_path(path), "", str(error))))
    faults += _entry_faults(entry)
    metadata = {key: text for key, text in entry.given.items() if key in TAKEN or _is_refused(key)}
    metadata |= {key: str(scaled.annotations[name]) for name, key in KEY_OF.items() if name in scaled.annotations}
    faults += _take_half(entry, metadata, rules)
    try:
        trigger = parse_trigger(scaled.namespace, scaled.name, metadata, rules)
    except TriggerInvalid as invalid:
        known = {one.path for one in faults}
        placed = (_placed(entry, fault) for fault in invalid.faults)
        return (*faults, *(one for one in placed if one.path not in known))
    return tuple(faults) or Annotated(metadata, trigger, entry)


def annotation_faults(annotations: Mapping[str, Any]) -> Iterator[PlacedFault]:
    """Faults in the annotations themselves; the values of known keys are checked with the trigger."""
    own = sorted(str(name) for name in annotations if str(name).startswith(PREFIX))
    for name in own[:MOST_SPELLED_OUT]:
        value, path = annotations[name], (*ANNOTATIONS, name)
        if name == FORECAST and value not in ("true", "false"):
            shown = veil(str(value).lower() if isinstance(value, bool) else str(value))
            yield PlacedFault(path, Fault(name, shown, 'must be "true" or "false", in quotes'))
        elif name != FORECAST and name not in KEY_OF:
            yield PlacedFault(path, Fault(_shown(name), NOT_SHOWN, _unknown_rule(name)))


def _unknown_rule(name: str) -> str:
    if name in _TAKEN_FROM_TRIGGER:
        return f"is taken from the `prometheus` trigger: write {_TAKEN_FROM_TRIGGER[name]} there, and remove this"
    near = _near(name)
    return f"is no annotation of Headway: did you mean {near}?" if near else "is no annotation of Headway"


def _near(name: str) -> str:
    """The annotation that a misspelled one resembles; empty where there is none."""
    known = [one.removeprefix(PREFIX) for one in (FORECAST, *KEY_OF)]
    near = get_close_matches(name.removeprefix(PREFIX)[:50].lower(), known, n=1, cutoff=0.65)
    return PREFIX + near[0] if near else ""


def _shown(name: str) -> str:
    """A faulty annotation as a message repeats it: one that resembles none may be a secret in the wrong place."""
    is_known = name in _TAKEN_FROM_TRIGGER or _near(name)
    return shorten(name) if is_known else PREFIX + veil(name.removeprefix(PREFIX))


def _chosen(scaled: ScaledObject) -> TriggerEntry:
    """The trigger whose demand is forecast. Raises ValueError with the rule that chooses it."""
    readers = scaled.plan_readers
    own = [entry for entry in readers if _may_read_own_plan(entry, scaled)]
    others = [entry for entry in scaled.prometheus_triggers if not entry.reads_plan]
    chosen = own or others
    if len(chosen) == 1:
        return chosen[0]
    if own:
        raise ValueError(
            f"must have one trigger that reads {PLANNED_DEMAND} of this object: {len(own)} do, and one forecast cannot "
            "be the demand of both"
        )
    if readers and not others:
        raise ValueError(
            f'must read {PLANNED_DEMAND} with namespace="{scaled.namespace}" and name="{scaled.name}": it reads the '
            "plan of another object"
        )
    if not others:
        raise ValueError("must have a trigger of type `prometheus`: its query is the demand that is forecast")
    raise ValueError(
        f"has {len(others)} triggers of type `prometheus`: Headway forecasts the one that reads {PLANNED_DEMAND} "
        "of this object, and none does"
    )


def _may_read_own_plan(entry: TriggerEntry, scaled: ScaledObject) -> bool:
    selector = plan_selector(entry.metadata["query"])
    return selector is not None and selector.may_be_of(scaled.namespace, scaled.name)


def _entry_faults(entry: TriggerEntry) -> Iterator[PlacedFault]:
    metric_type = entry.fields.get("metricType") or "AverageValue"
    if metric_type != "AverageValue":
        path: FieldPath = (*entry.path, "metricType")
        rule = "must be AverageValue, or be left out: the forecast is of the total demand"
        yield PlacedFault(path, Fault(dotted_path(path), veil(str(metric_type)), rule))
    for key in TAKEN:
        if f"{key}FromEnv" in entry.given:
            path = (*entry.path, "metadata", f"{key}FromEnv")
            rule = f"is the name of a variable of the workload, which Headway does not read: write {key}"
            yield PlacedFault(path, Fault(dotted_path(path), NOT_SHOWN, rule))


def _take_half(entry: TriggerEntry, metadata: dict[str, str], rules: TriggerRules) -> Iterator[PlacedFault]:
    """Reduce a wrapped query in `metadata` to the demand itself."""
    query = metadata.get("query", "")
    if not reads_plan(query):
        return
    path: FieldPath = (*entry.path, "metadata", "query")
    if len(query) > rules.max_query_length + MOST_WRAPPING:
        rule = f"has {len(query)} characters, at most {rules.max_query_length + MOST_WRAPPING} are allowed"
        yield PlacedFault(path, Fault(dotted_path(path), veil(query), rule))
        return
    try:
        metadata["query"] = reactive_half(query)
    except ValueError as error:
        yield PlacedFault(path, Fault(dotted_path(path), veil(query), str(error)))


def _is_refused(key: str) -> bool:
    """Keys that no trigger of Headway may have: parse_trigger has the fault for them."""
    return key == "awsRegion" or (is_secret(key) and key not in _NOT_FOR_HEADWAY)


def _placed(entry: TriggerEntry, fault: Fault) -> PlacedFault:
    path = _place(entry, fault.field)
    shown = str(path[-1]) if path[:2] == ANNOTATIONS else dotted_path(path)
    return PlacedFault(path, Fault(shown, fault.value, fault.rule))


def _place(entry: TriggerEntry, key: str) -> FieldPath:
    return (*ANNOTATIONS, annotation(key)) if key in KEY_OF.values() else (*entry.path, "metadata", key)

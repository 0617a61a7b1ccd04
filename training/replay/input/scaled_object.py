"""A ScaledObject as a replay uses it: query and threshold of its trigger, and the settings of KEDA and the HPA.

Defaults are KEDA's; those of `behavior` are Kubernetes's (`GenerateHPAScaleUpRules` and
`GenerateHPAScaleDownRules` in pkg/apis/autoscaling/v2/defaults.go).
"""

import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from scaler.checks.keys import strangers
from scaler.commands import Usage
from scaler.discovery.annotated import annotation, asks_for_forecast
from scaler.errors import TriggerInvalid
from scaler.manifest import FieldPath, ManifestError, ScaledObject, TriggerEntry, dotted_path, read_manifest
from scaler.plan.hpa import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Direction,
    Hpa,
    MetricType,
    PolicyType,
    RatePolicy,
    Select,
)
from scaler.trigger import Trigger, TriggerRules, parse_trigger
from scaler.trigger.schema import KEDA_READS
from training.replay.simulation.scenario import Keda

NO_SERVER = "http://no-server"
"""used when no server address is given"""
BEHAVIOR: FieldPath = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")
MOST_WHOLE = 2**31 - 1
"""Kubernetes uses 32-bit integers"""
LONGEST_PERIOD_SECONDS = 1800
LONGEST_WINDOW_SECONDS = 3600
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 80
Kind = TypeVar("Kind", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a workload is scaled today."""

    trigger: Trigger
    """`server_address` is empty where none is named"""
    hpa: Hpa
    keda: Keda
    scales_to_zero: bool
    silence_is_zero: bool
    """the trigger itself sets ignoreNullValues"""
    by_value: bool
    """metricType Value: the HPA does not divide the metric by the replicas"""
    notes: tuple[str, ...]
    """parts of the ScaledObject that are not replayed"""
    scaler_address: str = ""
    """of an existing trigger of Headway"""
    is_annotated: bool = False
    """whether it asks for a forecast by annotation"""

    @property
    def name(self) -> str:
        return f"{self.trigger.namespace}/{self.trigger.name}"


def read_scaling(path: Path, name: str, threshold: float | None) -> Scaling:
    """The ScaledObject `name` (namespace/name; empty if there is only one) of a file. Raises Usage.

    threshold: overrides the trigger's. A trigger without a server address has an empty one.
    """
    try:
        manifest = read_manifest(path.read_text(encoding="utf-8"))
        scaled = _named(manifest.objects, name)
        return _Reader(scaled).scaling(threshold)
    except UnicodeDecodeError:
        raise Usage(f"--scaledobject {str(path)!r}: is not UTF-8 text") from None
    except (OSError, ManifestError, _Wrong) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Usage(f"--scaledobject {str(path)!r}: {reason}") from None


class _Wrong(Exception):
    """A part of the file that cannot be replayed; the text names the field, its value and the rule."""


def _named(objects: Sequence[ScaledObject], name: str) -> ScaledObject:
    found = [one for one in objects if one.kind == "ScaledObject"]
    if not found:
        raise _Wrong("it contains no ScaledObject")
    if name:
        found = [one for one in found if name in (f"{one.namespace}/{one.name}", one.name)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{one.namespace}/{one.name}" for one in objects if one.kind == "ScaledObject")
    raise _Wrong(
        f"--series {name!r}: must be one of {there}"
        if name
        else f"several ScaledObjects: give --series, one of {there}"
    )


def _ask_the_same(one: TriggerEntry, other: TriggerEntry) -> bool:
    return "query" in one.given and one.given["query"] == other.given.get("query")


class _Reader:
    """Reads one ScaledObject; every error names its line."""

    def __init__(self, scaled: ScaledObject) -> None:
        self._scaled = scaled

    def scaling(self, threshold: float | None) -> Scaling:
        entry = self._chosen()
        trigger = self._trigger(entry, threshold)
        least = self._integer(("spec", "minReplicaCount"), 0, 0)
        most = self._integer(("spec", "maxReplicaCount"), 100, 1)
        if most < max(1, least):
            raise self._wrong(("spec", "maxReplicaCount"), most, f"must not be below minReplicaCount, {least}")
        idle = self._integer(("spec", "idleReplicaCount"), least, 0)
        if idle and "idleReplicaCount" in self._scaled.spec:
            raise self._wrong(("spec", "idleReplicaCount"), idle, "KEDA has only 0")
        polling = self._integer(("spec", "pollingInterval"), 30, 1)
        cooldown = self._integer(("spec", "cooldownPeriod"), 300, 0)
        return Scaling(
            trigger=trigger,
            hpa=self._hpa(max(1, least), most),
            keda=Keda(float(polling), float(cooldown), trigger.activation_threshold),
            scales_to_zero=idle == 0,
            silence_is_zero=entry.given.get("ignoreNullValues") == "true",
            by_value=self._metric_type(entry) is MetricType.VALUE,
            notes=tuple(self._left_out(entry)),
            scaler_address=next((one.given.get("scalerAddress", "") for one in self._scaled.our_triggers), ""),
            is_annotated=asks_for_forecast(self._scaled.annotations),
        )

    def _metric_type(self, entry: TriggerEntry) -> MetricType:
        """AverageValue where it is blank, as in KEDA."""
        if not entry.fields.get("metricType"):
            return MetricType.AVERAGE_VALUE
        return self._one_of((*entry.path, "metricType"), MetricType)

    def _chosen(self) -> TriggerEntry:
        """Today's trigger: KEDA's own; Headway's if there is no other, or if KEDA's own has the same query."""
        ours = self._scaled.our_triggers
        found = [one for one in self._scaled.prometheus_triggers if not one.reads_plan] or self._wrapped()
        if ours:
            found = [one for one in found if any(_ask_the_same(one, other) for other in ours)] or list(ours)
        if len(found) == 1:
            return found[0]
        if found:
            queries = "; ".join(f"trigger {one.index}: {one.given.get('query', '')}" for one in found)
            raise _Wrong(f"{len(found)} triggers query Prometheus, a replay judges one: remove the others ({queries})")
        if self._scaled.plan_readers:
            raise _Wrong("its trigger reads Headway's plan and no demand after `or`: give --query instead")
        raise self._wrong(
            ("spec", "triggers"), [one.kind for one in self._scaled.triggers], "none of its triggers queries Prometheus"
        )

    def _wrapped(self) -> list[TriggerEntry]:
        """Triggers that read the plan, each with the demand itself in its place."""
        return [one.demand for one in self._scaled.plan_readers if one.demand is not None]

    def _trigger(self, entry: TriggerEntry, threshold: float | None) -> Trigger:
        """The trigger as KEDA reads it, or the scaler for a trigger of Headway."""
        known = (*KEDA_READS, "activationThreshold")
        given = {key: text for key, text in entry.given.items() if entry.ours or key in known}
        if threshold is not None:
            given = {key: text for key, text in given.items() if key.removesuffix("FromEnv") != "threshold"}
            given["threshold"] = f"{threshold:.12g}"
        rules = TriggerRules(NO_SERVER, ("*",))
        try:
            trigger = parse_trigger(self._scaled.namespace, self._scaled.name, given, rules)
        except TriggerInvalid as invalid:
            line = self._scaled.line((*entry.path, "metadata"))
            raise _Wrong(f"line {line}: trigger {entry.index}: {'; '.join(map(str, invalid.faults))}") from None
        zones = [one.given.get("timezone") for one in self._scaled.our_triggers if _ask_the_same(one, entry)]
        if asks_for_forecast(self._scaled.annotations):
            zones.append(self._scaled.annotations.get(annotation("timezone")))
        address = "" if trigger.server_address == NO_SERVER else trigger.server_address
        return replace(trigger, server_address=address, timezone=next(filter(None, zones), trigger.timezone))

    def _left_out(self, chosen: TriggerEntry) -> list[str]:
        notes = []
        if self._scaled.triggers[chosen.index].reads_plan:
            notes.append("its trigger reads Headway's plan: the demand after `or` is replayed")
        if chosen.ours:
            notes.append(
                "its trigger is already Headway's: it is replaced by a reactive one with its query and threshold"
            )
        others = [one for one in self._scaled.triggers if one.index != chosen.index and not _ask_the_same(one, chosen)]
        if others:
            kinds = ", ".join(sorted({one.kind for one in others}))
            notes.append(f"its other triggers ({kinds}) are not replayed: the HPA follows the largest metric")
        if self._scaled.section("advanced", "scalingModifiers"):
            notes.append("its scalingModifiers are not replayed: the trigger is replayed alone")
        if chosen.fields.get("useCachedMetrics") is True:
            notes.append("useCachedMetrics is not replayed: the HPA would see values up to pollingInterval older")
        return [*notes, *self._strangers()]

    def _strangers(self) -> Iterator[str]:
        """Notes on unknown keys, which may be typos: the setting they were meant for has its default.

        In `behavior` they are an error: the HPA would differ from the one in the file.
        """
        for one in strangers(self._scaled):
            if one.path[: len(BEHAVIOR)] == BEHAVIOR:
                raise self._wrong(one.path, one.value, f"Kubernetes knows only {', '.join(sorted(one.known))}")
            yield f"{self._located(one.path, one.value)}: is not replayed; KEDA does not know this key"

    def _hpa(self, least: int, most: int) -> Hpa:
        path = BEHAVIOR
        section = self._section(path)
        if not section:
            return Hpa(min_replicas=least, max_replicas=most)
        plain = Hpa()
        return Hpa(
            min_replicas=least,
            max_replicas=most,
            tolerance_up=self._tolerance((*path, "scaleUp", "tolerance"), plain.tolerance_up),
            tolerance_down=self._tolerance((*path, "scaleDown", "tolerance"), plain.tolerance_down),
            behavior=Behavior(
                self._direction((*path, "scaleUp"), DEFAULT_UP), self._direction((*path, "scaleDown"), DEFAULT_DOWN)
            ),
        )

    def _direction(self, path: FieldPath, default: Direction) -> Direction:
        section = self._section(path)
        window = self._integer(
            (*path, "stabilizationWindowSeconds"), int(default.stabilization_seconds), 0, LONGEST_WINDOW_SECONDS
        )
        found = section.get("policies")
        policies = default.policies
        if found is not None:
            if not isinstance(found, list) or not found:
                raise self._wrong((*path, "policies"), found, "must be a list of at least one policy")
            policies = tuple(self._policy((*path, "policies", index)) for index in range(len(found)))
        return Direction(float(window), policies, self._one_of((*path, "selectPolicy"), Select, default.select))

    def _policy(self, path: FieldPath) -> RatePolicy:
        return RatePolicy(
            self._one_of((*path, "type"), PolicyType),
            self._integer((*path, "value"), None, 1),
            float(self._integer((*path, "periodSeconds"), None, 1, LONGEST_PERIOD_SECONDS)),
        )

    def _integer(self, path: FieldPath, default: int | None, least: int, most: int = MOST_WHOLE) -> int:
        found = self._at(path)
        if found is None and default is not None:
            return default
        if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
            raise self._wrong(path, found, f"must be a whole number from {least} to {most}")
        return found

    def _tolerance(self, path: FieldPath, default: float) -> float:
        """A quantity of Kubernetes, as 0.05 or 50m."""
        found = self._at(path)
        if found is None:
            return default
        number = re.fullmatch(r"(\d*\.?\d+(?:[eE][+-]?\d+)?)(m?)", str(found))
        tolerance = float(number[1]) / (1000 if number[2] else 1) if number else math.inf
        if not tolerance < math.inf or isinstance(found, bool):
            raise self._wrong(path, found, "must be a quantity as 0.05 or 50m")
        return tolerance

    def _one_of(self, path: FieldPath, kind: type[Kind], default: Kind | None = None) -> Kind:
        found = self._at(path)
        if found is None and default is not None:
            return default
        if found not in [one.value for one in kind]:
            raise self._wrong(path, found, f"must be one of {', '.join(kind)}")
        return kind(found)

    def _section(self, path: FieldPath) -> Mapping[str, Any]:
        found = self._at(path)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise self._wrong(path, found, "must be a mapping")
        return found

    def _at(self, path: FieldPath) -> Any:
        """The value there; None if there is none."""
        here: Any = {"spec": self._scaled.spec}
        for depth, step in enumerate(path):
            if isinstance(step, int):
                here = here[step]
            elif isinstance(here, Mapping):
                here = here.get(step)
            elif here is None:
                return None
            else:
                raise self._wrong(path[:depth], here, "must be a mapping")
        return here

    def _wrong(self, path: FieldPath, found: object, rule: str) -> _Wrong:
        return _Wrong(f"{self._located(path, found)}: {rule}")

    def _located(self, path: FieldPath, found: object) -> str:
        """Line, field and value, without control characters."""
        name = dotted_path(path)
        field = name if name.isprintable() else repr(name)
        return f"line {self._scaled.line(path)}: {field}={SHORT.repr(found)}"

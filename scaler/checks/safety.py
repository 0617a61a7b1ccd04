"""Rules on what happens when a part is missing, slow or wrong."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import EXTERNAL_TYPES, ScaledObject, whole_number
from scaler.telemetry.names import PLANNED_DEMAND

NOT_REACTIVE = (*EXTERNAL_TYPES, "cron", "predictkube")
"""types of triggers that do not follow the demand of now"""
RESOURCE_TYPES = ("cpu", "memory")
"""types of triggers that the HPA reads itself: they work while KEDA cannot tell the metrics of an object"""

_FALLBACK_EXAMPLE = "fallback: {failureThreshold: 3, replicas: N, behavior: currentReplicasIfHigher}"


def scaled_job(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if scaled.kind == "ScaledJob":
        yield Finding(
            Level.WARNING,
            "scaled-job",
            "A forecast would start jobs for work that does not exist yet; ScaledJobs have no fallback and no HPA.",
            "Use a trigger that counts waiting work (queue length) for jobs.",
            ("kind",),
        )


def metric_type(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        written = entry.fields.get("metricType") or "AverageValue"
        if written == "AverageValue":
            continue
        text = {
            "Value": "metricType Value makes the HPA multiply the ready pods by demand / threshold: a total demand "
            "then runs away, and pods still starting distort it. Headway does not see metricType and cannot refuse it.",
            "Utilization": "KEDA rejects metricType Utilization for external triggers.",
        }.get(str(written), f"metricType {written!r} is unknown to KEDA.")
        path = (*entry.path, "metricType")
        yield Finding(Level.ERROR, "metric-type", text, "Remove metricType: AverageValue is the default.", path)


def reactive_floor(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if not scaled.our_triggers or scaled.kind == "ScaledJob":
        return
    if all(entry.kind in NOT_REACTIVE for entry in scaled.triggers):
        yield Finding(
            Level.WARNING,
            "reactive-floor",
            "No other trigger is reactive: while Headway answers errors, or cannot be reached, nothing scales up.",
            "Add `cpu`, which the HPA reads without KEDA, and a `prometheus` trigger with the same query and threshold "
            "for the time when Headway answers errors. The HPA takes the maximum.",
            ("spec", "triggers"),
        )
    elif not any(entry.kind in RESOURCE_TYPES for entry in scaled.triggers):
        yield Finding(
            Level.ADVICE,
            "resource-floor",
            "While no replica of Headway can be reached, nothing scales up: KEDA then has no external metric of this "
            "object, those of its other triggers included, and fallback does not start.",
            "Run two or more replicas of Headway and add a `cpu` trigger, which the HPA reads without KEDA; or let a "
            f"`prometheus` trigger read {PLANNED_DEMAND} (docs/keda.md).",
            ("spec", "triggers"),
        )


def fallback_at_zero(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    """Seen with KEDA 2.20: the object stays Ready during the outage, so no reconcile brings our metric back."""
    if not loses_metric(scaled) or not scaled.spec.get("fallback"):
        return
    yield Finding(
        Level.WARNING,
        "fallback-at-zero",
        "With minReplicaCount 0, fallback and a second trigger, an outage of Headway makes KEDA rebuild the HPA "
        "without Headway's metric. Only a change of `spec` brings it back; meanwhile everything looks healthy.",
        "Remove fallback, or set minReplicaCount: 1.",
        ("spec", "fallback"),
    )


def loses_metric(scaled: ScaledObject) -> bool:
    """Whether a fallback would cost the forecast after an outage of Headway."""
    ours = scaled.our_triggers
    return scaled.kind == "ScaledObject" and scaled.min_replicas == 0 and 0 < len(ours) < len(scaled.triggers)


def fallback(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if not scaled.our_triggers or scaled.kind == "ScaledJob" or scaled.spec.get("fallback") or loses_metric(scaled):
        return
    yield Finding(
        Level.WARNING,
        "fallback",
        "There is no fallback: while GetMetrics fails the HPA freezes (other triggers may only scale up).",
        f"Add {_FALLBACK_EXAMPLE}",
        ("spec",),
    )


def fallback_values(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    written = scaled.section("fallback")
    if not written or not scaled.our_triggers:
        return
    for level, key, text in _fallback_faults(written, scaled.min_replicas):
        yield Finding(level, "fallback", text, f"Write {_FALLBACK_EXAMPLE}", ("spec", "fallback", key))


def _fallback_faults(written: Mapping[str, Any], minimum: int | None) -> Iterator[tuple[Level, str, str]]:
    replicas, threshold = written.get("replicas"), written.get("failureThreshold")
    behavior = written.get("behavior", "static")
    for key, value in (("replicas", replicas), ("failureThreshold", threshold)):
        if value is None:
            yield Level.ERROR, key, f"fallback.{key} is missing: the API server refuses the file."
        elif whole_number(value) is None:
            yield Level.ERROR, key, f"fallback.{key}: {value!r} is no whole number: the API server refuses the file."
        elif value < 0:
            yield Level.ERROR, key, f"fallback.{key}: {value} is below 0: KEDA ignores the fallback."
    if replicas == 0 and minimum == 0:
        yield Level.WARNING, "replicas", "fallback.replicas 0: an erring object that is inactive is scaled to zero."
    elif minimum is not None and 0 < (whole_number(replicas) or 0) < minimum:
        yield Level.ADVICE, "replicas", f"fallback.replicas {replicas} is below minReplicaCount {minimum}."
    if behavior in ("static", "currentReplicasIfLower"):
        yield (
            Level.WARNING,
            "behavior",
            f"fallback.behavior {behavior} replaces the value and is no floor: it can pull a busy workload down to "
            f"{replicas} replicas.",
        )


def scaling_modifiers(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    formula = str(scaled.section("advanced", "scalingModifiers").get("formula", ""))
    path = ("spec", "advanced", "scalingModifiers", "formula")
    if not formula or not scaled.our_triggers:
        return
    for entry in scaled.our_triggers:
        if not entry.name:
            text = "A formula works on named triggers, and Headway's has no name."
            yield Finding(Level.ERROR, "scaling-modifiers", text, "Give the trigger a `name`.", entry.path)
        elif re.search(rf"\b{re.escape(entry.name)}\s*\?\?", formula) is None:
            text = (
                f"In `{formula}` nothing stands in for `{entry.name}` when it has no value: the formula fails, the HPA "
                "holds, and with minReplicaCount 0 the object scales to zero."
            )
            fix = f"Write `{entry.name} ?? …` (and fallback.behavior: scalingModifiers), or use plain triggers."
            yield Finding(Level.WARNING, "scaling-modifiers", text, fix, path)
        elif scaled.section("fallback").get("behavior") != "scalingModifiers":
            text = (
                f"`{entry.name} ??` does not help against errors without fallback.behavior: scalingModifiers: an error "
                "of Headway then fails the formula, and the HPA holds."
            )
            fix = "Write fallback: {failureThreshold: 3, replicas: 10, behavior: scalingModifiers} (KEDA 2.20)."
            yield Finding(Level.WARNING, "scaling-modifiers", text, fix, ("spec", "fallback"))
    text = "With scalingModifiers KEDA ignores Headway's activity on polls: active means formula > activationTarget."
    yield Finding(Level.ADVICE, "scaling-modifiers", text, "Prefer separate triggers: the HPA takes the maximum.", path)

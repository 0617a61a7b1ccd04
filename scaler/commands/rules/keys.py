"""Keys that nobody reads: what they were meant to set has its default, without a word."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from scaler.commands.manifest import FieldPath, ScaledObject
from scaler.commands.rules.finding import Context, Finding, Level, dotted

_DIRECTION = frozenset({"policies", "selectPolicy", "stabilizationWindowSeconds", "tolerance"})
_KNOWN: Mapping[FieldPath, frozenset[str]] = {
    (): frozenset(
        {"advanced", "cooldownPeriod", "fallback", "idleReplicaCount", "initialCooldownPeriod", "maxReplicaCount"}
        | {"minReplicaCount", "pollingInterval", "scaleTargetRef", "triggers"}
    ),
    ("advanced",): frozenset({"horizontalPodAutoscalerConfig", "restoreToOriginalReplicaCount", "scalingModifiers"}),
    ("advanced", "horizontalPodAutoscalerConfig"): frozenset({"behavior", "name"}),
    ("advanced", "horizontalPodAutoscalerConfig", "behavior"): frozenset({"scaleDown", "scaleUp"}),
    ("advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleDown"): _DIRECTION,
    ("advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp"): _DIRECTION,
    ("fallback",): frozenset({"behavior", "failureThreshold", "replicas"}),
}
"""of a ScaledObject, below `spec` (scaledobject_types.go of KEDA, autoscaling/v2); newer versions may know more"""
_TRIGGER = frozenset({"authenticationRef", "metadata", "metricType", "name", "type", "useCachedMetrics"})


def unknown_keys(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for path, _ in strangers(scaled):
        known = _TRIGGER if path[1] == "triggers" else _KNOWN[path[1:-1]]
        text = f"KEDA {dotted(context.keda_version)} knows no {path[-1]!r} there: it is refused, or dropped in silence."
        yield Finding(Level.WARNING, "unknown-key", text, _mend(str(path[-1]), known), path)


def _mend(key: str, known: frozenset[str]) -> str:
    alike = get_close_matches(key, sorted(known), n=1)
    if alike:
        return f"Write `{alike[0]}` instead of `{key}`."
    return f"Remove `{key}`; known there: {', '.join(sorted(known))}."


def strangers(scaled: ScaledObject) -> Iterator[tuple[FieldPath, Any]]:
    """(where, what) of every such key of a ScaledObject and its triggers."""
    if scaled.kind != "ScaledObject":
        return
    for below, known in _KNOWN.items():
        yield from _unknown(("spec", *below), scaled.section(*map(str, below)), known)
    for entry in scaled.triggers:
        yield from _unknown(entry.path, entry.fields, _TRIGGER)


def _unknown(path: FieldPath, found: Mapping[str, Any], known: frozenset[str]) -> Iterator[tuple[FieldPath, Any]]:
    for key, value in found.items():
        if key not in known:
            yield (*path, str(key)), value

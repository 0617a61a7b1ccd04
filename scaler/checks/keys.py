"""Keys that KEDA does not read: what they were meant to set keeps its default, without any message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from scaler.checks.finding import Context, Finding, Level, dotted
from scaler.manifest import FieldPath, ScaledObject
from scaler.trigger.schema import KEDA_READS
from scaler.trigger.values import NOT_SHOWN

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
_POLICY = frozenset({"periodSeconds", "type", "value"})
_TRIGGER = frozenset({"authenticationRef", "metadata", "metricType", "name", "type", "useCachedMetrics"})
_PROMETHEUS = frozenset({*KEDA_READS, "activationThreshold", "authModes", "customHeaders", "unsafeSsl"})
"""of the metadata of KEDA's own trigger; it ignores others, so only what looks like one of these is reported"""
_ALIKE = 0.85


def unknown_keys(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for stranger in strangers(scaled):
        key = str(stranger.path[-1])
        text = f"KEDA {dotted(context.keda_version)} knows no {key!r} there: it is refused, or dropped in silence."
        yield Finding(Level.WARNING, "unknown-key", text, _fix(key, stranger.known), stranger.path)


def _fix(key: str, known: frozenset[str]) -> str:
    alike = get_close_matches(key, sorted(known), n=1)
    if alike:
        return f"Write `{alike[0]}` instead of `{key}`."
    return f"Remove `{key}`; known there: {', '.join(sorted(known))}."


@dataclass(frozen=True, slots=True)
class Stranger:
    """A key that is not among the `known` ones of its place. value: not that of metadata, which may be a secret."""

    path: FieldPath
    value: Any
    known: frozenset[str]


def strangers(scaled: ScaledObject) -> Iterator[Stranger]:
    """Every such key of a ScaledObject and its triggers."""
    if scaled.kind != "ScaledObject":
        return
    for below, known in _KNOWN.items():
        found = scaled.section(*map(str, below))
        yield from _unknown(("spec", *below), found, known)
        policies = found.get("policies") if known is _DIRECTION else None
        for index, policy in enumerate(policies if isinstance(policies, list) else ()):
            if isinstance(policy, Mapping):
                yield from _unknown(("spec", *below, "policies", index), policy, _POLICY)
    for entry in scaled.triggers:
        yield from _unknown(entry.path, entry.fields, _TRIGGER)
    for entry in scaled.prometheus_triggers:
        slips = {key: NOT_SHOWN for key in entry.metadata if get_close_matches(key, _PROMETHEUS, 1, _ALIKE)}
        yield from _unknown((*entry.path, "metadata"), slips, _PROMETHEUS)


def _unknown(path: FieldPath, found: Mapping[str, Any], known: frozenset[str]) -> Iterator[Stranger]:
    for key, value in found.items():
        if key not in known:
            yield Stranger((*path, str(key)), value, known)

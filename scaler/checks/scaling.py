"""Rules on replicas and on the settings of the HPA."""

from collections.abc import Iterator, Mapping
from typing import Any

from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import ScaledObject, whole_number


def replica_bounds(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    least, most = scaled.min_replicas, scaled.max_replicas
    if scaled.kind != "ScaledObject" or least is None or most is None:
        return
    if most < max(1, least):
        yield Finding(
            Level.ERROR,
            "replica-bounds",
            f"maxReplicaCount {most} is below minReplicaCount {least}: KEDA refuses it.",
            "Raise maxReplicaCount.",
            ("spec", "maxReplicaCount"),
        )


def minimum_zero(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if scaled.kind != "ScaledObject" or scaled.min_replicas != 0 or not scaled.our_triggers:
        return
    lacks = list(_lacks_for_zero(scaled))
    if not lacks:
        return
    written = "minReplicaCount is 0" if "minReplicaCount" in scaled.spec else "minReplicaCount is not set, which is 0"
    yield Finding(
        Level.WARNING,
        "minimum-zero",
        f"{written}: {', and '.join(why for why, _ in lacks)}.",
        f"Set minReplicaCount: 1; where zero is wanted, {' and '.join(fix for _, fix in lacks)}.",
        ("spec", "minReplicaCount"),
    )


def _lacks_for_zero(scaled: ScaledObject) -> Iterator[tuple[str, str]]:
    """What goes wrong in a workload that rests at zero, and what to write against it."""
    wait = scaled.whole("initialCooldownPeriod", 0)
    if wait is not None and wait <= 0:
        yield (
            "a fresh object is scaled to zero on its first inactive poll (initialCooldownPeriod is 0)",
            "set initialCooldownPeriod",
        )
    if not any(entry.kind == "external-push" for entry in scaled.our_triggers):
        yield "waking waits for the poll, then for the HPA", "use type external-push"


def idle_replicas(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    idle, least = whole_number(scaled.spec.get("idleReplicaCount")), scaled.min_replicas
    path = ("spec", "idleReplicaCount")
    if idle is None or least is None or not scaled.our_triggers:
        return
    if idle != 0 or least == 0:
        text = f"idleReplicaCount {idle}: works only as 0 and only below minReplicaCount ({least})."
        yield Finding(Level.ERROR, "idle-replicas", text, "Remove it, or set 0 with minReplicaCount ≥ 1.", path)
    else:
        text = (
            f"idleReplicaCount 0: while the trigger is inactive the workload stands at zero in spite of "
            f"minReplicaCount {least}."
        )
        yield Finding(Level.WARNING, "idle-replicas", text, "Remove it unless cold starts are wanted.", path)


def polling_interval(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    interval = whole_number(scaled.spec.get("pollingInterval"))
    if interval is None or interval == 30 or not scaled.our_triggers:
        return
    text = (
        f"pollingInterval {interval} governs only waking from zero, activity and fallback. Between 1 and N replicas "
        "the HPA asks every 15 s, whatever is written here."
    )
    fix = "Leave it at 30 unless waking from zero must be faster; then type external-push is faster still."
    yield Finding(Level.ADVICE, "polling-interval", text, fix, ("spec", "pollingInterval"))


def cached_metrics(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        if entry.fields.get("useCachedMetrics") is True:
            text = (
                "useCachedMetrics gives the HPA the value of the last poll: up to pollingInterval old, and stale for "
                "ever when the poll loop hangs. Headway's answers come from memory already."
            )
            path = (*entry.path, "useCachedMetrics")
            yield Finding(Level.WARNING, "cached-metrics", text, "Remove useCachedMetrics.", path)


def scale_up_behavior(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    up = scaled.section("advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp")
    path = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp")
    if not scaled.our_triggers:
        return
    if up.get("selectPolicy") == "Disabled":
        text = "scaleUp is Disabled: no forecast can add a replica."
        yield Finding(Level.ERROR, "scale-up", text, "Remove selectPolicy: Disabled.", (*path, "selectPolicy"))
    window = whole_number(up.get("stabilizationWindowSeconds", 0))
    if window is not None and window > 0:
        text = (
            f"scaleUp waits {window} s: the HPA takes the lowest recommendation of that time, which cancels as much of "
            "every forecast's lead."
        )
        fix = "Set stabilizationWindowSeconds: 0 (the default), or lengthen leadTime by as much."
        yield Finding(Level.WARNING, "scale-up", text, fix, (*path, "stabilizationWindowSeconds"))
    if slow := _slowest_policy(up):
        text = f"scaleUp policy {slow} is slower than the default (the larger of +4 pods and +100 % per 15 s)."
        fix = "Lengthen leadTime by the time the ramp takes, or remove the policy."
        yield Finding(Level.ADVICE, "scale-up", text, fix, (*path, "policies"))


def _slowest_policy(up: Mapping[str, Any]) -> str:
    """The written policies when together they are slower than the default's pace; empty otherwise."""
    written = up.get("policies")
    policies = [policy for policy in written if isinstance(policy, Mapping)] if isinstance(written, list) else []
    enough = all if up.get("selectPolicy") == "Min" else any
    if not policies or enough(map(_is_fast, policies)) or not all(map(_is_readable, policies)):
        return ""
    return ", ".join(f"{p.get('type')} {p.get('value')} per {p.get('periodSeconds')} s" for p in policies)


def _is_readable(policy: Mapping[str, Any]) -> bool:
    return all(whole_number(policy.get(key)) is not None for key in ("value", "periodSeconds"))


def _is_fast(policy: Mapping[str, Any]) -> bool:
    value, period = whole_number(policy.get("value")), whole_number(policy.get("periodSeconds"))
    if value is None or period is None or period <= 0:
        return False
    default = 100 if policy.get("type") == "Percent" else 4
    return value / period >= default / 15


def paused(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for key in ("paused", "paused-replicas", "paused-scale-out"):
        annotation = f"autoscaling.keda.sh/{key}"
        value = scaled.annotations.get(annotation)
        if value is not None and str(value).lower() != "false":
            text = f"{annotation} is set: " + (
                "no trigger can add a replica." if key == "paused-scale-out" else "KEDA calls no scaler and has no HPA."
            )
            path = ("metadata", "annotations", annotation)
            yield Finding(Level.WARNING, "paused", text, "Remove the annotation when the work is done.", path)

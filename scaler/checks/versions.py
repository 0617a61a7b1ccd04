"""Which KEDA is needed for what is written. One row per need; adding one is one row."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from scaler.checks.connection import uses_tls
from scaler.checks.finding import Context, Finding, Level, dotted
from scaler.manifest import ScaledObject

_Uses: TypeAlias = Callable[[ScaledObject, Context], bool]


def _push(scaled: ScaledObject, context: Context) -> bool:
    return any(entry.kind == "external-push" for entry in scaled.our_triggers)


def _tls(scaled: ScaledObject, context: Context) -> bool:
    return any(uses_tls(entry, context) for entry in scaled.our_triggers)


def _fractional_threshold(scaled: ScaledObject, context: Context) -> bool:
    return any("." in entry.given.get("threshold", "") for entry in scaled.our_triggers)


def _fallback_from_zero(scaled: ScaledObject, context: Context) -> bool:
    return bool(scaled.our_triggers and scaled.min_replicas == 0 and scaled.section("fallback"))


def _fallback_behavior(scaled: ScaledObject, context: Context) -> bool:
    return bool(scaled.our_triggers and scaled.section("fallback").get("behavior"))


def _fallback_by_formula(scaled: ScaledObject, context: Context) -> bool:
    return bool(scaled.our_triggers) and scaled.section("fallback").get("behavior") == "scalingModifiers"


def _single_trigger(scaled: ScaledObject, context: Context) -> bool:
    return bool(scaled.our_triggers) and scaled.kind == "ScaledObject" and len(scaled.triggers) == 1


def _always(scaled: ScaledObject, context: Context) -> bool:
    return bool(scaled.our_triggers)


NEEDS: tuple[tuple[tuple[int, int, int], Level, _Uses, str], ...] = (
    (
        (2, 17, 0),
        Level.ERROR,
        _fractional_threshold,
        "a fractional threshold is read as an integer target before it (floats are unknown)",
    ),
    (
        (2, 17, 0),
        Level.WARNING,
        _always,
        "fractions of demand are unknown before it: every value is rounded up to a whole number",
    ),
    ((2, 17, 0), Level.ERROR, _fallback_behavior, "fallback.behavior is unknown before it and silently dropped"),
    (
        (2, 18, 0),
        Level.ERROR,
        _push,
        "before it a pushed `false` switches the object off in spite of its other triggers",
    ),
    ((2, 19, 0), Level.WARNING, _fallback_from_zero, "before it a fallback cannot wake a workload from zero"),
    (
        (2, 20, 0),
        Level.ERROR,
        _tls,
        "before it connections are kept by address alone: the first object's TLS settings count for all, and a "
        "rotated certificate goes unnoticed until the operator restarts",
    ),
    ((2, 20, 0), Level.ERROR, _fallback_by_formula, "fallback.behavior scalingModifiers is unknown before it"),
    (
        (2, 20, 0),
        Level.WARNING,
        _single_trigger,
        "when Headway is away at creation, earlier versions make an HPA on CPU 80 % that stays",
    ),
)


def keda_version(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for needed, level, uses, why in NEEDS:
        if context.keda_version < needed and uses(scaled, context):
            text = f"KEDA {dotted(context.keda_version)} is older than {dotted(needed)}: {why}."
            yield Finding(level, "keda-version", text, f"Upgrade KEDA to {dotted(needed)} or newer.", ("spec",))

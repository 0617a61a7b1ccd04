"""Rules on what the trigger's metadata says to Headway."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from scaler.checks.annotated import wrapped_query
from scaler.checks.connection import KEDA_TLS_KEYS
from scaler.checks.finding import ANY_SERVER, Context, Finding, Level
from scaler.discovery.annotated import FORECAST, Annotated, asks_for_forecast, read_annotated
from scaler.errors import Fault, TriggerInvalid
from scaler.manifest import EXTERNAL_TYPES, FieldPath, ScaledObject, TriggerEntry
from scaler.telemetry.names import PLANNED_DEMAND
from scaler.trigger import Mode, Trigger, parse_trigger
from scaler.trigger.schema import KEDA_READS

_CONSEQUENCE = "GetMetrics fails: nothing scales down, and only other triggers scale up"


def parsed(scaled: ScaledObject, entry: TriggerEntry, context: Context) -> Trigger | tuple[Fault, ...]:
    """The trigger as the scaler would see it, or every fault it would report."""
    try:
        return parse_trigger(scaled.namespace, scaled.name, entry.metadata, context.trigger_rules)
    except TriggerInvalid as invalid:
        return invalid.faults


SHIPPED_BUNDLES = ("general", "seasonal")


def as_keda_reads(scaled: ScaledObject, entry: TriggerEntry, server: str = "") -> Trigger | tuple[Fault, ...]:
    """KEDA's own `prometheus` trigger as one of ours: there an empty answer counts as 0, unless it says otherwise.

    server: counts instead of its own serverAddress.
    """
    own = {key: text for key, text in entry.given.items() if key in KEDA_READS}
    own |= {"serverAddress": server} if server else {}
    try:
        return parse_trigger(scaled.namespace, scaled.name, {"ignoreNullValues": "true", **own}, ANY_SERVER)
    except TriggerInvalid as invalid:
        return invalid.faults


def _readable(scaled: ScaledObject, context: Context) -> Iterator[tuple[Trigger, Callable[[str], FieldPath]]]:
    """Triggers without faults, each with the place of its keys: those of ours, and the one that is discovered."""
    for entry in scaled.our_triggers:
        trigger = parsed(scaled, entry, context)
        if isinstance(trigger, Trigger):
            yield trigger, partial(_in_metadata, entry)
    found = read_annotated(scaled, context.trigger_rules)
    if isinstance(found, Annotated):
        yield found.trigger, found.place


def _in_metadata(entry: TriggerEntry, key: str) -> FieldPath:
    return (*entry.path, "metadata", key)


def our_trigger_present(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if scaled.our_triggers or scaled.plan_readers or asks_for_forecast(scaled.annotations):
        return
    other = any(entry.kind in EXTERNAL_TYPES for entry in scaled.triggers)
    why = (
        "its external triggers have no `query` and no `headway` in scalerAddress"
        if other
        else f"no annotation {FORECAST}, no external trigger, and none of type `prometheus` that reads {PLANNED_DEMAND}"
    )
    example = wrapped_query(scaled, scaled.prometheus_triggers[0]) if len(scaled.prometheus_triggers) == 1 else ""
    yield Finding(
        Level.WARNING,
        "no-trigger-of-ours",
        f"Nothing here is Headway's: {why}.",
        f'Annotate it with {FORECAST}: "true" and let its `prometheus` trigger read the plan (docs/keda.md), or add a '
        f"trigger of type `external` with scalerAddress, query and threshold.{' The query:' if example else ''}",
        ("spec", "triggers"),
        example,
    )


def trigger_faults(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        faults = parsed(scaled, entry, context)
        for fault in () if isinstance(faults, Trigger) else faults:
            if fault.field not in KEDA_TLS_KEYS:
                yield Finding(
                    Level.ERROR,
                    "trigger-fault",
                    f"{fault} ({_CONSEQUENCE})",
                    _fix(fault),
                    (*entry.path, "metadata", fault.field),
                )


def _fix(fault: Fault) -> str:
    """What to write, as far as the rule says."""
    if near := re.search(r"did you mean (\w+)\?", fault.rule):
        return f"Write `{near[1]}` instead of `{fault.field}`."
    if fault.rule.startswith("is required"):
        return f"Add `{fault.field}`."
    if fault.rule.startswith(("is not a key", "is refused")):
        return f"Remove `{fault.field}`."
    if "operator of Headway" in fault.rule:
        return f"Name an allowed server, remove `{fault.field}`, or ask the operator to add it to allow-server-address."
    return f"Write `{fault.field}` as the rule says."


def unquoted_values(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.triggers:
        for key, what in entry.unquoted.items():
            value = entry.metadata[key]
            yield Finding(
                Level.ERROR,
                "unquoted-value",
                f"Kubernetes reads {key}: {value} as {what}; metadata is string to string: the API server refuses it.",
                f'Write {key}: "{value}".' if what not in ("map", "seq") else f"Give `{key}` one quoted string.",
                (*entry.path, "metadata", key),
            )


def duplicate_keys(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for path in scaled.duplicates:
        yield Finding(
            Level.ERROR,
            "duplicate-key",
            f"`{path[-1]}` is written twice; only the last one counts, and strict tools refuse the file.",
            "Keep one of them.",
            path,
        )


def overridden_keys(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for path in scaled.overridden:
        yield Finding(
            Level.WARNING,
            "merge-order",
            f"`{path[-1]}` stands before a merge key (<<) that has it too: kubectl and Helm take the merged value, "
            "kustomize and standard YAML the one that is written here.",
            "Put `<<` first in the mapping.",
            path[:-1],
        )


def from_env(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        for key in entry.metadata:
            path = (*entry.path, "metadata", key)
            if key == "scalerAddressFromEnv":
                text = "KEDA does not resolve scalerAddressFromEnv; it takes the address from scalerAddress alone."
                yield Finding(Level.ERROR, "from-env", text, "Write scalerAddress.", path)
            elif key.endswith("FromEnv"):
                text = (
                    f"`{key}` is looked up in the environment of the target's container; where it is missing or empty "
                    "KEDA drops the key silently, and the value reaches Headway in clear."
                )
                yield Finding(Level.ADVICE, "from-env", text, f"Prefer `{key.removesuffix('FromEnv')}` itself.", path)


def mode_is_silent(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for trigger, place in _readable(scaled, context):
        if trigger.mode is not Mode.PREDICTIVE:
            yield Finding(
                Level.ADVICE,
                "mode",
                f"mode {trigger.mode} answers with the newest observation; forecasts do not change replicas.",
                "Remove `mode` (or set predictive) when forecasts are to change replicas.",
                place("mode"),
            )


def empty_answer_counts_as_zero(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for trigger, place in _readable(scaled, context):
        if trigger.ignore_null_values:
            yield Finding(
                Level.WARNING,
                "ignore-null-values",
                "An empty answer counts as demand 0: a lost scrape target looks like no traffic and scales down.",
                'Leave ignoreNullValues away; where "no series" really means 0, write `… or vector(0)` in the query.',
                place("ignoreNullValues"),
            )


def model_is_there(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for trigger, place in _readable(scaled, context):
        if trigger.model.partition("@")[0] not in ("auto", *SHIPPED_BUNDLES):
            yield Finding(
                Level.ADVICE,
                "model",
                f"model {trigger.model} is none of the bundles that ship ({', '.join(SHIPPED_BUNDLES)}). Where the "
                "scaler has no bundle of that name, another one forecasts in its place.",
                "Look at `headway why` once it is applied: it names the bundles that the scaler knows.",
                place("model"),
            )


def lead_time_too_short(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for trigger, place in _readable(scaled, context):
        if trigger.lead_time_seconds < 60:
            yield Finding(
                Level.WARNING,
                "lead-time",
                f"leadTime {trigger.lead_time_seconds:g}s hardly covers the HPA's sync (15 s) and a pod's start; what "
                "is ordered for a peak arrives after it.",
                "Set it to 15 s + start-up until ready; with node provisioning 4m to 6m.",
                place("leadTime"),
            )

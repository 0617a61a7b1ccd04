"""Rules on KEDA's `prometheus` trigger that reads the planned demand: the second way to connect in docs/keda.md."""

import re
from collections.abc import Iterator

from scaler.checks.finding import Context, Finding, Level
from scaler.checks.safety import NOT_REACTIVE
from scaler.manifest import ScaledObject, TriggerEntry
from scaler.telemetry.names import PLANNED_DEMAND
from scaler.trigger.planned import PlanSelector, plan_selector

_MAXIMUM = re.compile(rf"\bmax\s{{0,20}}\((?:\s{{0,20}}\w{{1,40}}\s{{0,20}}\(){{0,10}}\s{{0,20}}{PLANNED_DEMAND}\b")
"""`max(…`, also around functions: `max(max_over_time(…`"""
_LABELS_KEPT = re.compile(r"[^()]*\)+\s*(by|without)\b", re.IGNORECASE)
"""what follows the selector in `max(…) by (name)`"""
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_OR_ZERO = re.compile(r"\bor\s+vector\s*\(\s*0\s*\)\s*$", re.IGNORECASE)


def planned_maximum(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry, query in _queries(scaled):
        if _MAXIMUM.search(query) is None or _LABELS_KEPT.match(query, _selector(query).end):
            yield _finding(
                entry,
                Level.ERROR,
                f"{PLANNED_DEMAND} is not read as max(…) without `by`: each replica of Headway exports it, and its "
                "labels keep `or` from joining the halves. Several elements are an error to KEDA, a sum is a multiple.",
                f"Write max({PLANNED_DEMAND}{{…}}).",
            )


def planned_stand_in(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if any(entry.kind not in NOT_REACTIVE and not entry.reads_plan for entry in scaled.triggers):
        return  # the HPA takes the largest: another trigger is the stand-in
    for entry, query in _queries(scaled):
        plan = _selector(query)
        if _OR.search(query, plan.end):
            if not _OR_ZERO.search(query):
                continue
            text = "0 stands in for the plan: while Headway is away the workload is scaled down."
        elif _OR.search(query[: plan.start]):
            text = "The plan stands after `or`: it is read only while there is no demand to be read."
        else:
            text = f"Nothing stands in for the plan: while Headway is away {_what_empty_means(entry)}."
        fix = "Write `or` and the demand itself after the plan, as in docs/keda.md: max(…) or sum(…)."
        yield _finding(entry, Level.WARNING, text, fix)


def planned_labels(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry, query in _queries(scaled):
        labels = _selector(query).labels
        for label, own in (("namespace", scaled.namespace), ("name", scaled.name)):
            operator, read = labels.get(label, ("", ""))
            if not read:
                text = f'The plan is read without {label}="{own}": those of other workloads count too.'
                yield _finding(entry, Level.ERROR, text, f'Add {label}="{own}" to the braces.')
            elif operator == "=" and read != own:
                text = f'The plan that is read has {label}="{read}", and this object\'s is "{own}".'
                yield _finding(entry, Level.WARNING, text, f'Write {label}="{own}", as in the settings\' triggers.')


def _queries(scaled: ScaledObject) -> Iterator[tuple[TriggerEntry, str]]:
    for entry in scaled.plan_readers:
        yield entry, entry.metadata["query"]


def _selector(query: str) -> PlanSelector:
    found = plan_selector(query)
    assert found is not None, "a plan reader's query has the figure"
    return found


def _what_empty_means(entry: TriggerEntry) -> str:
    if entry.given.get("ignoreNullValues") == "false":
        return "the query is empty, which is an error to KEDA: nothing scales up"
    return "the query is empty, which KEDA reads as 0"


def _finding(entry: TriggerEntry, level: Level, text: str, fix: str) -> Finding:
    return Finding(level, "planned-demand", text, fix, (*entry.path, "metadata", "query"))

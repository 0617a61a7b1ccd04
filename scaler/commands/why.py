"""`headway why`: what a running scaler knows of one workload, as text. The record's form: scaler/status/records.py."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit
from scaler.commands.advice import query_step
from scaler.commands.anomalies import STALE_SECONDS
from scaler.commands.http_access import Access
from scaler.commands.savings.reading import Refused, read_savings
from scaler.commands.scaler_api import REFUSED_BY, Unreachable, ask
from scaler.models import scope_name
from scaler.series import Gap
from scaler.trigger.server_address import redact
from scaler.words.anomalies import far_from
from scaler.words.numbers import figure, rounded
from scaler.words.verdict import verdict_of

Record: TypeAlias = Mapping[str, Any]

UNKNOWN = (
    "A trigger with faults is not watched either: KEDA gets INVALID_ARGUMENT until they are fixed. "
    "`headway check FILE` names them, and so does the event KEDAScalerFailed of the ScaledObject. Objects with the "
    "annotation headway.dev/forecast are seen in the namespaces of the setting discover-namespaces."
)

UNTIL: Mapping[str, str] = {
    "FAILED_PRECONDITION": "the query or the access to its server is fixed; a retry alone does not help",
    "INVALID_ARGUMENT": "the trigger is fixed; a retry alone does not help",
    "INTERNAL": "Headway is fixed: see the scaler's log",
    "": "its cause is over; Headway retries at every refresh",
}
"""gRPC status of the error that KEDA gets → how long that lasts, where the readiness report cannot know"""

MEANWHILE = (
    "the workload is not scaled down, other triggers may scale it up, and the ScaledObject's fallback acts where it "
    "has one"
)


LISTED: Mapping[str | None, str] = {
    "settings": "listed in the settings; KEDA does not call for it",
    "annotation": "listed by the annotation headway.dev/forecast; KEDA does not call for it",
}

REFUSED = (
    "the object asks for a forecast by annotation and has faults. KEDA reads the half after `or` until they are fixed"
)

ODD = "its record lacks a field, or has one of another kind"

SHADOW_DAYS = 30
"""over which a trigger in shadow mode is judged"""

ADVICE: Mapping[bool | None, str] = {True: "enable", False: "do not enable", None: "shadow mode"}
"""the words of a replay's verdict"""

MOST_GAPS = 5
"""gaps that are printed"""


def explain(namespace: str, name: str, address: str, as_json: bool, access: Access) -> Exit:
    """Print why; FAULTS where the trigger is unknown or not ready, USAGE where the scaler wants other flags,
    UNREACHABLE where there is no scaler."""
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status, found = fetch(namespace, name, address, access)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
        return Exit.UNREACHABLE
    try:
        _print(status, found, as_json, console, errors)
        if status == httpx.codes.OK and not as_json and any(one["mode"] == "shadow" for one in found["triggers"]):
            _print_worth(namespace, name, address, access, console)
        is_good = status == httpx.codes.OK and is_fine(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        errors.print(f"headway: what answers at {redact(address)} is no scaler of this version: {ODD}", markup=False)
        return Exit.UNREACHABLE
    if status in REFUSED_BY:
        return Exit.USAGE
    return Exit.FINE if is_good else Exit.FAULTS


def _print(status: int, found: dict[str, Any], as_json: bool, console: Console, errors: Console) -> None:
    if as_json:
        console.print_json(data=rounded(found))
    elif status != httpx.codes.OK:
        for fault in found["errors"]:
            errors.print(f"headway: {fault['value'] or fault['field']}: {fault['rule']}", markup=False)
        if status in REFUSED_BY:
            errors.print(REFUSED_BY[status], markup=False)
        if status == httpx.codes.NOT_FOUND:
            errors.print(UNKNOWN, markup=False)
    else:
        print_refusal(found, console)
        for record in found["triggers"]:
            print_record(record, float(found["at"]), console)


def _print_worth(namespace: str, name: str, address: str, access: Access, console: Console) -> None:
    """What switching on would have done. Nothing where the scaler has not counted it, or reads no database."""
    try:
        found = [one for one in read_savings(namespace, name, SHADOW_DAYS, address, access) if one.is_shadow]
    except (Refused, Unreachable):
        found = []
    for one in found:
        verdict = verdict_of(one)
        console.print(f"[bold]{ADVICE[verdict.worth]}[/]  {escape(verdict.sentence)}", soft_wrap=True)
        console.print(f"  headway savings {escape(namespace)} {escape(name)} has the figures", soft_wrap=True)


def fetch(namespace: str, name: str, address: str, access: Access) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the scaler's answer. Raises Unreachable, or Usage for an address that is none."""
    return ask(address, f"/api/v1/why/{quote(namespace, safe='')}/{quote(name, safe='')}", access, "triggers")


def is_fine(found: Record) -> bool:
    """Whether nothing is refused, and every trigger has what it wants."""
    return not found.get("refused") and all(map(is_ready, found["triggers"]))


def is_ready(record: Record) -> bool:
    """Whether there is an answer for KEDA, and a forecast in it unless the trigger wants none."""
    if record["plan"] is None:
        return False
    readiness = record["readiness"]
    return readiness is None or bool(readiness["ready"]) or record["mode"] == "reactive"


def print_refusal(found: Record, console: Console) -> None:
    """The faults for which an annotated object is not watched."""
    if not found.get("refused"):
        return
    console.print(f"[bold]{escape(found['namespace'])}/{escape(found['name'])}[/]")
    console.print(f"  [bold red]not forecast[/]: {REFUSED}", soft_wrap=True)
    for fault in found["refused"]:
        value = f"={fault['value']!r}" if fault["value"] else ""
        console.print(f"  fault      {escape(fault['field'] + value)}: {escape(fault['rule'])}", soft_wrap=True)
    console.print()


def print_record(record: Record, now: float, console: Console) -> None:
    console.print(
        f"[bold]{escape(record['namespace'])}/{escape(record['name'])}[/]  trigger {escape(record['trigger'])}"
    )
    console.print(f"  {escape(record['query'])}  at {escape(record['server'])}", soft_wrap=True)
    console.print(f"  {escape(_settings(record))}", soft_wrap=True)
    console.print(f"  {LISTED.get(record['listed_by']) or 'last call ' + _ago(record['last_called'], now)}")
    for line in _summary(record, now):
        console.print(f"  {line}", soft_wrap=True)
    if record["plan"] is not None:
        console.print(reasons_table(record["plan"]["reasons"]))
    console.print()


def _settings(record: Record) -> str:
    return (
        f"threshold {figure(record['threshold'])} · lead time {figure(record['lead_time_seconds'])} s · "
        f"quantile {figure(record['quantile'])} · mode {record['mode']} · policy {record['policy']} · "
        f"model {record['model']}"
    )


def _summary(record: Record, now: float) -> Iterator[str]:
    plan, readiness = record["plan"], record["readiness"]
    if plan is not None:
        yield from _plan_lines(plan, now)
    else:
        status = record.get("status") or "an error"
        yield f"[bold red]no answer: KEDA gets {status}[/], {escape(record['error'])}"
    yield from _input_lines(record, now)
    if plan is not None and record["error"]:
        yield f"[yellow]error:[/] {escape(record['error'])}"
    if readiness is not None and not readiness["ready"]:
        yield from _readiness_lines(record, readiness)
    if record.get("champion"):
        yield from _champion_lines(record["champion"])
    if record.get("scores"):
        yield from _score_lines(record["scores"], record["quantile"], record.get("scores_from") == "store")
    elif record.get("scores_error"):
        yield f"its scores are not known here: {escape(record['scores_error'])}"
    if record.get("uncertainty"):
        yield from _uncertain_lines(record["uncertainty"])
    if record.get("anomaly"):
        yield _anomaly_line(record["anomaly"], now)
    if record.get("history") is not None:
        yield from _history_lines(record["history"], record["error"])


def _champion_lines(champion: Record) -> Iterator[str]:
    """Which version serves by the index of models, and how long it may still be rolled back by itself."""
    until = champion["probation_until"]
    probation = f", on probation until {_clock(until)}" if until is not None else ""
    scope = escape(scope_name(champion["scope"]))
    yield f"{escape(champion['model'])} is the champion of {scope} since {_clock(champion['since'])}{probation}"
    if champion["fault"]:
        yield f"  [yellow]it does not serve:[/] {escape(champion['fault'])}"


def _score_lines(scores: Record, quantile: float, is_stored: bool) -> Iterator[str]:
    """How good the forecasts were of late, in about a week."""
    until = ", as another replica has stored them by the hour" if is_stored else ""
    if (peak := scores.get("peak")) is not None:
        noun = "peak" if peak["count"] == 1 else "peaks"
        yield f"its p{100 * quantile:g} held {peak['held']:.1%} of {peak['count']} {noun} in about a week{until}"
        if (loss := peak["promised_over_persistence"]) is not None:
            yield f"  loss {loss:.2f} of that of the newest observation{'' if loss < 1 else ': [yellow]no better[/]'}"
    if (soon := scores.get("5 min")) is not None and soon["mape"] is not None:
        yield f"  5 minutes ahead the median was off by {soon['mape']:.1%}"


def _uncertain_lines(found: Record) -> Iterator[str]:
    """Why the forecast is less certain than it mostly is. It changes no answer."""
    if found["is_wide"] and found["usual_width"] is not None:
        times = "far above" if found["width"] is None else f"{found['width']:.2g} times"
        yield f"[yellow]the forecast is uncertain[/]: its p95 is {times} its median, {found['usual_width']:.2g} mostly"
    if found["is_split"] and found["past"] is not None:
        said = f"past days say {figure(found['past'])}, the bundle says {figure(found['bundle'])}"
        yield f"[yellow]the forecast is uncertain[/]: {said}"


def _anomaly_line(one: Record, now: float) -> str:
    """The one under way, or the last one that this replica has seen."""
    begin, is_shift = _clock(one["since"]), one["kind"] == "level_shift"
    size = far_from(one["largest"], one["expected"])
    if is_shift:
        return f"the level of demand has moved since {begin}: {size}, for hours"
    if not one["is_over"] and now - one["until"] < STALE_SECONDS:
        return f"[yellow]demand is {size} since {begin}: an anomaly[/]"
    minutes = round((one["until"] - one["since"]) / 60)
    return f"last anomaly: {begin}, for {minutes} minutes, demand was {size}"


def _history_lines(history: Record, shown: str) -> Iterator[str]:
    """What is missing of the past: forecasts are made without it. An error that is `shown` above is not repeated."""
    if history["error"] == shown and not history["gaps"]:
        return
    yield "[yellow]the history is incomplete[/]"
    if history["error"] and history["error"] != shown:
        again = f"; next attempt {_clock(history['retry_at'])}" if history["retry_at"] else ""
        yield f"  not fetched  {escape(history['error'])}{again}"
    for gap in history["gaps"][:MOST_GAPS]:
        yield f"  gap          {escape(str(Gap(gap['first'], gap['last'], gap['why'])))}"
    if history["gap_count"] > MOST_GAPS:
        yield f"  and {history['gap_count'] - MOST_GAPS} more gaps"


def _readiness_lines(record: Record, readiness: Record) -> Iterator[str]:
    """What the first forecast needs. The error stands above, and is not repeated with each line."""
    has_answer, shown = record["plan"] is not None, f": {record['error']}" if record["error"] else ""
    until = readiness["when"] if has_answer else UNTIL.get(record.get("status", ""), readiness["when"])
    meanwhile = readiness["meanwhile"] if has_answer else MEANWHILE
    yield "[yellow]no forecast yet[/]"
    for missing in readiness["missing"]:
        yield f"  missing    {escape(missing.removesuffix(shown))}"
    yield f"  until      {escape(until)}"
    yield f"  meanwhile  {escape(meanwhile)}"


def _plan_lines(plan: Record, now: float) -> Iterator[str]:
    active = "active" if plan["active"] else "inactive"
    rung = plan["rung"].replace("_", " ")
    yield f"[bold]metric {_number(plan['metric'])}[/], {active} · {rung} · planned {_ago(plan['at'], now)}"
    if plan["planned"] is not None and plan["planned"] != plan["metric"]:
        yield f"predictive mode would answer {_number(plan['planned'])}"
    if plan["replicas"] is not None:
        noun = "replica" if plan["replicas"] == 1 else "replicas"
        yield f"→ {plan['replicas']} {noun} (metric / threshold), before the HPA's tolerance and limits"


def _input_lines(record: Record, now: float) -> Iterator[str]:
    observation, forecast = record["observation"], record["forecast"]
    if observation is not None:
        yield f"observed {_number(observation['value'])}, {_ago(observation['at'], now)}"
    if forecast is not None:
        issued, until = _ago(forecast["start"], now), _clock(forecast["end"])
        yield f"forecast of {escape(forecast['model'])}, issued {issued}, reaches until {until}"
        levels = ((100 * float(level), value) for level, value in forecast["peak"].items())
        window, lead = forecast["window_seconds"], record["lead_time_seconds"]
        beyond = f"one refresh and the look-ahead, {window - lead:.0f} s"
        yield f"  peak over the next {window:.0f} s (lead time {lead:.0f} s + {beyond}):"
        yield "    " + " · ".join(f"p{level:g} {_number(value)}" for level, value in levels)
        if forecast["data_step_seconds"] and not record["query_step_seconds"]:
            yield f"  {query_step(round(forecast['data_step_seconds'] / 60))}"


def reasons_table(reasons: list[Record]) -> Table:
    """The reasons of a plan, a row each."""
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    for name, justify in (("  rule", "left"), ("before", "right"), ("", "left"), ("after", "right"), ("why", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for reason in reasons:
        changed = "→" if reason["before"] is not None and reason["after"] is not None else ""
        before, after = _number(reason["before"]), _number(reason["after"])
        table.add_row(f"  {reason['rule']}", before, changed, after, escape(reason["text"]))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else figure(value)


def _ago(at: float, now: float) -> str:
    age = now - at
    return f"{age:.0f} s ago" if age >= 0 else f"counts from {-age:.0f} s on"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"

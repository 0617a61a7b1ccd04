"""`headway anomalies`: when demand was outside the band of its forecast, as text, CSV or JSON."""

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access
from scaler.commands.savings.reading import Refused
from scaler.commands.scaler_api import REFUSED_BY, Unreachable, ask
from scaler.trigger.server_address import redact
from scaler.words.anomalies import NO_ANOMALY, outcome
from scaler.words.numbers import figure, rounded

Record: TypeAlias = Mapping[str, Any]

MOST_DAYS = 366
"""that are kept"""
PAGE = 500
"""that one request asks for"""
STALE_SECONDS = 1200.0
"""without a word of it, one is over"""
COLUMNS = (
    *("namespace", "name", "trigger", "since", "until", "direction", "kind"),
    *("largest", "expected", "bound", "is_over"),
)


@dataclass(frozen=True, slots=True)
class AnomaliesOptions:
    """namespace, name: empty for all."""

    namespace: str
    name: str
    days: int
    address: str
    as_csv: bool
    as_json: bool


def anomalies(options: AnomaliesOptions, access: Access) -> Exit:
    """Print them; FAULTS where the workload is unknown or there is no database, USAGE for wrong flags, UNREACHABLE
    where there is no scaler."""
    if not 1 <= options.days <= MOST_DAYS:
        raise Usage(f"--days={options.days}: must be a whole number from 1 to {MOST_DAYS}")
    if options.as_csv and options.as_json:
        raise Usage("--csv, --json: go without each other")
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        found = list(_read(options, access))
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
        return Exit.UNREACHABLE
    except Refused as refusal:
        return _explain(refusal, errors)
    if options.as_json:
        console.print_json(data=rounded({"days": options.days, "anomalies": found}))
    elif options.as_csv:
        _write_csv(found)
    elif not found:
        errors.print(f"headway: {NO_ANOMALY}", markup=False)
    else:
        console.print(_table(found), soft_wrap=True)
    return Exit.FINE


def _read(options: AnomaliesOptions, access: Access) -> Iterator[dict[str, Any]]:
    query: dict[str, object] = {"days": options.days, "limit": PAGE}
    query |= {key: value for key in ("namespace", "name") if (value := getattr(options, key))}
    while True:
        status, page = ask(options.address, f"/api/v1/anomalies?{urlencode(query)}", access, "anomalies")
        if status != httpx.codes.OK:
            raise Refused(status, page["errors"])
        try:
            for one in page["anomalies"]:
                yield _checked(one)
            following = page["next"]
        except (KeyError, TypeError, ValueError, AttributeError):
            odd = "its record lacks a field, or has one of another kind"
            where = redact(options.address)
            raise Unreachable(f"what answers at {where} is no scaler of this version: {odd}") from None
        if not following or following == query.get("after"):
            return
        query["after"] = following


def _checked(one: Record) -> dict[str, Any]:
    texts = {name: str(one[name]) for name in ("namespace", "name", "trigger", "direction", "kind")}
    numbers = {name: float(one[name]) for name in ("since", "until", "largest", "expected", "bound")}
    return {name: {**texts, **numbers, "is_over": bool(one["is_over"])}[name] for name in COLUMNS}


def _explain(refusal: Refused, errors: Console) -> Exit:
    for fault in refusal.faults:
        errors.print(f"headway: {fault['value'] or fault['field']}: {fault['rule']}", markup=False)
    if refusal.code in REFUSED_BY:
        errors.print(REFUSED_BY[refusal.code], markup=False)
        return Exit.USAGE
    return Exit.FAULTS


def _write_csv(found: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in found:
        moments = {name: f"{_moment(one[name]):%Y-%m-%dT%H:%M:%SZ}" for name in ("since", "until")}
        writer.writerow({**one, **moments, "is_over": str(one["is_over"]).lower()})


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("since, UTC", "minutes", "workload", "demand", "forecast", ""):
        table.add_column(head, justify="right" if head in ("minutes", "demand", "forecast") else "left", no_wrap=True)
    for one in found:
        minutes = f"{(one['until'] - one['since']) / 60:.0f}"
        table.add_row(
            f"{_moment(one['since']):%Y-%m-%d %H:%M}",
            minutes,
            escape(f"{one['namespace']}/{one['name']}"),
            figure(one["largest"]),
            figure(one["expected"]),
            outcome(one),
        )
    return table


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

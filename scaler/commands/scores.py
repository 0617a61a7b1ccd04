"""`headway scores`: how good the forecasts of a workload turned out, by the day. From scaler/status/scores.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access
from scaler.commands.scaler_api import REFUSED_BY, Unreachable, ask
from scaler.trigger.server_address import redact
from scaler.words.numbers import figure, rounded
from scaler.words.scores import NOTHING_SCORED

Record: TypeAlias = Mapping[str, Any]

MOST_DAYS = 366
"""that are kept"""
LEADS = ("peak", "2", "5", "15", "60")

NARROWEST = 100
"""characters of a line: where a terminal has fewer, it breaks lines, and no figure is cut"""
ODD = "its record lacks a field, or has one of another kind"


@dataclass(frozen=True, slots=True)
class ScoresOptions:
    """lead: one of LEADS."""

    namespace: str
    name: str
    days: int
    lead: str
    address: str
    as_json: bool


def scores(options: ScoresOptions, access: Access) -> Exit:
    """Print the scores of each day; FAULTS where nothing is known, USAGE for wrong flags, UNREACHABLE where there is no
    scaler."""
    _check(options)
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    console.width = max(console.width, NARROWEST)
    place = f"{quote(options.namespace, safe='')}/{quote(options.name, safe='')}"
    query = urlencode({"days": options.days, "lead": options.lead})
    try:
        status, found = ask(options.address, f"/api/v1/scores/{place}?{query}", access, "triggers")
        return _show(status, found, options.as_json, console, errors)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        odd = f"what answers at {redact(options.address)} is no scaler of this version: {ODD}"
        errors.print(f"headway: {odd}", markup=False)
    return Exit.UNREACHABLE


def _check(options: ScoresOptions) -> None:
    if not 1 <= options.days <= MOST_DAYS:
        raise Usage(f"--days={options.days}: must be a whole number from 1 to {MOST_DAYS}")
    if options.lead not in LEADS:
        raise Usage(f"--lead={options.lead!r}: must be one of {', '.join(LEADS)} (minutes ahead)")


def _show(status: int, found: dict[str, Any], as_json: bool, console: Console, errors: Console) -> Exit:
    if status != httpx.codes.OK:
        for fault in found["errors"]:
            errors.print(f"headway: {fault['value'] or fault['field']}: {fault['rule']}", markup=False)
        if status not in REFUSED_BY:
            return Exit.FAULTS
        errors.print(REFUSED_BY[status], markup=False)
        return Exit.USAGE
    if as_json:
        console.print_json(data=rounded(found))
    elif not found["triggers"]:
        errors.print(f"headway: {NOTHING_SCORED}", markup=False)
    else:
        for one in found["triggers"]:
            _print(one, found, console)
    return Exit.FINE if found["triggers"] else Exit.FAULTS


def _print(one: Record, found: Record, console: Console) -> None:
    ahead = "the peak that plans look at" if found["lead"] == "peak" else f"{found['lead']} ahead"
    gone = "" if one["watched"] else ", not watched now"
    title = f"[bold]{escape(found['namespace'])}/{escape(found['name'])}[/]  trigger {escape(one['trigger'])}{gone}"
    console.print(f"{title}: {escape(ahead)}", soft_wrap=True)
    table = Table(box=None, pad_edge=True, padding=(0, 1, 0, 0))
    table.add_column("  day", no_wrap=True)
    within = f"within p{100 * float(one['quantile']):g}"
    for head in ("scored", within, "/ newest", "/ day before", "MAPE", "sMAPE", "MAE", "RMSE", "bias"):
        table.add_column(head, justify="right", no_wrap=True)
    for day in one["days"]:
        table.add_row(f"  {escape(day['day'])}", *_cells(day))
    table.add_row(f"  {len(one['days'])} {'day' if len(one['days']) == 1 else 'days'}", *_cells(one["all"]))
    console.print(table)
    console.print()


def _cells(scored: Record) -> Iterator[str]:
    yield f"{scored['count']:,}"
    yield _text(scored["held"], "{:.1%}")
    yield _text(scored["over_persistence"], "{:.2f}")
    yield _text(scored["over_seasonal"], "{:.2f}")
    yield _text(scored["mape"], "{:.1%}")
    yield _text(scored["smape"], "{:.1%}")
    for name in ("mae", "rmse", "bias"):
        yield "–" if scored[name] is None else figure(scored[name])


def _text(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)

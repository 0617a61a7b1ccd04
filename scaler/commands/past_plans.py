"""`headway why --at` and `--since`: what was planned for a workload at a moment, or since one. The record's form:
scaler/status/past_plans.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access
from scaler.commands.scaler_api import REFUSED_BY, Unreachable, ask
from scaler.commands.why import ODD, reasons_table
from scaler.trigger.server_address import redact
from scaler.words.numbers import figure, rounded
from scaler.words.past_plans import NOTHING_THEN, Weight, clock, past_plan_lines

Record: TypeAlias = Mapping[str, Any]

PAGE = 500
MOST_PAGES = 20
LIST_WIDTH = 180
"""a line of the list is one line, also where the terminal is narrower"""

STYLES = {Weight.PLAIN: "", Weight.STRONG: "bold", Weight.WARNING: "yellow"}


@dataclass(frozen=True, slots=True)
class PastOptions:
    """at, since: as people write a moment; one of them is empty."""

    namespace: str
    name: str
    at: str
    since: str
    address: str
    as_json: bool


def explain_past(options: PastOptions, access: Access) -> Exit:
    """Print what was planned; FAULTS where nothing is known, USAGE for wrong flags, UNREACHABLE where there is no
    scaler."""
    if options.at and options.since:
        raise Usage("--at and --since: give one of them")
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status, found = _read(options, access)
        if status != httpx.codes.OK:
            return _explain(status, found["errors"], errors)
        return _print(found, options, console, errors)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        shown = redact(options.address)
        errors.print(f"headway: what answers at {shown} is no scaler of this version: {ODD}", markup=False)
    return Exit.UNREACHABLE


def _read(options: PastOptions, access: Access) -> tuple[int, dict[str, Any]]:
    """Status and JSON; of several pages, with the plans of all."""
    query = {"at": options.at} if options.at else {"since": options.since, "limit": str(PAGE)}
    path = f"/api/v1/plans/{quote(options.namespace, safe='')}/{quote(options.name, safe='')}"
    plans: list[Any] = []
    for _ in range(MOST_PAGES):
        status, found = ask(options.address, f"{path}?{urlencode(query)}", access, "plans")
        if status != httpx.codes.OK:
            return status, found
        plans += found["plans"]
        if not found["next"]:
            break
        query["after"] = found["next"]
    return status, {**found, "plans": plans}


def _explain(status: int, faults: list[Record], errors: Console) -> Exit:
    for fault in faults:
        flag = f"--{fault['field']}={fault['value']}" if fault["field"] in ("at", "since") else fault["value"]
        errors.print(f"headway: {flag or fault['field']}: {fault['rule']}", markup=False)
    if status in REFUSED_BY:
        errors.print(REFUSED_BY[status], markup=False)
    return Exit.USAGE if status in (*REFUSED_BY, httpx.codes.BAD_REQUEST) else Exit.FAULTS


def _print(found: Record, options: PastOptions, console: Console, errors: Console) -> Exit:
    plans: list[Record] = found["plans"]
    if options.as_json:
        console.print_json(data=rounded(found))
    elif not plans:
        errors.print(f"headway: {NOTHING_THEN}", markup=False)
    elif options.at:
        for plan in plans:
            _print_plan(plan, found, console)
    else:
        console.print(f"[bold]{escape(str(found['namespace']))}/{escape(str(found['name']))}[/], {found['timezone']}")
        wide = Console(highlight=False, width=max(console.width, LIST_WIDTH))
        wide.print(_list(plans, ZoneInfo(found["timezone"])))
    return Exit.FINE if plans else Exit.FAULTS


def _print_plan(plan: Record, found: Record, console: Console) -> None:
    zone = ZoneInfo(found["timezone"])
    asked, title = clock(found["asked"], zone), f"{found['namespace']}/{found['name']}"
    console.print(f"[bold]{escape(title)}[/] at {asked} {found['timezone']}, trigger {escape(plan['trigger'])}")
    for line in past_plan_lines(plan, zone):
        console.print(f"  {escape(line.text)}", style=STYLES[line.weight], soft_wrap=True)
    console.print(reasons_table(plan["reasons"]))


def _list(plans: list[Record], zone: ZoneInfo) -> Table:
    """One line a plan, the oldest first."""
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    several = len({plan["trigger"] for plan in plans}) > 1
    for name, justify in (("  from", "left"), ("observed", "right"), ("metric", "right"), ("replicas", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for name in ("rung", "model", "rules", *(["trigger"] if several else [])):
        table.add_column(name, no_wrap=True)
    for plan in reversed(plans):
        values = ("" if plan[name] is None else figure(plan[name]) for name in ("observed", "metric", "replicas"))
        rules = ", ".join(dict.fromkeys(reason["rule"] for reason in plan["reasons"]))
        rest = (plan["rung"].replace("_", " "), escape(plan["model"]), escape(rules))
        table.add_row(f"  {clock(plan['at'], zone)}", *values, *rest, *([escape(plan["trigger"])] if several else []))
    return table

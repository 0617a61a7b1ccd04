"""`headway forecast`: demand of the next hours, up to a week, for people. From scaler/status/ahead.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit
from scaler.commands.http_access import Access
from scaler.commands.scaler_api import REFUSED_BY, Unreachable, ask
from scaler.trigger.server_address import redact
from scaler.words.numbers import figure, rounded

Record: TypeAlias = Mapping[str, Any]

OF_FLAGS = ("ahead", "step", "trigger")
ODD = "its record lacks a field, or has one of another kind"


@dataclass(frozen=True, slots=True)
class ForecastOptions:
    """ahead, step: durations as 7d; an empty step is the one that the forecast is made in."""

    namespace: str
    name: str
    ahead: str
    step: str
    address: str
    as_json: bool


def forecast(options: ForecastOptions, access: Access) -> Exit:
    """Print the quantiles of each step; FAULTS where the workload is unknown or its history too short, USAGE for wrong
    flags, UNREACHABLE where there is no scaler."""
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    place = f"{quote(options.namespace, safe='')}/{quote(options.name, safe='')}"
    query = urlencode({"ahead": options.ahead} | ({"step": options.step} if options.step else {}))
    try:
        status, found = ask(options.address, f"/api/v1/forecast/{place}?{query}", access, "quantiles")
        if status != httpx.codes.OK:
            return _explain(status, found["errors"], errors)
        if options.as_json:
            console.print_json(data=rounded(found))
        else:
            _print(found, console)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
        return Exit.UNREACHABLE
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        odd = f"what answers at {redact(options.address)} is no scaler of this version: {ODD}"
        errors.print(f"headway: {odd}", markup=False)
        return Exit.UNREACHABLE
    return Exit.FINE


def _explain(status: int, faults: list[Mapping[str, str]], errors: Console) -> Exit:
    for fault in faults:
        field = f"--{fault['field']}={fault['value']!r}" if fault["field"] in OF_FLAGS else _of(fault)
        errors.print(f"headway: {field}: {fault['rule']}", markup=False)
    if status in REFUSED_BY:
        errors.print(REFUSED_BY[status], markup=False)
    return Exit.USAGE if status in (*REFUSED_BY, httpx.codes.BAD_REQUEST) else Exit.FAULTS


def _of(fault: Mapping[str, str]) -> str:
    return f"{fault['field']} ({fault['value']})" if fault["value"] else fault["field"]


def _print(found: Record, console: Console) -> None:
    title = f"[bold]{escape(found['namespace'])}/{escape(found['name'])}[/]  trigger {escape(found['trigger'])}"
    console.print(f"{title}: mean demand, and the replicas for it", soft_wrap=True)
    for sentence in _sentences(found):
        console.print(f"  {sentence}", markup=False, soft_wrap=True)
    levels = [float(level) for level in found["quantiles"]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("  until, UTC", no_wrap=True)
    for level in levels:
        table.add_column(f"p{100 * level:g}", justify="right", no_wrap=True)
    for place, level in enumerate(levels[1:]):
        table.add_column(f"{'' if place else 'replicas '}p{100 * level:g}", justify="right", no_wrap=True)
    rows = zip(*found["quantiles"].values(), strict=True)
    replicas = zip(*list(found["replicas"].values())[1:], strict=True)
    for moment, demand, wanted in zip(found["times"], rows, replicas, strict=True):
        table.add_row(f"  {_moment(moment)}", *map(figure, demand), *(f"{one:,}" for one in wanted))
    console.print(table)


def _sentences(found: Record) -> Iterator[str]:
    """What it rests on."""
    for part in found["rests_on"]:
        until = _moment(part["until"])
        if part["of"] == "outlook":
            yield f"until {until}: the forecast that plans rest on, {part['model']}"
        else:
            days = f"{part['known_hours'] / 24:.0f} days of {part['history']}"
            yield f"until {until}: by the hour, from {part['model']}; {days}. For people: no answer to KEDA rests on it"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%a %m-%d %H:%M}"

"""The command: reads a running scaler page by page, prints a table and a sentence for each workload."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access
from scaler.commands.savings.reading import Refused, read_savings
from scaler.commands.scaler_api import REFUSED_BY, Unreachable
from scaler.words.compared import LEVEL, Compared
from scaler.words.numbers import rounded
from scaler.words.savings import NOTHING_COUNTED, rows
from scaler.words.verdict import verdict_of
from scaler.words.wording import difference, lasted, money_difference, percent

MOST_DAYS = 366
"""that are kept"""


@dataclass(frozen=True, slots=True)
class SavingsOptions:
    """namespace, name: both or neither. price: of a replica-hour, None where none is set."""

    namespace: str
    name: str
    days: int
    price: float | None
    address: str
    as_json: bool


def savings(options: SavingsOptions, access: Access) -> Exit:
    """Print what each workload was worth; FAULTS where nothing is known, USAGE for wrong flags, UNREACHABLE where there
    is no scaler."""
    _check(options)
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        found = read_savings(options.namespace, options.name, options.days, options.address, access)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
        return Exit.UNREACHABLE
    except Refused as refusal:
        return _explain(refusal, errors)
    if options.as_json:
        console.print_json(data=rounded({"days": options.days, "workloads": [_as_json(one, options) for one in found]}))
    elif not found:
        errors.print(f"headway: {NOTHING_COUNTED}", markup=False)
    else:
        _print(found, options, console)
    return Exit.FINE if found else Exit.FAULTS


def _check(options: SavingsOptions) -> None:
    if bool(options.namespace) != bool(options.name):
        raise Usage(f"NAMESPACE {options.namespace!r}: NAME is missing; give both, or neither for all workloads")
    if not 1 <= options.days <= MOST_DAYS:
        raise Usage(f"--days={options.days}: must be a whole number from 1 to {MOST_DAYS}")
    if options.price is not None and not 0 <= options.price < math.inf:
        raise Usage(f"--price={options.price:g}: must be a number of at least 0")


def _explain(refusal: Refused, errors: Console) -> Exit:
    for fault in refusal.faults:
        errors.print(f"headway: {fault['value'] or fault['field']}: {fault['rule']}", markup=False)
    if refusal.code in REFUSED_BY:
        errors.print(REFUSED_BY[refusal.code], markup=False)
        return Exit.USAGE
    return Exit.FAULTS


def _print(found: list[Compared], options: SavingsOptions, console: Console) -> None:
    for one in found:
        span = one.first if one.first == one.last else f"{one.first} to {one.last}"
        mode = ", in shadow mode: the reactive side was the answer" if one.is_shadow else ""
        title = f"[bold]{escape(one.namespace)}/{escape(one.name)}[/]  {lasted(one.known_days)} of demand, {span}{mode}"
        console.print(title, soft_wrap=True)
        console.print(_table(one, options.price))
        console.print(f"  {verdict_of(one).sentence}\n", soft_wrap=True, markup=False)
    if len(found) > 1:
        console.print(_all(found, options.price), soft_wrap=True)


def _all(found: list[Compared], price: float | None) -> str:
    """The sums over all workloads."""
    mine, theirs = (sum(getattr(one, side).replica_hours for one in found) for side in ("plan", "reactive"))
    shorts = sum(one.short_minutes.value for one in found)
    cost = "" if price is None else f", cost {money_difference((mine - theirs) * price)}"
    text = f"replica-hours {percent(mine / theirs - 1, signed=True)} %, short minutes {difference(shorts)}{cost}"
    return f"All {len(found)}: {text}"


def _table(one: Compared, price: float | None) -> Table:
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    table.add_column("  ", no_wrap=True)
    plan = "plan (not used)" if one.is_shadow else "with Headway"
    for head in (plan, "reactive", "difference", f"{100 * LEVEL:g} % interval")[: 4 if one.has_intervals else 3]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows(one, price):
        table.add_row(f"  {row.name}", *row[1 : len(table.columns)])
    return table


def _as_json(one: Compared, options: SavingsOptions) -> dict[str, Any]:
    verdict = verdict_of(one)
    costs = {}
    if options.price is not None:
        costs = {f"{side}_cost": getattr(one, side).replica_hours * options.price for side in ("plan", "reactive")}
    differences = ("replica_hours", "short_minutes", "unserved_share", "scale_events")
    about = ("namespace", "name", "mode", "first", "last", "known_days")
    return {
        **{name: getattr(one, name) for name in about},
        "plan": asdict(one.plan),
        "reactive": asdict(one.reactive),
        **costs,
        "difference": {name: asdict(getattr(one, name)) for name in differences},
        "worth": verdict.worth,
        "sentence": verdict.sentence,
    }

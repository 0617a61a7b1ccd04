"""The table of `headway savings`: figures of both sides as text. Pure."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from scaler.words.compared import Compared, Interval
from scaler.words.wording import count, difference, money, money_difference, percent, share

NOTHING_COUNTED = (
    "nothing is counted yet: an hour is stored when it is over, the first five minutes after a start do not count, and "
    "triggers in mode reactive have no plan"
)


class Row(NamedTuple):
    """interval: empty where there are too few days."""

    name: str
    plan: str
    reactive: str
    difference: str
    interval: str


def rows(one: Compared, price: float | None = None) -> Iterator[Row]:
    """One for each figure. price: of a replica-hour; None: no row for costs."""
    mine, theirs, shares = one.plan, one.reactive, partial(percent, signed=True)

    def row(name: str, text: Callable[[float], str], difference: tuple[str, str]) -> Row:
        return Row(name.replace("_", " "), text(getattr(mine, name)), text(getattr(theirs, name)), *difference)

    yield row("replica_hours", count, _with_interval(one.replica_hours, shares, " %"))
    yield row("short_minutes", count, _with_interval(one.short_minutes, difference))
    yield row("unserved_share", share, _with_interval(one.unserved_share, shares, " points"))
    yield row("scale_events", count, _with_interval(one.scale_events, difference))
    if price is not None:
        costs = mine.replica_hours * price, theirs.replica_hours * price
        of_both = _with_interval(_times(one.replica_hours, costs[1]), money_difference)
        yield Row("cost", money(costs[0]), money(costs[1]), *of_both)


def _times(found: Interval, factor: float) -> Interval:
    low, high = (None if value is None else value * factor for value in (found.low, found.high))
    return Interval(found.value * factor, low, high)


def _with_interval(found: Interval, text: Callable[[float], str], unit: str = "") -> tuple[str, str]:
    value = text(found.value) + unit
    return value, "" if found.low is None or found.high is None else f"{text(found.low)} to {text(found.high)}"

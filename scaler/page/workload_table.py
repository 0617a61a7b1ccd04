"""The values of a time line around a moment: the chart in figures. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

TABLE_BEFORE, TABLE_AFTER = 10, 10
"""rows before and after the moment"""
HEADINGS: Final[Mapping[str, str]] = {
    "observed": "Demand",
    "planned": "Planned",
    "median": "Forecast p50",
    "upper": "p{level:g}",
    "planned_replicas": "Replicas, plan",
    "reactive_replicas": "Replicas, reactive",
}


def table_of(line: Mapping[str, Any], at: float, quantile: float) -> Sequence[Mapping[str, Any]]:
    """The rows, the oldest first."""
    times: Sequence[float] = line["times"]
    centre = sum(one <= at for one in times)
    columns = {name: line[name] for name in ("observed", "planned", "planned_replicas", "reactive_replicas")}
    columns |= {name: _nearest(line["quantiles"], level) for name, level in (("median", 0.5), ("upper", quantile))}
    places = range(max(0, centre - TABLE_BEFORE), min(len(times), centre + TABLE_AFTER))
    return [
        {"at": times[place], **{name: column and column[place] for name, column in columns.items()}} for place in places
    ]


def _nearest(quantiles: Mapping[str, Sequence[float | None]], level: float) -> Sequence[float | None] | None:
    """The line of the level that is nearest; None without a forecast."""
    return quantiles[min(quantiles, key=lambda one: abs(float(one) - level))] if quantiles else None


def headings(table: Sequence[Mapping[str, Any]], quantile: float) -> Mapping[str, str]:
    """By column; without those in which nothing is known, as the forecast of a past moment."""
    known = {name: text.format(level=100 * quantile) for name, text in HEADINGS.items()}
    return {name: text for name, text in known.items() if any(row[name] is not None for row in table)}

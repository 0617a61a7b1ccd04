"""An overview as a table that fits a width: the columns that matter least are left out first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scaler.commands.top.reading import Overview, Record
from scaler.words.numbers import figure

GAP = 2
"""between columns"""
LEAST_NAME = 16
"""characters of a workload's name that stay when it is cut"""
ANSWERS = {
    "forecast_and_observation": ("forecast", "green"),
    "forecast_alone": ("forecast alone", "yellow"),
    "observation_alone": ("reactive", "yellow"),
    "nothing": ("no answer", "red"),
}
"""what answers rest on → words and colour"""


@dataclass(frozen=True, slots=True)
class Column:
    """rank: those with the largest are left out first. cell: the text of a row, which was shown at a Unix time."""

    sort: str
    head: str
    rank: int
    cell: Callable[[Record, float], str]
    is_number: bool = True


def _number(name: str, form: Callable[[float], str] = figure) -> Callable[[Record, float], str]:
    return lambda one, at: "–" if one[name] is None else form(one[name])


def _opposite(saved: float) -> str:
    """As a difference to the reactive trigger: below 0 where something was saved."""
    return f"{-saved:+.1f}"


def _age(one: Record, at: float) -> str:
    if one["forecast_at"] is None:
        return "–"
    seconds = max(0.0, at - one["forecast_at"])
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _answer(one: Record) -> tuple[str, str]:
    return ANSWERS.get(one["rung"], (one["rung"], "default"))


def _coverage(one: Record, at: float) -> str:
    if one["coverage"] is None:
        return "–"
    return f"{one['coverage']:.0%}" + ("" if one["quantile"] is None else f" of {one['quantile']:.0%}")


COLUMNS = (
    Column("name", "workload", 0, lambda one, at: f"{one['namespace']}/{one['name']}", is_number=False),
    Column("demand", "demand", 1, _number("demand")),
    Column("planned", "planned", 2, _number("planned")),
    Column("replicas", "replicas", 3, _number("replicas", "{:.0f}".format)),
    Column("replicas_soon", "asked", 4, _number("replicas_soon", "{:.0f}".format)),
    Column("rung", "answer", 5, lambda one, at: _answer(one)[0], is_number=False),
    Column("skill", "skill", 6, _number("skill", "{:+.0%}".format)),
    Column("coverage", "coverage", 7, _coverage),
    Column("saved_replica_hours", "± hours", 8, _number("saved_replica_hours", _opposite)),
    Column("saved_short_minutes", "± short min", 9, _number("saved_short_minutes", _opposite)),
    Column("forecast_at", "age", 10, _age),
    Column("mode", "mode", 12, lambda one, at: one["mode"], is_number=False),
    Column("model", "model", 11, lambda one, at: one["model"] or "–", is_number=False),
)


def heading(overview: Overview, sort: str) -> str:
    """`12 of 40 workloads by skill · 2027-01-15 08:00:00 UTC`."""
    shown = (
        f"{len(overview.rows)} of {overview.count:,}" if len(overview.rows) < overview.count else f"{overview.count:,}"
    )
    one = "workload" if overview.count == 1 else "workloads"
    return (
        f"{shown} {one} by {sort.replace('_', ' ')} · {datetime.fromtimestamp(overview.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def table(overview: Overview, sort: str, width: int) -> Table:
    """At most `width` characters wide; `sort` marks a column, which always stays."""
    cells = {column: [column.cell(one, overview.at) for one in overview.rows] for column in COLUMNS}
    widths = {column: max(map(cell_len, (column.head, *cells[column]))) for column in COLUMNS}
    chosen = fitting(widths, sort, width)
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), expand=False)
    for column in chosen:
        style = "bold underline" if column.sort == sort else "bold"
        made.add_column(
            Text(column.head, style=style),
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if column.sort == "name" else widths[column],
        )
    for place, one in enumerate(overview.rows):
        made.add_row(*(_styled(column, cells[column][place], one) for column in chosen))
    return made


def fitting(widths: dict[Column, int], sort: str, width: int) -> Sequence[Column]:
    """The columns that fit, in their order: the name, that of the sort, then by rank. A name is cut before a column is
    left out, down to LEAST_NAME."""
    order = sorted(COLUMNS, key=lambda column: (column.rank != 0, column.sort != sort, column.rank))
    left, chosen = float(width), set()
    for column in order:
        left -= (min(widths[column], LEAST_NAME) if column.rank == 0 else widths[column]) + GAP
        if left < -GAP and column.rank and column.sort != sort:
            break
        chosen.add(column)
    return [column for column in COLUMNS if column in chosen]


def _styled(column: Column, text: str, one: Record) -> Text | str:
    if column.sort != "rung":
        return escape(text)
    return Text(text, style=_answer(one)[1])

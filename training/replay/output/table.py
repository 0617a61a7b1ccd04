"""A replay in the terminal: verdict, reasons, all policies, the trigger to paste."""

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from training.replay.output import wording
from training.replay.verdict.judge import ORACLE, TUNED, TUNED_REACTIVE, Judged, Verdict

HEADS: Mapping[str, str] = {
    "replica-hours": "replica\nhours",
    "cost": "cost",
    "short min a week": "short\nmin/week",
    "unserved": "unserved",
    "delay p99": "delay\np99",
    "scale events": "scale\nevents",
}
"""the columns that fit into a terminal, in two lines"""
MOST_EXCLUDED = 5
"""stretches named one by one"""
STYLES: Mapping[Verdict, str] = {
    Verdict.ENABLE: "bold green",
    Verdict.WITH_SETTINGS: "bold cyan",
    Verdict.DO_NOT: "bold yellow",
}


def print_judged(judged: Judged, console: Console, report: Path | None = None) -> None:
    """Print the result; as plain text if standard output is no terminal. report: path of the page."""
    zone = judged.case.demand.series.timezone
    series = escape(wording.title(judged))
    console.print(f"\n[{STYLES[judged.verdict]}]{judged.verdict.value.upper()}[/]  {series}")
    for reason in wording.reasons(judged):
        console.print(_indented(escape(reason)))
    console.print()
    console.print(_indented(f"[dim]judged on {wording.stretch(judged, judged.scenario.span)}[/]"))
    console.print(_indented(f"[dim]settings searched on {wording.stretch(judged, judged.searched)}[/]"))
    console.print(_indented(f"[dim]model {escape(judged.model)}[/]"))
    console.print(table(judged))
    for name in (TUNED, TUNED_REACTIVE):
        console.print(_indented(f"[dim]{name}: {wording.settings_of(judged.ran[name])}[/]"))
    if judged.verdict is Verdict.DO_NOT:
        console.print("\nNothing to enable. To watch its plans on live demand without acting on them:\n")
    else:
        console.print(f"\n{wording.WHERE_TO_PASTE[judged.case.is_annotated]}:\n")
    console.print(escape(wording.to_paste(judged)), soft_wrap=True)
    if judged.verdict is not Verdict.DO_NOT and not judged.case.is_annotated:
        console.print(f"[dim]note:[/] {wording.FLOOR}")
    for note in judged.case.notes:
        console.print(f"[dim]note:[/] {escape(note)}")
    excluded = judged.case.excluded
    for span in excluded[:MOST_EXCLUDED]:
        console.print(f"[dim]not counted:[/] {wording.period(span, zone, by_clock=True)}")
    if len(excluded) > MOST_EXCLUDED:
        console.print(f"[dim]not counted:[/] and {len(excluded) - MOST_EXCLUDED} more stretches, see the report")
    if report is not None:
        console.print(f"report: {escape(str(report))}", soft_wrap=True)


def table(judged: Judged) -> Table:
    """All policies with the main figures; an arrow marks the recommended one, bold the best of a column."""
    columns = wording.columns(judged)
    shown = [i for i, column in enumerate(columns) if column.head in HEADS]
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    found.add_column("policy", no_wrap=True)
    for i in shown:
        found.add_column(HEADS[columns[i].head], justify="right", no_wrap=True)
    for row in wording.rows(judged):
        cells = [row.cells[i] for i in shown]
        texts = [f"[bold green]{cell.text}[/]" if cell.best else cell.text for cell in cells]
        style = "bold" if row.picked else "dim" if row.name == ORACLE else None
        found.add_row(f"{'→' if row.picked else ' '} {row.name}", *texts, style=style)
    return found


def _indented(text: str) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)

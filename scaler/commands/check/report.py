"""What `headway check` found, for people and for machines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from scaler.checks import Finding, Level
from scaler.commands import Exit
from scaler.commands.advice import query_step
from scaler.commands.check.keda_client import Call
from scaler.commands.check.probes import Asked, in_words
from scaler.discovery.annotated import FORECAST
from scaler.manifest import ScaledObject, dotted_path
from scaler.trigger.planned import reads_plan
from scaler.trigger.values import printable
from scaler.words.numbers import figure, rounded

_READS_PLAN = (
    "trigger {} reads the plan from Prometheus: KEDA never calls Headway for it, and neither does --scaler. A scaler "
    "must discover it ({}), or its settings list it under `triggers:`; `headway why {} {}` shows whether one does."
)

_STYLE: Mapping[Level, str] = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.ADVICE: "cyan"}


@dataclass(slots=True)
class Report:
    """Everything about one ScaledObject."""

    scaled: ScaledObject
    findings: list[Finding]
    asked: list[Asked] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)

    @property
    def probes(self) -> list[Asked | Call]:
        """What was really asked."""
        return [*(asked for asked in self.asked if asked.tried), *self.calls]

    @property
    def errors(self) -> int:
        """Faults of the file, and wrong answers; missing answers are not counted."""
        return self.count(Level.ERROR) + sum(bool(one.error) and not one.unreachable for one in self.probes)

    @property
    def summary(self) -> str:
        """`1 error, 2 warnings, 0 advice`, and how many queries and calls reached nobody"""
        errors, warnings, advice = self.errors, self.count(Level.WARNING), self.count(Level.ADVICE)
        unreachable = sum(one.unreachable for one in self.probes)
        lost = f", {unreachable} not reachable" if unreachable else ""
        return f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}, {advice} advice{lost}"


def exit_of(reports: list[Report]) -> Exit:
    """FAULTS over UNREACHABLE over FINE: what is certainly wrong counts before what could not be seen."""
    if any(report.errors for report in reports):
        return Exit.FAULTS
    return Exit.UNREACHABLE if any(one.unreachable for report in reports for one in report.probes) else Exit.FINE


def as_json(reports: list[Report], file: str, keda_version: str) -> dict[str, Any]:
    """The documented form of `--json`."""
    return {
        "file": file,
        "keda_version": keda_version,
        "errors": sum(report.errors for report in reports),
        "warnings": sum(report.count(Level.WARNING) for report in reports),
        "objects": [_object(report) for report in reports],
    }


def _object(report: Report) -> dict[str, Any]:
    scaled = report.scaled
    return {
        "kind": scaled.kind,
        "namespace": scaled.namespace,
        "name": scaled.name,
        "findings": [
            {
                "level": str(finding.level),
                "rule": finding.rule,
                "line": scaled.line(finding.path),
                "field": dotted_path(finding.path),
                "text": finding.text,
                "fix": finding.fix,
                "example": finding.example,
            }
            for finding in report.findings
        ],
        "queries": [
            {
                "trigger": asked.trigger,
                "server": asked.server,
                "query": asked.query,
                "tried": asked.tried,
                "demand": rounded(asked.demand),
                "replicas": asked.replicas,
                "step_minutes": asked.step_minutes or None,
                "error": asked.error,
            }
            for asked in report.asked
        ],
        "calls": [
            {
                "phase": call.phase,
                "rpc": call.rpc,
                "trigger": call.trigger,
                "milliseconds": round(call.milliseconds, 3),
                "status": call.status,
                "answer": call.answer,
                "number": rounded(call.number),
                "error": call.error,
                "consequence": call.consequence,
            }
            for call in report.calls
        ],
    }


def print_report(report: Report, console: Console) -> None:
    scaled = report.scaled
    console.print(f"[bold]{escape(scaled.kind)} {escape(scaled.namespace)}/{escape(scaled.name)}[/]")
    if all(finding.level is Level.ADVICE for finding in report.findings):
        console.print("  [green]the file itself is fine[/]")
    for finding in report.findings:
        _print_finding(finding, scaled, console)
    for asked in report.asked:
        _print_asked(asked, scaled, console)
    if report.calls:
        console.print(_call_table(report.calls))
        _print_outcome(report, console)
    for entry in scaled.plan_readers:
        text = _READS_PLAN.format(entry.index, FORECAST, scaled.namespace, scaled.name)
        console.print(Padding(escape(text), (0, 0, 0, 2), expand=False))
    console.print(f"  {report.summary}\n")


def _safe(text: str) -> str:
    """What a file says, without what would move the terminal's cursor or be taken for markup."""
    return escape(printable(text))


def _print_finding(finding: Finding, scaled: ScaledObject, console: Console) -> None:
    line = scaled.line(finding.path)
    where = f"line {line}, " if line else ""
    style = _STYLE[finding.level]
    console.print(f"  [{style}]{finding.level}[/]  {where}[dim]{_safe(dotted_path(finding.path))} ({finding.rule})[/]")
    console.print(Padding(_safe(finding.text), (0, 0, 0, 6), expand=False))
    console.print(Padding(f"[dim]→ {_safe(finding.fix)}[/]", (0, 0, 0, 6), expand=False))
    for example in finding.example.splitlines():
        console.print(f"          {_safe(example)}", soft_wrap=True)  # in one piece, to be copied


def _print_asked(asked: Asked, scaled: ScaledObject, console: Console) -> None:
    is_half = scaled.triggers[asked.trigger].reads_plan and not reads_plan(asked.query)
    which = f"{'demand after `or`' if is_half else 'query'} of trigger {asked.trigger}"
    if not asked.tried:
        text = f"{which}: not tried: {_safe(asked.error)}"
        console.print(Padding(text.strip(), (0, 0, 0, 2), expand=False))
        return
    if asked.demand is None:
        word = "not reachable" if asked.unreachable else "error"
        text = f"[bold red]{word}[/]  {_safe(asked.error)}"
    else:
        entry = scaled.triggers[asked.trigger]
        may_be_empty = entry.given.get("ignoreNullValues", "true" if entry.kind == "prometheus" else "") == "true"
        empty = ", or the query returns nothing" if asked.demand == 0 and may_be_empty else ""
        text = f"demand now {figure(asked.demand)}{empty} → {in_words(scaled, asked.demand, asked.threshold)}"
    console.print(f"  {which} at {escape(asked.server)}")
    console.print(Padding(text, (0, 0, 0, 6), expand=False))
    if asked.step_minutes:
        console.print(Padding(query_step(asked.step_minutes), (0, 0, 0, 6), expand=False))


def _call_table(calls: list[Call]) -> Table:
    table = Table(title="KEDA's calls, in KEDA's order", title_justify="left", box=None, pad_edge=True)
    for name, justify in (
        ("phase", "left"),
        ("call", "left"),
        ("trigger", "right"),
        ("ms", "right"),
        ("answer", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for call in calls:
        shown = _safe(call.answer)
        if call.error:
            shown += f"[bold red]{' ' if shown else ''}{_safe(call.error)}[/]\n[dim]→ {_safe(call.consequence)}[/]"
        table.add_row(call.phase, call.rpc, str(call.trigger), f"{call.milliseconds:.1f}", shown)
    return table


def _print_outcome(report: Report, console: Console) -> None:
    """The replicas that follow from each trigger's last answer."""
    for entry in report.scaled.our_triggers:
        own = [
            call for call in report.calls if call.trigger == entry.index and call.number is not None and not call.error
        ]
        targets = [call.number for call in own if call.rpc == "GetMetricSpec"]
        values = [call.number for call in own if call.rpc == "GetMetrics"]
        if targets and values and targets[-1] and values[-1] is not None:
            replicas = in_words(report.scaled, values[-1], targets[-1])
            console.print(f"  trigger {entry.index}: {figure(values[-1])} / {figure(targets[-1])} → {replicas}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

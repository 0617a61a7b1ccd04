"""The output of the demo: a live table in a terminal, plain rows or JSON lines elsewhere."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from scaler.commands.demo.opening import Opening, Preparation
from scaler.commands.demo.schedule import RAMP_SECONDS
from scaler.commands.demo.simulated import Deployment
from scaler.manifest import ScaledObject
from scaler.plan import Plan

LEAVE = "[dim]Ctrl-C quits[/]"
"""the last line: a terminal writes ^C after it, which would wrap after the full width of the table"""

ROW_SECONDS = 2.0
"""real seconds between two plain rows of one workload"""


@dataclass(frozen=True, slots=True)
class Row:
    """One workload at one moment; None before its first answer."""

    at: float
    workload: str
    threshold: float
    demand: float | None
    plan: Plan | None
    ours: Deployment | None
    reactive: Deployment | None
    error: str
    opening: Opening | None = None

    def as_json(self) -> dict[str, Any]:
        """The documented form of `--json`."""
        plan, ours, reactive = self.plan, self.ours, self.reactive
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "workload": self.workload,
            "demand": _rounded(self.demand),
            "need": _rounded(plan.need) if plan else None,
            "metric": _rounded(plan.metric) if plan else None,
            "active": plan.active if plan else None,
            "rung": str(plan.rung) if plan else None,
            "replicas": ours.replicas if ours else None,
            "ready": ours.ready(self.at) if ours else None,
            "short_minutes": _rounded(ours.short_minutes) if ours else None,
            "replica_hours": _rounded(ours.replica_hours) if ours else None,
            "reactive_replicas": reactive.replicas if reactive else None,
            "reactive_ready": reactive.ready(self.at) if reactive else None,
            "reactive_short_minutes": _rounded(reactive.short_minutes) if reactive else None,
            "reactive_replica_hours": _rounded(reactive.replica_hours) if reactive else None,
            **(_opening_json(self.opening) if self.opening else dict.fromkeys(OPENING_KEYS)),
            "error": self.error,
        }


OPENING_KEYS = (
    "opens_at",
    "opening_replicas",
    "opening_ready_at",
    "opening_unserved",
    "reactive_opening_ready_at",
    "reactive_opening_unserved",
)


class View(Protocol):
    """Shows rows; a context manager that restores the terminal at the end."""

    def show(self, rows: Sequence[Row], at_once: bool) -> None:
        """Show the newest row of every workload; `at_once`: now, not at the next due time."""
        ...

    def __enter__(self) -> "View": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RowView:
    """One plain line (or JSON object) per workload every few seconds; in plain form, a summary at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._shown_at = -ROW_SECONDS
        self._rows: Sequence[Row] = ()

    def show(self, rows: Sequence[Row], at_once: bool) -> None:
        self._rows = rows
        if not at_once and time.monotonic() - self._shown_at < ROW_SECONDS:
            return
        self._shown_at = time.monotonic()
        for row in rows:
            print(json.dumps(row.as_json()) if self._as_json else plain(row), flush=True)

    def __enter__(self) -> "RowView":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._as_json:
            for line in opening_lines(self._rows):
                print(line, flush=True)


class LiveView:
    """One table that is redrawn in place, below an introduction. Its last state stays when the demo ends."""

    def __init__(self, speed: float, introduction: str) -> None:
        self._introduction = introduction
        self._speed = speed
        self._live = Live(console=Console(highlight=False), refresh_per_second=4)

    def show(self, rows: Sequence[Row], at_once: bool) -> None:
        self._live.update(self.screen(rows), refresh=at_once)

    def screen(self, rows: Sequence[Row]) -> Group:
        """What is redrawn: table, errors or else the opening, and how to quit."""
        return Group(self._table(rows), *(self._errors(rows) or opening_lines(rows)), LEAVE)

    def __enter__(self) -> "LiveView":
        self._live.console.print(self._introduction, markup=False, soft_wrap=True)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _table(self, rows: Sequence[Row]) -> Table:
        now = datetime.fromtimestamp(rows[0].at, UTC) if rows else None
        title = f"Headway demo · recorded time {now:%a %d %b %Y %H:%M:%S} UTC · {self._speed:g} × real time"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        table.add_column("workload", no_wrap=True)
        for name in ("demand", "need", "metric"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("scaled by", no_wrap=True)
        for name in ("replicas", "ready", "short", "replica-h"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(row.workload, *_numbers(row), "headway", *_lane(row.ours, row.at))
            table.add_row("", "", "", "", "reactive", *_lane(row.reactive, row.at), style="dim")
        return table

    def _errors(self, rows: Sequence[Row]) -> list[str]:
        """One line: the terminal has no more."""
        first, *others = [row.error for row in rows if row.error] or [""]
        return [f"[yellow]{escape(first)}{f' (and {len(others)} more)' if others else ''}[/]"] if first else []


def plain(row: Row) -> str:
    """One line for a log: the same figures as the table."""
    demand, need, metric = _numbers(row)
    ours, reactive = _lane(row.ours, row.at), _lane(row.reactive, row.at)
    line = (
        f"{datetime.fromtimestamp(row.at, UTC):%d %b %H:%M:%S}  {row.workload:<8} demand {demand:>6}  need {need:>6}  "
        f"metric {metric:>6}  headway {_words(ours)}  reactive {_words(reactive)}"
    )
    return f"{line}  {row.error}".rstrip()


def _words(lane: tuple[str, str, str, str]) -> str:
    replicas, ready, short, hours = lane
    return f"{replicas:>2} replicas ({ready:>2} ready) short {short:>5} min {hours:>6} replica-h"


def opening_lines(rows: Sequence[Row]) -> list[str]:
    """What was measured at the opening of each workload on a schedule: three lines."""
    return [line for row in rows if row.opening is not None for line in _opening_lines(row, row.opening)]


def _opening_lines(row: Row, opening: Opening) -> list[str]:
    verb = "opens" if row.at < opening.at else "opened"
    return [
        f"{row.workload} {verb} at {_clock(opening.at)[:5]}: demand × {opening.factor:.0f} within "
        f"{RAMP_SECONDS / 60:.0f} min, needs {opening.replicas} ready replicas",
        f"  headway   {_prepared(opening, opening.ours, row.at)}",
        f"  reactive  {_prepared(opening, opening.reactive, row.at)}",
    ]


def _prepared(opening: Opening, one: Preparation, now: float) -> str:
    share, until = one.unserved_share, _clock(min(now, opening.judged_until))[:5]
    unserved = "" if share is None else f" · {100 * share:.2f} % unserved until {until}"
    if one.ready_at is None:
        return f"{one.pods.ready(now)} of {opening.replicas} ready{unserved}"
    minutes = (one.ready_at - opening.at) / 60
    return f"ready {_clock(one.ready_at)}, {abs(minutes):.1f} min {'after' if minutes > 0 else 'before'}{unserved}"


def introduction(program: str, grpc_address: str, http_address: str, manifest: str, scaled: ScaledObject) -> str:
    """The introduction: the columns, and commands that ask the running demo about `scaled`, and all that KEDA asks.

    With the table it fits into a terminal of 80 columns and 24 rows.
    """
    return f"""\
Three recorded workloads and a generated one (tickets), each scaled in two ways
  need       the demand to be served by the time a replica ordered now is ready
  metric     what KEDA reads; may exceed need because of the HPA's tolerance
  short      minutes with demand above ready replicas × threshold
Minutes and replica-hours (replica-h) are in recorded time. In another terminal:
  {program} why {scaled.namespace} {scaled.name} --address http://{http_address}
  {program} check {manifest} --scaler {grpc_address}
"""


def _numbers(row: Row) -> tuple[str, str, str]:
    plan = row.plan
    return _short(row.demand), _short(plan.need if plan else None), _short(plan.metric if plan else None)


def _lane(deployment: Deployment | None, at: float) -> tuple[str, str, str, str]:
    """Replicas, ready ones, short minutes and replica hours."""
    if deployment is None:
        return "-", "-", "-", "-"
    ready, short, hours = deployment.ready(at), deployment.short_minutes, deployment.replica_hours
    return str(deployment.replicas), str(ready), f"{short:.1f}", f"{hours:.1f}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def _opening_json(opening: Opening) -> dict[str, Any]:
    ours, reactive = opening.ours, opening.reactive
    values = (
        _moment(opening.at),
        opening.replicas,
        _moment(ours.ready_at),
        _rounded(ours.unserved_share),
        _moment(reactive.ready_at),
        _rounded(reactive.unserved_share),
    )
    return dict(zip(OPENING_KEYS, values, strict=True))


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()

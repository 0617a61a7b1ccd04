"""`headway top`, run: live in a terminal; as plain tables, or JSON by the line, elsewhere."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access
from scaler.commands.savings.reading import Refused
from scaler.commands.scaler_api import REFUSED_BY, Unreachable
from scaler.commands.top.reading import Overview, read_overview
from scaler.commands.top.table import heading, table
from scaler.words.numbers import rounded

MOST_ROWS = 500
"""that one request can ask for"""
LINES_AROUND = 4
"""of a terminal that are no rows: the heading, an empty line, the head of the table, the last line"""
LEAST_SECONDS, MOST_SECONDS = 0.5, 3600.0
FLAGS = {"sort": "--sort", "namespace": "--namespace", "q": "--search"}


@dataclass(frozen=True, slots=True)
class TopOptions:
    """interval: seconds from an answer to the next question."""

    sort: str
    namespace: str
    search: str
    interval: float
    once: bool
    as_json: bool
    address: str


class View(Protocol):
    """Shows one overview after the other, and why there is none."""

    @property
    def rows(self) -> int: ...

    def show(self, overview: Overview) -> None: ...

    def gone(self, reason: str) -> None: ...


def top(options: TopOptions, access: Access) -> Exit:
    """Show the overview until Ctrl-C, or once. UNREACHABLE where the first question gets no answer, USAGE for what the
    scaler refuses."""
    if not LEAST_SECONDS <= options.interval <= MOST_SECONDS:
        raise Usage(f"--interval={options.interval:g}: must be {LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds")
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        first = read_overview(options.address, _asked(options, _rows(console)), access)
        with _view(options, console, errors) as view:
            view.show(first)
            if not options.once:
                _follow(view, options, access)
    except Unreachable as error:
        errors.print(f"headway: {error}", markup=False)
        return Exit.UNREACHABLE
    except Refused as refusal:
        return _explain(refusal, errors)
    except KeyboardInterrupt:
        return Exit.FINE
    return Exit.FINE


def _follow(view: View, options: TopOptions, access: Access) -> None:
    """Ask again and again; a scaler that goes away is asked on."""
    while True:
        time.sleep(options.interval)
        try:
            view.show(read_overview(options.address, _asked(options, view.rows), access))
        except Unreachable as error:
            view.gone(f"{error}; asking again every {options.interval:g} s")


def _asked(options: TopOptions, rows: int) -> dict[str, str | int]:
    return {"sort": options.sort, "namespace": options.namespace, "q": options.search, "limit": rows}


def _rows(console: Console) -> int:
    """As many as the terminal has room for."""
    return max(1, min(MOST_ROWS, console.height - LINES_AROUND)) if console.is_terminal else MOST_ROWS


def _explain(refusal: Refused, errors: Console) -> Exit:
    for fault in refusal.faults:
        field = FLAGS.get(fault["field"], fault["field"])
        errors.print(f"headway: {field}={fault['value']!r}: {fault['rule']}", markup=False)
    if refusal.code in REFUSED_BY:
        errors.print(REFUSED_BY[refusal.code], markup=False)
    return Exit.USAGE


@contextmanager
def _view(options: TopOptions, console: Console, errors: Console) -> Iterator[View]:
    if options.as_json:
        yield _Lines(console, errors)
    elif options.once or not console.is_terminal:
        yield _Tables(options.sort, console, errors)
    else:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield _Screen(options.sort, live)


class _Lines:
    """Each answer as one line of JSON."""

    rows = MOST_ROWS

    def __init__(self, console: Console, errors: Console) -> None:
        self._console, self._errors = console, errors

    def show(self, overview: Overview) -> None:
        text = json.dumps(rounded(overview.answer), ensure_ascii=False)
        self._console.print(text, markup=False, soft_wrap=True)

    def gone(self, reason: str) -> None:
        self._errors.print(f"headway: {reason}", markup=False)


class _Tables:
    """One table below the other, as wide as the terminal is, or as they need to be."""

    def __init__(self, sort: str, console: Console, errors: Console) -> None:
        self._sort, self._console, self._errors = sort, console, errors
        self.rows = _rows(console)

    def show(self, overview: Overview) -> None:
        self._console.print(heading(overview, self._sort), markup=False, soft_wrap=True)
        self._console.print(table(overview, self._sort, self._console.width))
        self._console.print()

    def gone(self, reason: str) -> None:
        self._errors.print(f"headway: {reason}", markup=False)


class _Screen:
    """The whole terminal, whatever size it has when it is drawn."""

    def __init__(self, sort: str, live: Live) -> None:
        self._sort, self._live = sort, live
        self._last: Overview | None = None

    @property
    def rows(self) -> int:
        return _rows(self._live.console)

    def show(self, overview: Overview) -> None:
        self._last = overview
        self._live.update(_Drawn(overview, self._sort, ""), refresh=True)

    def gone(self, reason: str) -> None:
        if self._last is not None:
            self._live.update(_Drawn(self._last, self._sort, reason), refresh=True)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """trouble: why the overview is not of now; empty where it is."""

    overview: Overview
    sort: str
    trouble: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        last = Text(self.trouble, style="bold red") if self.trouble else Text("Ctrl-C ends", style="dim")
        head = Text(heading(self.overview, self.sort), no_wrap=True, overflow="ellipsis")
        room = max(1, (options.height or console.height) - LINES_AROUND)
        shown = Overview(self.overview.at, self.overview.count, self.overview.rows[:room], self.overview.answer)
        last.truncate(max(1, options.max_width), overflow="ellipsis")
        yield Group(head, Text(), table(shown, self.sort, options.max_width), last)

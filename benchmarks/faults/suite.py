"""Injecting faults one after the other, each several times, and making the rows of the matrix."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from tests.servers.prometheus import PrometheusServer

from .record import Injection, Row, Watch, fill
from .world import settled

REWRITTEN_SECONDS = 60.0


class Server(Protocol):
    """A server that can be stopped and paused."""

    def stop(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@contextmanager
def down(server: Server) -> Iterator[None]:
    """It refuses connections."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def hanging(server: Server) -> Iterator[None]:
    """It takes connections and answers nothing."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@dataclass(frozen=True)
class Fault:
    """One kind of fault: while `injected()` is entered, the fault is there."""

    name: str
    injected: Callable[[], AbstractContextManager[object]]
    note: str = ""
    long_seconds: float = 30.0
    """the first injection: longer than an observation stays fresh"""
    short_seconds: float = 3.0
    """all others"""
    rows: Callable[[], Mapping[str, float]] | None = None
    """what the store holds and must not lose: last calls by key"""


@dataclass
class Run:
    """What all families share: how much to do, where, and the rows so far."""

    folder: Path
    prometheus: PrometheusServer
    quick: bool = False
    json_file: Path | None = None
    """where the rows are written after each family"""
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """families that could not be run to their end"""
    random: Random = field(default_factory=lambda: Random(15))
    say: Callable[[str], None] = print

    def times(self, full: int, quick: int = 1) -> int:
        """How often to inject."""
        return quick if self.quick else full

    def place(self, name: str) -> Path:
        """A new folder."""
        made = self.folder / name
        made.mkdir(parents=True)
        return made

    def add(self, row: Row) -> None:
        """Keep a row and show it."""
        self.rows.append(row)
        self.say(
            f"{row.family:<12} {row.fault:<48} x{row.injected:<4} below {row.below_need} zeros {row.made_up_zeros} "
            f"lost {row.lost_rows} of {row.checked_rows} without {row.longest_without_seconds:.1f} s "
            f"wait {row.longest_wait_seconds:.2f} s ({row.longest_wait_of}; late {row.measuring_late_seconds:.2f} s) "
            f"recovery {row.recovery_seconds:.1f} s {dict(row.errors) or ''}"
        )
        for one in (*row.examples, *filter(None, (row.note,))):
            self.say(f"    {one}")


def _lost(fault: Fault, before: Mapping[str, float]) -> list[str]:
    """The rows that are not there a minute later: what a file had that is gone is written again little by little."""
    ends = time.monotonic() + REWRITTEN_SECONDS
    while fault.rows is not None:
        after = fault.rows()
        lost = [key for key, called in before.items() if after.get(key, 0) < called]
        if not lost or time.monotonic() > ends:
            return lost
        time.sleep(2)
    return []


def lengths(fault: Fault, times: int) -> Iterator[float]:
    """How long each injection lasts."""
    for number in range(times):
        yield fault.long_seconds if number == 0 else fault.short_seconds


def one_by_one(
    run: Run, family: str, faults: Sequence[Fault], watches: Sequence[Watch], replicas: int, times: int
) -> None:
    """Each fault in turn, `times` times; between two faults the bystander must be well again."""
    for fault in faults:
        if not settled(watches, replicas):
            run.say(f"{family}: not well again before {fault.name}")
        injections = []
        before = fault.rows() if fault.rows is not None else {}
        for seconds in lengths(fault, times):
            start = time.time()
            with fault.injected():
                time.sleep(seconds)
            injections.append(Injection(start, time.time()))
            time.sleep(run.random.uniform(0.5, 1.5))
        settled(watches, replicas, 40)
        row = fill(Row(family, fault.name, len(injections), note=fault.note), watches, injections, time.time())
        row.checked_rows = len(before)
        row.lost_rows = len(_lost(fault, before))
        run.add(row)

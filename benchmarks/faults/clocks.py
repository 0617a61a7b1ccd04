"""Clocks that are set while the process runs, and moments at which calendars do what few programs expect.

The process's clock is libfaketime's: its offset from this machine's clock is read from a file, so that a step hits the
process in the middle of whatever it does. The monotonic clock goes on, as on a real machine.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scaler.commands.check.keda_client import OurTrigger

from .record import Injection, Row, fill
from .suite import Fault, Run, one_by_one
from .world import Group, replicas, settled, triggers

FAMILY = "clocks"
LIBRARIES = (
    Path("/usr/lib"),
    Path("/usr/lib64"),
    Path("/usr/local/lib"),
    Path(__file__).parents[2] / ".tools/root/usr/lib",
)
"""folders below which distributions, and tools/test_servers.sh, put it"""
AHEAD_SECONDS = 16.0
"""an observation that the clock now calls future counts while it is no further off than maxStaleness"""
SEEN_SECONDS = 1.2
"""libfaketime reads its file once a second"""


def library() -> Path | None:
    """libfaketime, or None where it is not installed."""
    name = "faketime/libfaketimeMT.so.1"
    found = [path for folder in LIBRARIES for path in (*folder.glob(name), *folder.glob(f"*/{name}"))]
    return next(iter(found), None)


@dataclass
class FakeClock:
    """The clock of one group of processes."""

    file: Path
    offset: float = 0.0
    before: float = 0.0
    changed: float = 0.0

    def set(self, offset: float) -> None:
        """Let it differ by `offset` seconds from now on."""
        self.before, self.offset, self.changed = self.offset, offset, time.time()
        self.file.write_text(f"{offset:+.3f}\n")

    def offsets(self) -> tuple[float, ...]:
        """What it may differ by just now."""
        recent = time.time() - self.changed < 2 * SEEN_SECONDS
        return (self.offset, self.before) if recent else (self.offset,)

    def environment(self, loaded: Path) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(loaded),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


STEPS: Mapping[str, float] = {
    "2 s forwards": 2,
    "2 s back": -2,
    "12 s back": -12,
    "10 min forwards": 600,
    "10 min back": -600,
    "an hour forwards": 3600,
    "an hour back": -3600,
    "a day forwards": 86_400,
    "a day back": -86_400,
}

MOMENTS: Mapping[str, tuple[str, str]] = {
    "summer time begins": ("Europe/Berlin", "2026-03-29T02:00:00+01:00"),
    "summer time ends": ("Europe/Berlin", "2026-10-25T03:00:00+02:00"),
    "half an hour of summer time ends": ("Australia/Lord_Howe", "2027-04-04T02:00:00+11:00"),
    "a day that is left out": ("Pacific/Apia", "2011-12-29T24:00:00-10:00"),
    "a leap day begins": ("America/New_York", "2028-02-29T00:00:00-05:00"),
    "a year begins": ("Asia/Kathmandu", "2027-01-01T00:00:00+05:45"),
    "2038: 32 bits overflow": ("UTC", "2038-01-19T03:14:08+00:00"),
}


def run_family(run: Run) -> None:
    """Steps in one process, one after the other; moments in a process each, all at once."""
    loaded = library()
    if loaded is None:
        run.left_out.append("clock steps, time zones and DST: libfaketime is not installed (`make servers`)")
        return
    _steps(run, loaded)
    _moments(run, loaded)


def _steps(run: Run, loaded: Path) -> None:
    folder = run.place("clock-steps")
    clock = FakeClock(folder / "clock")
    clock.set(0)
    options = ("--prometheus", run.prometheus.url)
    with replicas(folder, 1, *options, environment=clock.environment(loaded)) as group:
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        with group.watched(wanted, offsets=clock.offsets, ahead=AHEAD_SECONDS) as watches:
            names = [name for name in STEPS if not run.quick or name.startswith("an hour")]
            faults = [
                Fault(name, _stepped(clock, STEPS[name]), "the clock is set right again at its end", 22, 8)
                for name in names
            ]
            one_by_one(run, FAMILY, faults, watches, 1, run.times(2, 1))


def _stepped(clock: FakeClock, seconds: float) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        clock.set(clock.offset + seconds)
        try:
            yield
        finally:
            clock.set(clock.offset - seconds)

    return injected


def _moments(run: Run, loaded: Path) -> None:
    names = list(MOMENTS)[: 2 if run.quick else None]
    with ThreadPoolExecutor(len(names)) as pool:
        for row in pool.map(lambda name: _moment(run, loaded, name), names):
            run.add(row)


def _moment(run: Run, loaded: Path, name: str) -> Row:
    """A process that starts 90 s before the moment and runs for 30 s after it."""
    zone, text = MOMENTS[name]
    folder = run.place(f"moment-{list(MOMENTS).index(name)}")
    clock = FakeClock(folder / "clock")
    midnight = "T24:00:00" in text
    moment = datetime.fromisoformat(text.replace("T24:00:00", "T00:00:00")).timestamp() + 86_400 * midnight
    clock.set(moment - time.time() - 90)
    environment = {**clock.environment(loaded), "TZ": zone}
    with replicas(folder, 1, "--prometheus", run.prometheus.url, environment=environment) as group:
        wanted = triggers(run.prometheus.url, timezone=zone)
        _until_answers(group, wanted)
        with group.watched(wanted, offsets=clock.offsets, ahead=AHEAD_SECONDS) as watches:
            settled(watches, 1)
            start, then = time.time(), moment - clock.offset
            time.sleep(max(0.0, then + 30 - start))
            row = Row(FAMILY, f"{name} ({zone})", 1)
            if start > then:
                row.wrong("the process was not ready before the moment")
            return fill(row, watches, [Injection(start, then + 1)], time.time())


def _until_answers(group: Group, wanted: list[OurTrigger]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if all(group.clients()[0].metrics(one, "headway", "poll").number for one in wanted):
            return
        time.sleep(0.3)

"""What a bystander gets: every call is kept, and figures are made of the calls of one span of time."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

from scaler.commands.check.keda_client import Call, KedaClient, OurTrigger

from .demand import demand, reactive_need

TIMEOUT_SECONDS = 10.0
"""KEDA waits without a limit; a wait this long is recorded as such"""
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Answer:
    """One call: when (seconds since the epoch), which, and what came."""

    asked: float
    answered: float
    rpc: str
    status: str
    number: float | None
    need: float
    """the reactive need at that moment"""
    rung: str = ""

    @property
    def wait_seconds(self) -> float:
        return self.answered - self.asked

    @property
    def good(self) -> bool:
        """A number that is not below what a reactive trigger would have had."""
        return self.number is not None and self.number >= self.need

    @property
    def below(self) -> float:
        """How much of the need is missing, as a share; 0 where nothing is."""
        return 0.0 if self.number is None else max(0.0, 1 - self.number / self.need)


Offsets = Callable[[], tuple[float, ...]]
Rung = Callable[[OurTrigger], str]


class Watch:
    """Calls the replicas in turn for one trigger, as KEDA does, in a thread of its own.

    offsets: seconds by which the replicas' clock may differ from this one's. ahead: see `reactive_need`.
    """

    def __init__(
        self,
        trigger: OurTrigger,
        clients: Callable[[], Sequence[KedaClient]],
        rung: Rung = lambda _: "",
        offsets: Offsets = lambda: (0.0,),
        ahead: float = 0.0,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self.trigger = trigger
        self.answers: list[Answer] = []
        self._clients, self._rung, self._offsets, self._ahead = clients, rung, offsets, ahead
        self._pause = pause
        self._turn = count()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {trigger.name}", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(2 * TIMEOUT_SECONDS)

    def since(self, start: float, end: float = float("inf")) -> list[Answer]:
        """The calls that began within this span."""
        return [one for one in list(self.answers) if start <= one.asked <= end]

    def is_good(self, replicas: int) -> bool:
        """Whether the newest values, as many as there are replicas, are all good and recent."""
        values = [one for one in list(self.answers) if one.rpc == "GetMetrics"][-replicas:]
        recent = bool(values) and values[0].asked > time.time() - 5 - self._pause * replicas
        return recent and len(values) == replicas and all(one.good for one in values)

    def _run(self) -> None:
        while not self._ends.wait(self._pause):
            self._keep("GetMetricSpec", lambda client: client.metric_spec(self.trigger, "poll"))
            self._keep("GetMetrics", lambda client: client.metrics(self.trigger, "headway", "poll"))
            self._keep("IsActive", lambda client: client.is_active(self.trigger, "poll"))

    def _keep(self, rpc: str, ask: Callable[[KedaClient], Call]) -> None:
        clients = self._clients()
        if not clients:
            return
        before = self._offsets()
        asked = time.time()
        try:
            call = ask(clients[next(self._turn) % len(clients)])
        except ValueError:  # the channel of a replica that was just taken away
            return
        answered = time.time()
        if call.status == "CANCELLED":  # the channel was closed here, because its replica was killed
            return
        need = 0.0
        if rpc == "GetMetrics":
            offsets = {*before, *self._offsets()}
            need = min(reactive_need(asked + each, answered + each, self._ahead) for each in offsets)
        status = call.status if not call.unreachable else "UNREACHABLE"
        rung = ""
        if rpc == "GetMetrics" and call.number is not None and call.number < need:
            rung = self._rung(self.trigger)
        self.answers.append(Answer(asked, answered, rpc, status, call.number, need, rung))


class Metronome:
    """How late this process itself wakes: what a wait may owe to the measurement."""

    BEAT_SECONDS = 0.05

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._ends = threading.Event()

    def __enter__(self) -> "Metronome":
        threading.Thread(target=self._run, name="metronome", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()

    def latest(self, start: float, end: float) -> float:
        """The longest delay within a span, in seconds."""
        return max((late for at, late in list(self._late) if start <= at <= end), default=0.0)

    def _run(self) -> None:
        while not self._ends.is_set():
            due = time.time() + self.BEAT_SECONDS
            time.sleep(self.BEAT_SECONDS)
            now = time.time()
            if now - due > self.BEAT_SECONDS:
                self._late.append((now, now - due))


METRONOME = Metronome()


@dataclass(frozen=True)
class Injection:
    """One fault that was injected: from when to when."""

    start: float
    end: float


@dataclass
class Row:
    """One line of the matrix."""

    family: str
    fault: str
    injected: int
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    longest_without_seconds: float = 0.0
    longest_without_reactive_seconds: float = 0.0
    longest_wait_seconds: float = 0.0
    longest_wait_of: str = ""
    measuring_late_seconds: float = 0.0
    """the longest delay of the measuring process itself meanwhile"""
    below_need: int = 0
    worst_below: float = 0.0
    forecast_below: float = 0.0
    """the same of answers that had a forecast alone: their observation was not fresh"""
    made_up_zeros: int = 0
    inactive: int = 0
    checked_rows: int = 0
    lost_rows: int = 0
    recovery_seconds: float = 0.0
    note: str = ""
    examples: list[str] = field(default_factory=list)
    """what was wrong with some answers"""

    def wrong(self, text: str) -> None:
        """Keep an example."""
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(text)


MOST_EXAMPLES = 5
FORECAST_ALONE = "forecast_alone"


def fill(row: Row, watches: Iterable[Watch], injections: Sequence[Injection], until: float) -> Row:
    """The figures of the calls from the first injection until `until`; `row` itself, for convenience."""
    start = injections[0].start
    row.measuring_late_seconds = max(row.measuring_late_seconds, METRONOME.latest(start, until))
    for watch in watches:
        answers = watch.since(start, until)
        _count(row, answers)
        values = [one for one in answers if one.rpc == "GetMetrics"]
        without = longest_gap([one for one in values if one.good], start, until)
        if watch.trigger.metadata.get("mode") == "reactive":
            row.longest_without_reactive_seconds = max(row.longest_without_reactive_seconds, without)
        else:
            row.longest_without_seconds = max(row.longest_without_seconds, without)
        row.recovery_seconds = max(row.recovery_seconds, recovery(values, injections, until))
    return row


def _count(row: Row, answers: Sequence[Answer]) -> None:
    for one in answers:
        if one.wait_seconds > row.longest_wait_seconds:
            row.longest_wait_seconds = one.wait_seconds
            row.longest_wait_of = f"{one.rpc} {one.status}, {one.asked - answers[0].asked:.1f} s after the first call"
        if one.number is None:
            row.errors[f"{one.rpc} {one.status}" if one.rpc != "GetMetrics" else one.status] += 1
        elif one.rpc == "IsActive":
            row.inactive += one.number == 0
        elif one.rpc == "GetMetrics":
            row.answers += 1
            row.made_up_zeros += one.number < 1
            if one.below > 0 and one.rung == FORECAST_ALONE:
                row.forecast_below = max(row.forecast_below, one.below)
            elif one.below > 0:
                row.below_need += 1
                row.wrong(f"{one.number:g} for {one.need:g} at {one.asked:.1f}, rung {one.rung or 'unknown'}")
                row.worst_below = max(row.worst_below, one.below)


def longest_gap(good: Sequence[Answer], start: float, end: float) -> float:
    """The longest time between two good answers, in seconds."""
    moments = [start, *(one.answered for one in good), end]
    return max(later - earlier for earlier, later in pairwise(moments))


def recovery(values: Sequence[Answer], injections: Sequence[Injection], until: float) -> float:
    """The longest time from the end of an injection to the last bad answer before the next one; 0 without any."""
    longest = 0.0
    for position, one in enumerate(injections):
        following = injections[position + 1].start if position + 1 < len(injections) else until
        bad = [each.answered for each in values if one.end <= each.asked <= following and not each.good]
        longest = max(longest, max(bad, default=one.end) - one.end)
    return longest


def truth_now() -> float:
    """The demand of this moment, by this machine's clock."""
    return demand(time.time())

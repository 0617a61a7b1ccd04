"""The one question behind RPCs, page, CLI and replay: (trigger, now) → Plan. No I/O and no model on this path.

`Desk` is this process's memory: who is watched, and the answer that counts now for each.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from scaler.errors import HeadwayError, NotReady, SourceUnavailable
from scaler.plan import Plan, Rung
from scaler.plan.rules import plan
from scaler.series import Outlook
from scaler.trigger import Trigger, TriggerRules, parse_trigger

FURTHEST_AHEAD_SECONDS = 30.0
"""how far ahead an outlook may begin to count; the grace between issue and counting is a second"""


def decide(trigger: Trigger, outlook: Outlook, now: float, refresh_seconds: float) -> Plan:
    """The plan for `trigger` at `now`: a pure function, equal on every replica that received the same outlook."""
    return plan(trigger, outlook, moment_of(outlook, now, refresh_seconds), refresh_seconds)


def moment_of(outlook: Outlook, now: float, refresh_seconds: float) -> float:
    """The moment for which an answer given at `now` is planned: a tick of the refresh, which all replicas share.

    A plan counts until the next refresh is due and half a refresh longer, for it to arrive; when none comes, the plan
    is made anew at every tick. Ticks are multiples of the refresh interval since the epoch, so even replicas that
    cannot talk to each other plan for the same moments.
    """
    moment = outlook.counts_from if now < outlook.counts_from + 1.5 * refresh_seconds else now
    return math.floor(moment / refresh_seconds) * refresh_seconds


@dataclass(slots=True)
class Answer:
    """A plan with the time in which it counts. `wire` is the door's own serialised form, made once per answer."""

    outlook: Outlook
    plan: Plan
    counts_from: float
    valid_until: float
    wire: bytes | None = None


class Watched:
    """One trigger that KEDA asks about, with the answer that counts now and the one that will count next."""

    __slots__ = (
        "current",
        "first_called",
        "forgotten",
        "last_called",
        "listed",
        "metadata",
        "ready",
        "settled_until",
        "trigger",
        "trouble",
        "upcoming",
    )

    def __init__(self, trigger: Trigger, metadata: Mapping[str, str], now: float) -> None:
        self.trigger = trigger
        self.metadata = metadata
        self.first_called = now
        self.last_called = now
        self.current: Answer | None = None
        self.upcoming: Answer | None = None
        self.settled_until = 0.0
        """until then `current` is the answer, and nothing else need be looked at"""
        self.trouble: HeadwayError | None = None
        """why there is no answer yet: the last failure of observing"""
        self.forgotten = False
        """no longer watched; whoever still holds this must have the trigger registered anew"""
        self.listed = False
        """whether it is watched because the settings list it"""
        self.ready = asyncio.Event()
        """set when the first outlook, or the first failure to get one, has arrived"""

    def forget(self) -> None:
        """Keep nothing that takes room."""
        self.forgotten = True
        self.current = self.upcoming = None
        self.settled_until = 0.0


class Desk:
    """All watched triggers of this process. Every method is synchronous and takes the time as an argument."""

    def __init__(
        self, rules: TriggerRules, refresh_seconds: float, on_new: Callable[[Watched], None] = lambda _: None
    ) -> None:
        self.rules = rules
        self.refresh_seconds = refresh_seconds
        self._on_new = on_new
        self._watched: dict[str, Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self._watched.values()))

    def get(self, key: str) -> Watched | None:
        return self._watched.get(key)

    def watch(self, namespace: str, name: str, metadata: Mapping[str, str], now: float) -> Watched:
        """The watched trigger for what KEDA sent; registers it when new. Raises TriggerInvalid with every fault."""
        trigger = parse_trigger(namespace, name, metadata, self.rules)
        watched = self._watched.get(trigger.key)
        if watched is None:
            watched = self._watched[trigger.key] = Watched(trigger, dict(metadata), now)
            self._on_new(watched)
        watched.last_called = now
        return watched

    def receive(self, key: str, outlook: Outlook, now: float) -> None:
        """Take what a refresh (here or elsewhere) published; older news than what is known is ignored."""
        watched = self._watched.get(key)
        if watched is None:
            return
        furthest = now + FURTHEST_AHEAD_SECONDS
        if outlook.counts_from > furthest:
            return  # from a replica whose clock is wrong: it would keep all others' outlooks out until then
        known = watched.upcoming or watched.current
        if known is not None and outlook.counts_from < known.outlook.counts_from <= furthest:
            return  # what is known from further ahead comes from before a clock was set back
        answer = self._answer(watched.trigger, outlook, max(now, outlook.counts_from))
        if outlook.counts_from > now and watched.current is not None:
            self._promote(watched, now)
            watched.upcoming = answer
        else:
            watched.current, watched.upcoming = answer, None
        _settle(watched)
        watched.trouble = None
        watched.ready.set()

    def fail(self, key: str, error: HeadwayError) -> None:
        """Remember why a trigger without any outlook has none."""
        watched = self._watched.get(key)
        if watched is not None:
            watched.trouble = error
            watched.ready.set()

    def answer(self, watched: Watched, now: float) -> Answer:
        """The answer that counts at `now`. Raises NotReady, the source's own error, or SourceUnavailable."""
        current = watched.current
        if now < watched.settled_until and current is not None:
            return current
        return self._look(watched, now)

    def _look(self, watched: Watched, now: float) -> Answer:
        self._promote(watched, now)
        current = watched.current
        if current is None:
            # one instance is raised many times: without this its traceback would grow with every call
            raise (watched.trouble or _not_ready(watched.trigger)).with_traceback(None)
        if now >= current.valid_until:
            current = watched.current = self._answer(watched.trigger, current.outlook, now)
        _settle(watched)
        if current.plan.rung is Rung.NOTHING:
            raise SourceUnavailable(_nothing_left(watched.trigger, current))
        return current

    def forget_silent(self, now: float, silence_seconds: float) -> list[Watched]:
        """Drop and return the triggers nobody has asked about for `silence_seconds`: KEDA never says goodbye."""
        silent = [w for w in self._watched.values() if now - w.last_called > silence_seconds]
        for watched in silent:
            del self._watched[watched.trigger.key]
            watched.forget()
        return silent

    def _promote(self, watched: Watched, now: float) -> None:
        if watched.upcoming is not None and now >= watched.upcoming.counts_from:
            watched.current, watched.upcoming = watched.upcoming, None

    def _answer(self, trigger: Trigger, outlook: Outlook, now: float) -> Answer:
        made = decide(trigger, outlook, now, self.refresh_seconds)
        valid_until = max(outlook.counts_from + 1.5 * self.refresh_seconds, made.at + self.refresh_seconds)
        return Answer(outlook, made, outlook.counts_from, valid_until)


def _settle(watched: Watched) -> None:
    current, upcoming = watched.current, watched.upcoming
    if current is None or current.plan.rung is Rung.NOTHING:
        watched.settled_until = 0.0
    elif upcoming is None:
        watched.settled_until = current.valid_until
    else:
        watched.settled_until = min(current.valid_until, upcoming.counts_from)


def _not_ready(trigger: Trigger) -> NotReady:
    return NotReady(f"{trigger.namespace}/{trigger.name}: registered, waiting for the first observation")


def _nothing_left(trigger: Trigger, answer: Answer) -> str:
    why = answer.outlook.trouble or "no observation has arrived"
    reasons = "; ".join(reason.text for reason in answer.plan.reasons)
    return f"{trigger.namespace}/{trigger.name}: neither observation nor forecast is usable ({reasons}): {why}"

"""This process's memory of triggers: which ones KEDA calls for, and the answer that counts now for each. No I/O."""

import asyncio
import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from scaler.anomalies import Seen
from scaler.decide import counts_between, decide
from scaler.errors import HeadwayError, NotReady, SourceUnavailable
from scaler.key_index import KeyIndex
from scaler.models import Serving
from scaler.plan import Plan, Rung
from scaler.quotas import NO_LIMITS, Limits, Quota
from scaler.savings import Account
from scaler.scoring import Scores
from scaler.scoring.uncertainty import Doubt
from scaler.series import FURTHEST_AHEAD_SECONDS, Outlook
from scaler.trigger import Trigger, TriggerRules, parse_trigger
from scaler.trigger.schema import relevant


@dataclass(slots=True)
class Answer:
    """A plan with the time in which it counts. `wire` is its serialised form for KEDA, made once per answer."""

    outlook: Outlook
    plan: Plan
    counts_from: float
    valid_from: float
    """earlier than this, the clock was set back since the plan was made"""
    valid_until: float
    wire: bytes | None = None


class ListedBy(StrEnum):
    """Who lists a trigger for which KEDA does not call."""

    SETTINGS = "settings"
    ANNOTATION = "annotation"


def unscored() -> Scores | None:
    """What another replica scores, or nobody does."""
    return None


def unwatched() -> Seen | None:
    """What another replica watches, or nobody does."""
    return None


def undoubted() -> Doubt | None:
    """What another replica forecasts, or nobody does."""
    return None


NEVER = 0.0
"""`last_called` of a trigger that is listed, and that KEDA has not called for"""

TRIED_SECONDS, TRIAL_SECONDS = 60.0, 900.0
"""a trigger that was called for during less than the first, and not again for the second, is forgotten: KEDA calls
at least once per polling interval"""

MOST_OF_ONE_OBJECT = 32
"""triggers of one ScaledObject: each edit makes another one, and the one before falls silent"""

IDLE_SECONDS = 300.0
"""without a call for this long, a trigger makes room for a new one of its namespace, where the quota is reached"""
MOST_IDLE_DROPPED = 100
"""at once, those that were called least recently"""

NEW_SECONDS = 600.0
NEW_PER_QUOTA = 2
LEAST_NEW = 200
"""within the first, a namespace registers at most as many triggers as the other two say: each is observed, forecast and
stored, and takes memory for a while after it was dropped"""


class Registration:
    """One watched trigger, with the answer that counts now and the one that will count next."""

    __slots__ = (
        "__weakref__",
        "account",
        "anomalies",
        "current",
        "doubt",
        "error",
        "first_answer",
        "first_called",
        "forecast_coming",
        "forgotten",
        "last_called",
        "listed_by",
        "metadata",
        "metric_calls",
        "ready",
        "restored",
        "scores",
        "serving",
        "settled_from",
        "settled_until",
        "trigger",
        "upcoming",
    )

    def __init__(self, trigger: Trigger, metadata: Mapping[str, str], now: float) -> None:
        self.trigger = trigger
        self.metadata = metadata
        self.first_called = now
        self.last_called = NEVER
        """KEDA's last call"""
        self.metric_calls = 0
        """how often KEDA has called GetMetrics; the HPA's share of them shows whether it reads this trigger"""
        self.current: Answer | None = None
        self.upcoming: Answer | None = None
        self.settled_from = self.settled_until = 0.0
        """between these moments `current` is the answer, without looking at anything else"""
        self.error: HeadwayError | None = None
        """why there is no answer yet: the last failure of observing"""
        self.forgotten = False
        """no longer watched; the trigger must be registered again"""
        self.listed_by: ListedBy | None = None
        """it is watched although KEDA does not call for it"""
        self.restored = False
        """it was watched before this process started"""
        self.ready = False
        """whether the first outlook, or the first failure to get one, has arrived"""
        self.first_answer = asyncio.Event()
        """set when no call need wait: the first answer is as good as it soon gets, or has failed, or is overdue"""
        self.forecast_coming = False
        """whether an outlook without forecast is about to be followed by one with it"""
        self.scores: Callable[[], Scores | None] = unscored
        self.serving: Serving | None = None
        """of which scope the model is the champion that forecasts it here; None where there is none"""
        """how good its forecasts were in the last week; None where nothing is scored here"""
        self.anomalies: Callable[[], Seen | None] = unwatched
        """where its demand left the band of its forecast; None where it is not watched here"""
        self.doubt: Callable[[], Doubt | None] = undoubted
        """whether its forecast is uncertain; None where there is none, or another replica makes it"""
        self.account: Account | None = None
        """what it was worth since this process refreshes it; None where another one does"""

    def is_wanted(self, now: float, silence_seconds: float) -> bool:
        """Whether it is listed, or KEDA has called for it in the last `silence_seconds`; of one that was hardly ever
        called for, in the last quarter of an hour."""
        if self.listed_by is not None:
            return True
        if self.last_called == NEVER:
            return False  # whoever listed it lists it no longer
        if silence_seconds < math.inf and self.last_called - self.first_called < TRIED_SECONDS and not self.restored:
            silence_seconds = min(silence_seconds, TRIAL_SECONDS)
        return now - self.last_called <= silence_seconds

    def bound_calls(self, now: float) -> None:
        """A call from the future was noted before a clock was set back: it counts as one of `now`."""
        self.first_called = min(self.first_called, now)
        self.last_called = min(self.last_called, now)

    def forget(self) -> None:
        """Keep nothing that takes room."""
        self.forgotten = True
        self.current = self.upcoming = None
        self.settled_until = 0.0


class Registry:
    """All watched triggers of this process. Every method is synchronous and takes the time as an argument."""

    def __init__(
        self,
        rules: TriggerRules,
        refresh_seconds: float,
        on_new: Callable[[Registration], None] = lambda _: None,
        limits: Limits = NO_LIMITS,
        awaited: Callable[[], str] = lambda: "",
    ) -> None:
        self.rules = rules
        self.awaited = awaited
        """why a trigger may be missing that was watched before; empty once all are known"""
        self.refresh_seconds = refresh_seconds
        self.forgotten = 0
        """how many triggers were forgotten so far"""
        self.quota = Quota("triggers", limits, "Delete ScaledObjects that are not needed (silent triggers expire)")
        self._on_new = on_new
        self._registrations: dict[str, Registration] = {}
        self._index = KeyIndex()
        self._new: Counter[str] = Counter()
        """by namespace, since `_new_since`"""
        self._new_since = 0.0
        self._dropped: list[Registration] = []
        """since the last `forget_silent`"""
        self._none_idle_before: dict[str, float] = {}
        """by namespace that reached its quota"""
        self._followers: dict[str, set[Callable[[float], None]]] = {}

    def __len__(self) -> int:
        return len(self._registrations)

    def __iter__(self) -> Iterator[Registration]:
        return iter(list(self._registrations.values()))

    def __contains__(self, key: str) -> bool:
        return key in self._registrations

    def get(self, key: str) -> Registration | None:
        return self._registrations.get(key)

    def page(
        self, count: int, after: str = "", namespace: str | None = None, name: str | None = None
    ) -> list[Registration]:
        """The first `count` triggers by key after the key `after`, of one namespace or one name where these are set."""
        keys = itertools.islice(self._index.after(after, namespace, name), count)
        return [self._registrations[key] for key in keys]

    def register(self, namespace: str, name: str, metadata: Mapping[str, str], now: float) -> Registration:
        """The watched trigger for what KEDA sent; registers it when new. Raises TriggerInvalid with every fault, and
        QuotaReached for a new one beyond a quota."""
        registration = self._register(parse_trigger(namespace, name, metadata, self.rules), metadata, now)
        registration.last_called = now
        return registration

    def restore(
        self, namespace: str, name: str, metadata: Mapping[str, str], last_called: float, now: float
    ) -> Registration:
        """Watch again what was last called at `last_called`, before this process. Raises as `register`."""
        registration = self._register(parse_trigger(namespace, name, metadata, self.rules), metadata, now)
        registration.restored = True
        registration.last_called = max(registration.last_called, min(last_called, now))
        return registration

    def register_listed(
        self, by: ListedBy, namespace: str, name: str, metadata: Mapping[str, str], now: float
    ) -> Registration:
        """Watch a trigger without KEDA's calls, until it is unlisted. Raises TriggerInvalid with every fault, and
        QuotaReached beyond a quota: those of the settings are watched all the same."""
        trigger = parse_trigger(namespace, name, metadata, self.rules)
        registration = self._register(trigger, metadata, now, unless_full=by is not ListedBy.SETTINGS)
        registration.listed_by = by
        return registration

    def unlist(self, key: str) -> None:
        """Watch a trigger only as long as KEDA calls for it: without calls, the next refresh forgets it."""
        registration = self._registrations.get(key)
        if registration is not None:
            registration.listed_by = None
            self._none_idle_before.pop(registration.trigger.namespace, None)

    def _register(
        self, trigger: Trigger, metadata: Mapping[str, str], now: float, unless_full: bool = True
    ) -> Registration:
        registration = self._registrations.get(trigger.key)
        if registration is None:
            if unless_full:
                self._make_room(trigger, now)
            registration = self._registrations[trigger.key] = Registration(trigger, relevant(metadata), now)
            self._index.add(trigger)
            self.quota.take(trigger.namespace)
            self._new[trigger.namespace] += 1
            self._on_new(registration)
        return registration

    def _make_room(self, trigger: Trigger, now: float) -> None:
        """Drop an older version of the ScaledObject, and idle triggers of its namespace, where that is needed for a
        new one. Raises QuotaReached where that is not enough."""
        namespace, quota = trigger.namespace, self.quota
        if self._new[namespace] >= max(LEAST_NEW, NEW_PER_QUOTA * quota.limits.per_namespace):
            text = f"namespace {namespace} has registered {self._new[namespace]} triggers within {NEW_SECONDS:.0f} s"
            raise quota.reached(quota.own, text)
        versions = self.page(MOST_OF_ONE_OBJECT, namespace=namespace, name=trigger.name)
        if len(versions) == MOST_OF_ONE_OBJECT:
            self._drop(_least_recently_called(versions, 1))
        if not quota.has_room(namespace):
            self._drop_idle(namespace, now)
            quota.check(namespace)

    def _drop_idle(self, namespace: str, now: float) -> None:
        if now < self._none_idle_before.get(namespace, 0.0) or not self.quota.of(namespace):
            return  # a flood of refused calls must not look at all triggers again and again
        own = _least_recently_called(self.page(self.quota.of(namespace), namespace=namespace), MOST_IDLE_DROPPED)
        self._drop([one for one in own if now - one.last_called > IDLE_SECONDS])
        self._none_idle_before[namespace] = min((one.last_called for one in own), default=now) + IDLE_SECONDS

    def _drop(self, registrations: Iterable[Registration]) -> None:
        for registration in registrations:
            del self._registrations[registration.trigger.key]
            self._index.remove(registration.trigger)
            self._let_go(registration)
            self._dropped.append(registration)

    def _let_go(self, registration: Registration) -> None:
        registration.forget()
        self.forgotten += 1
        self.quota.give_back(registration.trigger.namespace)

    @contextmanager
    def follow(self, key: str, wake: Callable[[float], None]) -> Iterator[None]:
        """Call `wake` for each outlook that a trigger receives, with the seconds until it counts."""
        followers = self._followers.setdefault(key, set())
        followers.add(wake)
        try:
            yield
        finally:
            followers.discard(wake)
            if not followers:
                self._followers.pop(key, None)

    def receive(self, key: str, outlook: Outlook, now: float, if_usable: bool = False) -> bool:
        """Take what a refresh (here or elsewhere) published; older news than what is known is ignored.

        False where it is of no use here: from a replica whose clock is ahead of this one's, of an unknown trigger, or,
        with `if_usable`, where there would be no answer.
        """
        registration = self._registrations.get(key)
        if registration is None:
            return False
        staleness = registration.trigger.max_staleness_seconds
        if outlook.is_ahead(now, staleness):
            return False  # it would keep all others' outlooks out until then
        known = registration.upcoming or registration.current
        if known is not None and outlook.order < known.outlook.order and not known.outlook.is_ahead(now, staleness):
            return True  # what is known from further ahead comes from before a clock was set back
        answer = self._answer(registration.trigger, outlook, max(now, outlook.counts_from))
        if if_usable and answer.plan.rung is Rung.NOTHING:
            return False
        if outlook.counts_from > now and registration.current is not None and registration.first_answer.is_set():
            self._promote(registration, now)
            registration.upcoming = answer
        else:
            registration.current, registration.upcoming = answer, None
        _settle(registration)
        registration.error = None
        registration.ready = True
        if outlook.forecast is not None or not registration.forecast_coming:
            registration.first_answer.set()
        for wake in tuple(self._followers.get(key, ())):
            wake(registration.upcoming.counts_from - now if registration.upcoming else 0.0)
        return True

    def fail(self, key: str, error: HeadwayError) -> None:
        """Keep the reason why a trigger without an outlook has none."""
        registration = self._registrations.get(key)
        if registration is not None:
            registration.error = error
            registration.ready = True
            registration.first_answer.set()

    def answer(self, registration: Registration, now: float) -> Answer:
        """The answer that counts at `now`. Raises NotReady, the source's own error, or SourceUnavailable."""
        current = registration.current
        if registration.settled_from <= now < registration.settled_until and current is not None:
            return current
        return self._look(registration, now)

    def _look(self, registration: Registration, now: float) -> Answer:
        self._promote(registration, now)
        current = registration.current
        if current is None:
            # one instance is raised many times: without this its traceback would grow with every call
            raise (registration.error or _not_ready(registration.trigger)).with_traceback(None)
        if not current.valid_from <= now < current.valid_until:
            current = registration.current = self._answer(registration.trigger, current.outlook, now)
        _settle(registration)
        if current.plan.rung is Rung.NOTHING:
            raise SourceUnavailable(_nothing_left(registration.trigger, current))
        return current

    def forget_silent(self, now: float, silence_seconds: float) -> list[Registration]:
        """Drop the triggers that are not listed and without a call for `silence_seconds`: KEDA does not report
        deletions. Returns them, and those that were dropped since the last time to make room for others."""
        for registration in self._registrations.values():
            if registration.last_called > now + FURTHEST_AHEAD_SECONDS:
                registration.bound_calls(now)
        silent = [w for w in self._registrations.values() if not w.is_wanted(now, silence_seconds)]
        for registration in silent:
            del self._registrations[registration.trigger.key]
            self._let_go(registration)
        if silent:
            self._index.keep(self._registrations)
        dropped, self._dropped = self._dropped, []
        if not 0 <= now - self._new_since < NEW_SECONDS:
            self._new_since = now
            self._new.clear()
        self._none_idle_before.clear()
        return [*dropped, *silent]

    def _promote(self, registration: Registration, now: float) -> None:
        if registration.upcoming is not None and now >= registration.upcoming.counts_from:
            registration.current, registration.upcoming = registration.upcoming, None

    def _answer(self, trigger: Trigger, outlook: Outlook, now: float) -> Answer:
        made = decide(trigger, outlook, now, self.refresh_seconds)
        return Answer(outlook, made, outlook.counts_from, *counts_between(outlook, now, self.refresh_seconds))


def _least_recently_called(registrations: Iterable[Registration], count: int) -> list[Registration]:
    """Those that nobody lists; `count` of them at most."""
    called = (one for one in registrations if one.listed_by is None)
    return heapq.nsmallest(count, called, key=lambda one: one.last_called)


def _settle(registration: Registration) -> None:
    current, upcoming = registration.current, registration.upcoming
    if current is not None:
        registration.settled_from = current.valid_from
    if current is None or current.plan.rung is Rung.NOTHING:
        registration.settled_until = 0.0
    elif upcoming is None:
        registration.settled_until = current.valid_until
    else:
        registration.settled_until = min(current.valid_until, upcoming.counts_from)


def _not_ready(trigger: Trigger) -> NotReady:
    return NotReady(f"{trigger.namespace}/{trigger.name}: registered, waiting for the first observation")


def _nothing_left(trigger: Trigger, answer: Answer) -> str:
    why = answer.outlook.error or "no observation has arrived"
    reasons = "; ".join(reason.text for reason in answer.plan.reasons)
    return f"{trigger.namespace}/{trigger.name}: neither observation nor forecast is usable ({reasons}): {why}"

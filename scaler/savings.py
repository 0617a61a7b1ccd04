"""What Headway was worth to a trigger: the sums of an hour, for its plan and for a reactive trigger beside it. Pure.

An `Account` adds up stretches of time. Each hour that it has been through leaves as a record of its own, so a record
that is written twice changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

HOUR_SECONDS = 3600.0
DAY_HOURS = 24
NEGLIGIBLE = 1e-6
"""of the demand: a smaller shortage is rounding"""


class Ran(NamedTuple):
    """The replicas of one HPA during a stretch of time."""

    replicas: int
    ready: float
    """of them, those that serve, on average"""
    changed: bool
    """whether there were others in the stretch before"""


class Stretch(NamedTuple):
    """A stretch of time in which neither HPA changes anything."""

    begin: float
    """seconds since the epoch"""
    seconds: float
    plan: Ran
    reactive: Ran


@dataclass(slots=True)
class Side:
    """Sums of one of the two."""

    replica_seconds: float = 0.0
    short_seconds: float = 0.0
    """time in which demand exceeded what the ready replicas carry"""
    unserved: float = 0.0
    """demand beyond that, times seconds"""
    scale_events: int = 0

    def add(self, ran: Ran, seconds: float, demand: float, capacity: float) -> None:
        """A stretch in which there was `demand`, and one replica carried `capacity`."""
        self.replica_seconds += ran.replicas * seconds
        self.scale_events += ran.changed
        lacking = demand - ran.ready * capacity
        if lacking > NEGLIGIBLE * demand:
            self.short_seconds += seconds
            self.unserved += lacking * seconds

    def plus(self, other: "Side") -> "Side":
        return Side(
            self.replica_seconds + other.replica_seconds,
            self.short_seconds + other.short_seconds,
            self.unserved + other.unserved,
            self.scale_events + other.scale_events,
        )


@dataclass(slots=True)
class Sums:
    """Both sides of a stretch of time. plan: what followed from Headway's plan, or in shadow mode would have."""

    known_seconds: float = 0.0
    """in which demand was observed; nothing else counts"""
    demand: float = 0.0
    """times seconds"""
    plan: Side = field(default_factory=Side)
    reactive: Side = field(default_factory=Side)

    def add(self, stretch: Stretch, demand: float, capacity: float) -> None:
        self.known_seconds += stretch.seconds
        self.demand += demand * stretch.seconds
        self.plan.add(stretch.plan, stretch.seconds, demand, capacity)
        self.reactive.add(stretch.reactive, stretch.seconds, demand, capacity)

    def plus(self, other: "Sums") -> "Sums":
        return Sums(
            self.known_seconds + other.known_seconds,
            self.demand + other.demand,
            self.plan.plus(other.plan),
            self.reactive.plus(other.reactive),
        )


@dataclass(frozen=True, slots=True)
class SavedHour:
    """What one process has counted of one trigger within an hour."""

    namespace: str
    name: str
    trigger: str
    """the hash of its metadata"""
    hour: int
    """hours since the epoch"""
    part: str
    """distinguishes records of the same hour: another process, or the same one after an interruption"""
    mode: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class SavedDay:
    """The sums of a ScaledObject over a day of UTC in one mode, as the store has added them up."""

    namespace: str
    name: str
    mode: str
    day: int
    """days since the epoch"""
    sums: Sums


@dataclass(frozen=True, slots=True)
class SavingsAsked:
    """Which days somebody wants to read."""

    hours: tuple[int, int]
    """[first, last), since the epoch"""
    limit: int = 1
    """ScaledObjects"""
    after: tuple[str, str] = ("", "")
    """namespace and name of the last one that was read"""
    one: tuple[str, str] | None = None
    """that one alone"""


class Account:
    """The sums of one trigger: the hour under way, and all before it since this process follows the trigger."""

    __slots__ = ("_earlier", "_new_part", "_owner", "hour", "part", "sums")

    def __init__(self, owner: tuple[str, str, str, str], new_part: Callable[[], str]) -> None:
        """owner: namespace, name, trigger and mode. new_part: a name that no other record has."""
        self.hour = 0
        self.part = ""
        self.sums = Sums()
        self._earlier = Sums()
        self._owner = owner
        self._new_part = new_part

    @property
    def total(self) -> Sums:
        return self._earlier.plus(self.sums)

    def add(self, stretch: Stretch, demand: float, capacity: float) -> SavedHour | None:
        """Count a stretch, in the hour in which it begins. Returns the hour before where this one is another."""
        hour = int(stretch.begin // HOUR_SECONDS)
        closed = self.close() if hour != self.hour else None
        if not self.part:
            self.hour, self.part = hour, self._new_part()
        self.sums.add(stretch, demand, capacity)
        return closed

    def close(self) -> SavedHour | None:
        """The hour under way, which ends with this; None where nothing was counted."""
        if not self.part:
            return None
        namespace, name, trigger, mode = self._owner
        closed = SavedHour(namespace, name, trigger, self.hour, self.part, mode, self.sums)
        self._earlier, self.sums, self.part = self.total, Sums(), ""
        return closed

"""What was scored of each refreshed trigger, by the hour, kept until the store has it; and whose week is to be read.

`put` runs in the worker thread of the forecasts, all else on the event loop.
"""

import itertools
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scaler.scored import HOUR_SECONDS, Owner, ScoredHour, WeekAsked
from scaler.scoring.hours import Hour
from scaler.scoring.losses import Figure
from scaler.scoring.pending import BUCKETS
from scaler.trigger import Trigger

MOST_WAITING = 20_000
"""hours of a trigger that wait for the store: 16 MB at most"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An hour of one trigger that the store does not have yet."""

    owner: Owner
    quantile: float
    part: str
    scored: Hour


class Unread(NamedTuple):
    """A trigger whose week is to be read from the store."""

    asked: WeekAsked
    timezone: str


class ScoreRecords:
    """Of all triggers that this process refreshes. No I/O. A full queue loses the oldest hours."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.unread: OrderedDict[str, Unread] = OrderedDict()
        """by key, in the order in which they came"""
        self._most_waiting = most_waiting
        self._waiting: deque[Waiting] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._owners: dict[str, tuple[Owner, float]] = {}
        self._run, self._numbers = secrets.token_hex(4), itertools.count()

    @property
    def waiting(self) -> int:
        """Hours that wait for the store."""
        return len(self._waiting)

    def begin(self, trigger: Trigger, now: float) -> None:
        """Records of this trigger may come from now on; what was scored before is to be read."""
        owner = Owner(trigger.namespace, trigger.name, trigger.short_key)
        self._owners[trigger.key] = owner, trigger.quantile
        self.unread[trigger.key] = Unread(WeekAsked(owner, int(now // HOUR_SECONDS), self._run), trigger.timezone)

    def end(self, key: str) -> None:
        """No record of this trigger comes any more."""
        self._owners.pop(key, None)
        self.unread.pop(key, None)

    def clear(self) -> None:
        """No record comes any more."""
        self._owners.clear()
        self.unread.clear()

    def put(self, key: str, scored: Hour) -> None:
        """Keep an hour of a trigger until the store has it."""
        found = self._owners.get(key)
        if found is None:
            return
        with self._lock:
            if len(self._waiting) >= self._most_waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(Waiting(*found, f"{self._run}{next(self._numbers):x}", scored))

    def first(self, count: int) -> Sequence[Waiting]:
        """The hours that have waited longest."""
        with self._lock:
            return list(itertools.islice(self._waiting, count))

    def stored(self, hours: Sequence[Waiting]) -> None:
        """The store has these; of those that `first` gave, some may have been dropped since."""
        done = {id(one) for one in hours}
        with self._lock:
            while self._waiting and id(self._waiting[0]) in done:
                self._waiting.popleft()

    def take_dropped(self) -> int:
        """How many hours the store could not take in time, since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


def rows(hours: Iterable[Waiting]) -> list[ScoredHour]:
    """A record for each lead of which something was scored."""
    return [
        ScoredHour(one.owner, lead, one.quantile, one.scored.hour, one.part, one.scored.minutes, tuple(sums))
        for one in hours
        for lead, sums in zip(BUCKETS, one.scored.sums_BF.tolist(), strict=True)
        if sums[Figure.COUNT] > 0
    ]

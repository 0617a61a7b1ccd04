"""What each refreshed trigger was worth, by the hour: counted at every refresh, kept until the store has it."""

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Sequence

from scaler.plan.counterfactual import Followed, follow
from scaler.plan.rule import News
from scaler.registry import Registration
from scaler.savings import Account, SavedHour
from scaler.trigger import Mode, Trigger

MOST_WAITING = 20_000
"""hours that wait for the store: 8 MB at most"""


class _Open:
    """One trigger that is followed."""

    __slots__ = ("account", "followed")

    def __init__(self, trigger: Trigger, new_part: Callable[[], str]) -> None:
        owner = (trigger.namespace, trigger.name, trigger.short_key, trigger.mode.value)
        self.account = Account(owner, new_part)
        self.followed: Followed | None = None


class Accounts:
    """The accounts of all triggers that this process refreshes. No I/O."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._dropped = 0
        self._most_waiting = most_waiting
        self._waiting: deque[SavedHour] = deque()
        self._open: dict[str, _Open] = {}
        run, numbers = secrets.token_hex(4), itertools.count()
        self._new_part = lambda: f"{run}{next(numbers):x}"

    @property
    def waiting(self) -> int:
        """Hours that wait for the store."""
        return len(self._waiting)

    def count(self, registration: Registration, news: News, plan_replicas: int | None) -> None:
        """Count what the news tell of a trigger. In mode reactive there is nothing to compare."""
        if news.trigger.mode is Mode.REACTIVE:
            return
        one = self._open.get(news.trigger.key)
        if one is None:
            one = self._open[news.trigger.key] = _Open(news.trigger, self._new_part)
        registration.account = one.account
        one.followed, told = follow(one.followed, news, plan_replicas)
        for stretch, demand in told:
            self._put(one.account.add(stretch, demand, news.trigger.threshold))

    def close(self, key: str) -> None:
        """End the hour of a trigger that is no longer refreshed here."""
        one = self._open.pop(key, None)
        if one is not None:
            self._put(one.account.close())

    def close_all(self) -> None:
        """End the hour of every trigger."""
        for key in list(self._open):
            self.close(key)

    def first(self, count: int) -> Sequence[SavedHour]:
        """The hours that have waited longest."""
        return list(itertools.islice(self._waiting, count))

    def stored(self, hours: Sequence[SavedHour]) -> None:
        """The store has these; of those that `first` gave, some may have been dropped since."""
        done = {id(one) for one in hours}
        while self._waiting and id(self._waiting[0]) in done:
            self._waiting.popleft()

    def take_dropped(self) -> int:
        """How many hours the store could not take in time, since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _put(self, hour: SavedHour | None) -> None:
        if hour is None:
            return
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(hour)

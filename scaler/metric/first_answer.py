"""Calls for a trigger that has had no answer yet wait a moment, because an error would be an event in the cluster."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from scaler.registry import Registration
from scaler.trigger import Trigger

OPENING_SECONDS = 5.0
"""how much longer a call may wait while the process opens its model, its database and its cache"""

MOST_WAITING = 10_000
"""calls that wait at the same time; each holds some 20 kB until it ends"""


class FirstAnswers:
    """How long a call waits for the first answer of its trigger.

    Every call may wait within `seconds` from the registration of the trigger, or from the opening of this process for
    the triggers registered before it. No call waits later, none whose source cannot be reached (`worth_waiting`), and
    none beyond `most_waiting`.
    """

    def __init__(
        self,
        seconds: float,
        now: Callable[[], float],
        worth_waiting: Callable[[Trigger], bool] = lambda _: True,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._worth_waiting = worth_waiting
        self._free_places = most_waiting
        self._opened_at: float | None = 0.0

    def opening(self) -> None:
        """The process has begun to open what answers are made from."""
        self._opened_at = None

    def opened(self) -> None:
        """All is open: from now on the time of waiting calls runs."""
        self._opened_at = self._now()

    async def wait(self, registration: Registration) -> None:
        """Return when the first answer is there, or the time is over."""
        left = self._seconds_left(registration)
        if left <= 0:
            registration.first_answer.set()
        elif self._free_places > 0 and self._worth_waiting(registration.trigger):
            self._free_places -= 1
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await registration.first_answer.wait()
            finally:
                self._free_places += 1

    def _seconds_left(self, registration: Registration) -> float:
        if self._seconds <= 0:
            return 0.0
        if self._opened_at is None:
            return OPENING_SECONDS + self._seconds
        begun = max(registration.first_called, self._opened_at)
        return min(self._seconds, begun + self._seconds - self._now())

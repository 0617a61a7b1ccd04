"""Calls for a trigger that has had no answer yet wait a moment, because an error would be an event in the cluster."""

import asyncio
from collections.abc import Callable

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
        self._begins = 0.0
        """when the time of triggers begins that were registered before"""

    def opening(self) -> None:
        """The process has begun to open what answers are made from."""
        self._begins = self._now() + OPENING_SECONDS

    def opened(self) -> None:
        """All is open: the time of calls begins now."""
        self._begins = min(self._begins, self._now())

    async def wait(self, registration: Registration) -> None:
        """Return when the first answer is there, or the time is over."""
        left = self._seconds_left(registration)
        if left <= 0:
            registration.first_answer.set()
        elif self._free_places > 0 and self._worth_waiting(registration.trigger):
            self._free_places -= 1
            try:
                async with asyncio.timeout(left):
                    await registration.first_answer.wait()
            except TimeoutError:
                registration.first_answer.set()
            finally:
                self._free_places += 1

    def _seconds_left(self, registration: Registration) -> float:
        if self._seconds <= 0:
            return 0.0
        ends = max(registration.first_called, self._begins) + self._seconds
        return min(ends - self._now(), OPENING_SECONDS + self._seconds)

"""The time, and waiting for a moment. All other parts take a `Clock`, so that time can be replayed.

An accelerated run is an accelerated *clock*: lead times, hold windows and refresh intervals keep their meaning in
the clock's own seconds, and no other part notices that the wall clock is slower.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment` (seconds since the epoch), or at once where it has passed."""
        ...


class SystemClock:
    """The wall clock. A sleep ends earlier when the clock is set forwards, and never later when it is set back."""

    def now(self) -> float:
        return time.time()

    async def sleep_until(self, moment: float) -> None:
        due = time.monotonic() + (moment - time.time())
        await _sleep(lambda: min(moment - time.time(), due - time.monotonic(), 1.0))


class AcceleratedClock:
    """A clock that shows `start` when made and runs `speed` times as fast as real time."""

    def __init__(self, speed: float, start: float | None = None) -> None:
        if not 0 < speed <= 86_400:
            raise ValueError(f"speed={speed}: must be above 0 and at most 86400")
        self.speed = speed
        self._start = time.time() if start is None else start
        self._made = time.monotonic()

    def now(self) -> float:
        return self._start + (time.monotonic() - self._made) * self.speed

    async def sleep_until(self, moment: float) -> None:
        await _sleep(lambda: (moment - self.now()) / self.speed)


async def _sleep(seconds_left: Callable[[], float]) -> None:
    """Sleep until nothing is left; timers may fire a little early, and the clock may be set meanwhile."""
    while True:
        left = seconds_left()
        if left <= 0:
            return
        await asyncio.sleep(left)

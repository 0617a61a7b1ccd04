"""A fast clock that waits for a scaler that falls behind: what is seen does not depend on how busy the machine is."""

import asyncio
import time

AHEAD_SECONDS = 60.0
"""that the clock may be ahead of what was last observed; from there on …"""
WAITING = 0.05
"""… it runs at this share of its speed. It never stops: the scaler sleeps by it"""
LONGEST_SLEEP_SECONDS = 0.05
"""of real time, as a sleeper cannot know how fast the clock will run"""


class WaitingClock:
    """A `scaler.clock.Clock` that shows `start` when made, and waits there. speed: times as fast as real time."""

    def __init__(self, start: float, speed: float) -> None:
        self._from, self._since, self._speed = start, time.monotonic(), speed
        self._until = start

    def now(self) -> float:
        """Seconds since the epoch."""
        moment = self._from + (time.monotonic() - self._since) * self._speed
        return moment if moment <= self._until else self._until + (moment - self._until) * WAITING

    def observed(self, at: float) -> None:
        """Go on to a minute after `at`, when something was observed, and wait there."""
        now = self.now()
        self._from, self._since, self._until = now, time.monotonic(), max(now, at + AHEAD_SECONDS)

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, or at once where it has passed."""
        while (left := (moment - self.now()) / self._speed) > 0:  # noqa: ASYNC110 - no event says when
            await asyncio.sleep(min(left, LONGEST_SLEEP_SECONDS))

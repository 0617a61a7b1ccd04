"""What those who keep a table of the store up to date have in common: rounds with pauses, and sweeps by the hour."""

from collections.abc import Awaitable, Callable

from scaler.clock import Clock

SWEEP_SECONDS = 3600.0


async def in_rounds(
    step: Callable[[], Awaitable[bool]], clock: Clock, every_seconds: float, pause_seconds: float
) -> None:
    """Call `step` for ever. After one that returns False the store is left alone for `pause_seconds` more."""
    while True:
        await clock.sleep_until(clock.now() + every_seconds)
        if not await step():
            await clock.sleep_until(clock.now() + pause_seconds)


class HourlySweep:
    """Calls `sweep(until, now)` once an hour: what is old at `until` goes.

    until: when the sweep before was due. A clock that is ahead for a moment removes nothing.
    """

    def __init__(self, sweep: Callable[[float, float], Awaitable[object]], clock: Clock) -> None:
        self._sweep = sweep
        self._clock = clock
        self._swept_at = clock.now()

    async def if_due(self) -> None:
        """Sweep where an hour has passed. Raises what `sweep` raises, which is tried again an hour later."""
        now, before = self._clock.now(), self._swept_at
        if abs(now - before) >= SWEEP_SECONDS:
            self._swept_at = now
            await self._sweep(min(before, now), now)

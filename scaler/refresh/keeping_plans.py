"""Past plans on their way into the store. Nothing waits for it."""

import asyncio

import structlog

from scaler.clock import Clock
from scaler.errors import StoreRefused, StoreUnavailable
from scaler.refresh.tracked import Tracking
from scaler.store.plans import PlanStore
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

EVERY_SECONDS = 20.0
PAUSE_SECONDS = 60.0
"""how long a store that did not answer is left alone"""
WRITTEN = 250
"""plans, together"""
MOST_WRITTEN = 5000
"""plans, in one round"""
LAST_SECONDS = 3.0
"""that writing may take when the process ends"""
SWEEP_SECONDS = 3600.0


class PlanKeeper:
    """Writes the plans that were noted. A store that fails is tried again. The checkpoint logs that it is down; that it
    refuses plans alone is logged here, once."""

    def __init__(self, tracking: Tracking, store: PlanStore, clock: Clock, telemetry: Telemetry) -> None:
        self._notes = tracking.plans
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._swept_at = clock.now()
        self._refused = False

    def queue_lengths(self) -> dict[str, int]:
        """How many plans wait for the store, by the queue's name in telemetry."""
        return {"store_plans": self._notes.waiting}

    async def run(self) -> None:
        """Write what is new, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)
            if not await self.step():
                await self._clock.sleep_until(self._clock.now() + PAUSE_SECONDS)

    async def step(self) -> bool:
        """Write, and now and then sweep; False where the store did not answer."""
        try:
            await self._write(MOST_WRITTEN)
            await self._sweep()
        except StoreUnavailable as error:
            if isinstance(error, StoreRefused) and not self._refused:
                log.warning("plans_not_stored", plans=self._notes.waiting, error=str(error))
                self._refused = True
            return False
        finally:
            self._telemetry.count("plans_dropped", self._notes.take_dropped())
        self._refused = False
        return True

    async def finish(self) -> None:
        """Write all that is not stored yet: this process ends."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._write(self._notes.waiting)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("plans_not_stored", plans=self._notes.waiting, error=str(error) or "no time is left")

    async def _write(self, most: int) -> None:
        written = 0
        while written < most and (plans := self._notes.first(WRITTEN)):
            await self._store.save(plans)
            self._notes.stored(plans)
            written += len(plans)

    async def _sweep(self) -> None:
        """By the moment of the sweep before: a clock that is ahead for a moment removes nothing."""
        now, before = self._clock.now(), self._swept_at
        if abs(now - before) >= SWEEP_SECONDS:
            self._swept_at = now
            await self._store.sweep(min(before, now), now)

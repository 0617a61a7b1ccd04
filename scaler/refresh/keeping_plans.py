"""Past plans on their way into the store. Nothing waits for it."""

import asyncio

import structlog

from scaler.clock import Clock
from scaler.errors import StoreRefused, StoreUnavailable
from scaler.refresh.rounds import HourlySweep, in_rounds
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


class PlanKeeper:
    """Writes the plans that were noted. A store that fails is tried again. The checkpoint logs that it is down; that it
    refuses plans alone is logged here, once."""

    def __init__(self, tracking: Tracking, store: PlanStore, clock: Clock, telemetry: Telemetry) -> None:
        self._notes = tracking.plans
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._sweep = HourlySweep(store.sweep, clock)
        self._refused = False

    def queue_lengths(self) -> dict[str, int]:
        """How many plans wait for the store, by the queue's name in telemetry."""
        return {"store_plans": self._notes.waiting}

    async def run(self) -> None:
        """Write what is new, for ever."""
        await in_rounds(self.step, self._clock, EVERY_SECONDS, PAUSE_SECONDS)

    async def step(self) -> bool:
        """Write, and now and then sweep; False where the store did not answer."""
        try:
            await self._write(MOST_WRITTEN)
            await self._sweep.if_due()
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

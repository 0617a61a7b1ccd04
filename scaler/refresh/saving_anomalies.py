"""Anomalies on their way into the store, in the background."""

import asyncio
from contextlib import suppress

import structlog

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.refresh.anomalies import Anomalies
from scaler.store.anomalies import AnomalyStore
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

EVERY_SECONDS = 30.0
LAST_SECONDS = 2.0
"""that writing may take when the process ends"""
CHUNK = 100
WRITES_PER_SWEEP = 120
"""once an hour, in writes, which no clock changes"""


class AnomalyWriter:
    """Writes what waits. What the store does not take stays in a queue, which loses the oldest when full."""

    def __init__(self, anomalies: Anomalies, store: AnomalyStore, clock: Clock, telemetry: Telemetry) -> None:
        self._anomalies = anomalies
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._writes = 0
        self._passed: float | None = None
        """when a sweep was due before: a clock that was set forwards since then removes nothing"""
        self._is_up = True

    def queue_lengths(self) -> dict[str, int]:
        """How many wait, by the queue's name in telemetry."""
        return {"store_anomalies": self._anomalies.waiting}

    async def run(self) -> None:
        """Write what is new, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)
            await self.write()

    async def finish(self) -> None:
        """Write what waits: this process ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.write()

    async def write(self) -> None:
        """Write all that waits; now and then remove what is a year old."""
        try:
            while found := self._anomalies.first(CHUNK):
                await self._store.save(found)
                self._anomalies.stored(found)
            self._writes += 1
            if self._writes % WRITES_PER_SWEEP == 0:
                await self._sweep()
            self._is_up = True
        except StoreUnavailable as error:
            if self._is_up:
                log.warning("anomalies_not_stored", error=str(error))
            self._is_up = False
        self._telemetry.count("anomalies_dropped", self._anomalies.take_dropped())

    async def _sweep(self) -> None:
        now = self._clock.now()
        passed, self._passed = self._passed, now
        if passed is not None:
            await self._store.sweep(min(passed, now), now)

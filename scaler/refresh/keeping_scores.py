"""Scores on their way into the store, and back after a restart or a take-over. Nothing waits for either."""

import asyncio
from itertools import islice

import structlog

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.refresh.local_time import utc_offset_seconds
from scaler.refresh.rounds import HourlySweep, in_rounds
from scaler.refresh.score_records import Unread, rows
from scaler.refresh.tracked import Tracking
from scaler.scored import HOUR_SECONDS
from scaler.scoring.scores import DAY_KEEPS, sums_BF
from scaler.store.scores import ScoreStore
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

EVERY_SECONDS = 10.0
PAUSE_SECONDS = 60.0
"""how long a store that did not answer is left alone"""
TRIGGERS_READ = 32
"""whose weeks are read together"""
HOURS_WRITTEN = 50
"""written together: 250 rows"""
MOST_WRITTEN = 1000
"""in one round: at the full hour, 10,000 triggers take some minutes"""
LAST_SECONDS = 6.0
"""that writing may take when the process ends"""
DAY = 86400.0


class ScoreKeeper:
    """Keeps the store's scores up to date. A store that fails is tried again; its checkpoint logs that."""

    def __init__(self, tracking: Tracking, store: ScoreStore, clock: Clock, telemetry: Telemetry) -> None:
        self._scoring = tracking.scoring
        self._records = tracking.score_records
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._sweep = HourlySweep(store.sweep, clock)

    def queue_lengths(self) -> dict[str, int]:
        """What waits for the store, by the queue's name in telemetry."""
        return {"store_scores": self._records.waiting, "restore_scores": len(self._records.unread)}

    async def run(self) -> None:
        """Write what is new and read what is wanted, for ever."""
        await in_rounds(self.step, self._clock, EVERY_SECONDS, PAUSE_SECONDS)

    async def step(self) -> bool:
        """Write, read, and now and then sweep; False where the store did not answer."""
        try:
            await self._write(MOST_WRITTEN)
            await self._read()
            await self._sweep.if_due()
        except StoreUnavailable:
            return False
        finally:
            self._telemetry.count("scores_dropped", self._records.take_dropped())
        return True

    async def finish(self) -> None:
        """Write all that is not stored yet, with the hour under way: this process ends."""
        self._scoring.close_hours()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._write(self._records.waiting)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("scores_not_stored", hours=self._records.waiting, error=str(error) or "no time is left")

    async def _write(self, most: int) -> None:
        written = 0
        while written < most and (hours := self._records.first(HOURS_WRITTEN)):
            await self._store.save(await asyncio.to_thread(rows, hours))
            self._records.stored(hours)
            written += len(hours)

    async def _read(self) -> None:
        """The weeks of triggers that are new here."""
        unread = self._records.unread
        while batch := list(islice(unread.items(), TRIGGERS_READ)):
            found = await self._store.weeks([one.asked for _, one in batch], DAY_KEEPS)
            for key, one in batch:
                if unread.get(key) is not one:
                    continue  # it was forgotten meanwhile, perhaps to come again
                del unread[key]
                if sums := found.get(one.asked.owner):
                    self._scoring.resume(key, _day(one), sums_BF(sums))
            await asyncio.sleep(0)


def _day(one: Unread) -> int:
    moment = one.asked.until * HOUR_SECONDS
    return int((moment + utc_offset_seconds(one.timezone, moment)) // DAY)

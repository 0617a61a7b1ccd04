"""What survives a restart: who is watched, and the long history, written to the store in the background."""

import asyncio
from collections.abc import Awaitable

import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import QuotaReached, StoreRefused, StoreUnavailable, TriggerInvalid
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.registry import Registration, Registry
from scaler.series import Blocks
from scaler.store import Store, WatchedRecord
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

EVERY_SECONDS = 30.0
TOUCH_SECONDS = 600.0
"""how old a stored `last_called` may get; expiry after a restart is that much less exact"""
CHUNK = 256


class Checkpoint:
    """Keeps the store up to date. A failing store is logged once and tried again; nothing waits for it."""

    def __init__(
        self,
        registry: Registry,
        tracking: Tracking,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
        silence_seconds: float,
    ) -> None:
        self._registry = registry
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._silence_seconds = silence_seconds
        self._written: dict[str, float] = {}
        self._saved_until: dict[str, float] = {}
        self._up, self._refused = True, False
        self._waiting = {"store_watched": 0, "store_blocks": 0}

    def queue_lengths(self) -> dict[str, int]:
        """How many triggers the last write left to be written, by the queue's name in telemetry."""
        return dict(self._waiting)

    async def restore(self) -> int:
        """Watch again whatever was watched before the restart and has not fallen silent; returns how many."""
        try:
            records = await self._store.watched(self._clock.now() - self._silence_seconds)
        except StoreUnavailable as error:
            self._note_down(error)
            return 0
        self._note_up()
        return sum(self._restore_one(record) for record in records)

    async def run(self) -> None:
        """Write what is new, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write new and renewed triggers and completed blocks; remove what is no longer watched."""
        await self._write_watched()
        await self._write_blocks()
        await self._forget()

    def _restore_one(self, record: WatchedRecord) -> bool:
        try:
            registration = self._registry.register(record.namespace, record.name, record.metadata, self._clock.now())
        except (TriggerInvalid, QuotaReached) as error:
            log.warning("restore_refused", namespace=record.namespace, name=record.name, error=str(error))
            return False
        # within what is possible: a clock may have been wrong when it was written
        earliest, now = registration.first_called - self._silence_seconds, registration.first_called
        registration.restored = True
        registration.last_called = min(max(record.last_called, earliest), now)
        self._written[registration.trigger.key] = record.last_called
        return True

    async def _write_watched(self) -> None:
        called = (w for w in self._registry if w.listed_by is None)  # who lists a trigger lists it after a restart, too
        due = [w for w in called if w.last_called - self._written.get(w.trigger.key, 0.0) > TOUCH_SECONDS]
        self._waiting["store_watched"] = len(due)
        for chunk in chunks(due, CHUNK):
            if not await self._done(self._store.watch([_record(w) for w in chunk])):
                return
            self._waiting["store_watched"] -= len(chunk)
            self._written.update({w.trigger.key: w.last_called for w in chunk})

    async def _write_blocks(self) -> None:
        due_by_block = self._due_by_block()
        self._waiting["store_blocks"] = sum(map(len, due_by_block.values()))
        for block_seconds, due in due_by_block.items():
            for chunk in chunks(due, CHUNK):
                unsaved = [(t, self._unsaved(t)) for t in chunk if t.key in t.table]
                blocks = {t.trigger.history_key: new for t, new in unsaved}
                keep_since = self._clock.now() - chunk[0].forecaster.grid.coarse_span_seconds
                if not await self._done(self._store.save_blocks(blocks, block_seconds, keep_since)):
                    return
                self._waiting["store_blocks"] -= len(chunk)
                self._saved_until.update({t.key: float(new.starts[-1]) for t, new in unsaved if len(new.starts)})
                await asyncio.sleep(0)

    def _due_by_block(self) -> dict[int, list[Tracked]]:
        """Refreshed triggers that have complete blocks which are not stored yet, by the length of a block."""
        due: dict[int, list[Tracked]] = {}
        for registration in self._registry:
            tracked = self._tracking.get(registration.trigger.key)
            if tracked is None or Phase.COARSE not in tracked.done:
                continue
            block = tracked.forecaster.grid.coarse_seconds
            newest_complete = (self._clock.now() // block - 1) * block
            if self._saved_until.get(tracked.key, 0.0) < newest_complete:
                due.setdefault(block, []).append(tracked)
        return due

    def _unsaved(self, tracked: Tracked) -> Blocks:
        blocks = tracked.table.blocks_of(tracked.key)
        new = blocks.starts > self._saved_until.get(tracked.key, 0.0)
        return Blocks(blocks.starts[new], blocks.mean[new], blocks.max[new])

    async def _forget(self) -> None:
        """Remove what KEDA has fallen silent about. The long history of a trigger that was listed stays until it is too
        old: its ScaledObject may come back."""
        gone = [key for key in self._written if self._registry.get(key) is None]
        if gone and await self._done(self._store.forget(gone)):
            for key in gone:
                self._written.pop(key, None)
        for key in [key for key in self._saved_until if self._registry.get(key) is None]:
            self._saved_until.pop(key)

    async def _done(self, doing: Awaitable[None]) -> bool:
        """Whether the store did it. Its first failure is logged."""
        try:
            await doing
        except StoreUnavailable as error:
            self._note_down(error)
            return False
        self._note_up()
        return True

    def _note_down(self, error: StoreUnavailable) -> None:
        if isinstance(error, StoreRefused) and not self._refused:
            log.error("store_refused", error=str(error))
        elif self._up:
            log.warning("store_unavailable", error=str(error))
        self._up, self._refused = False, isinstance(error, StoreRefused)
        self._telemetry.set("store_up", 0)

    def _note_up(self) -> None:
        if not self._up:
            log.info("store_back")
        self._up, self._refused = True, False
        self._telemetry.set("store_up", 1)


def _record(registration: Registration) -> WatchedRecord:
    trigger = registration.trigger
    return WatchedRecord(
        trigger.key,
        trigger.namespace,
        trigger.name,
        registration.metadata,
        registration.last_called,
        trigger.history_key,
    )

"""What survives a restart: who is watched, and the long history, written to the store in the background."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import HeadwayError, StoreRefused, StoreUnavailable
from scaler.refresh.saving import HistoryWriter
from scaler.refresh.saving_minutes import MinuteWriter
from scaler.refresh.tracked import Tracking
from scaler.registry import Registration, Registry
from scaler.store import Store, WatchedRecord
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.redaction import excerpt

log = structlog.get_logger()

EVERY_SECONDS = 30.0
TOUCH_SECONDS = 600.0
"""how old a stored `last_called` may get; expiry after a restart is that much less exact"""
SLOW_SECONDS = 5.0
"""a store that takes longer for all else gets no minutes in this round: they can be fetched again"""
WRITES_PER_SWEEP = 20
"""by then, whatever is called for was written again: as seldom as TOUCH_SECONDS, in writes, which no clock changes"""
CHUNK = 256
RESTORED_AT_A_TIME = 20
"""triggers that are registered before calls get their turn: some milliseconds, with a plan for each"""
MOST_LOGGED = 20
"""refused triggers that the log names one by one"""


@dataclass(slots=True)
class Restored:
    """What came of the stored triggers."""

    count: int = 0
    refused: int = 0
    broken: list[tuple[WatchedRecord, str]] = field(default_factory=list)
    """what cannot be registered by any version, and why"""
    history_keys: dict[str, str] = field(default_factory=dict)
    """key of a row of the first version → the key that its history has now"""


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
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._silence_seconds = silence_seconds
        self._written: dict[str, float] = {}
        self._identity: str | None = None
        self._history = HistoryWriter(registry, tracking, store, clock)
        self._minutes = MinuteWriter(tracking, store, clock)
        self._accounts = tracking.accounts
        self._writes = 0
        self._sweep_limit: float | None = None
        self._up, self._refused = True, False
        self.error = ""
        """why the database did not answer; empty where it did"""
        self._failed = False
        """whether the store failed in this round"""
        self._waiting = 0

    def queue_lengths(self) -> dict[str, int]:
        """How many triggers the last write left to be written, by the queue's name in telemetry."""
        return {
            "store_watched": self._waiting,
            "store_blocks": self._history.waiting,
            "store_minutes": self._minutes.waiting,
            "store_savings": self._accounts.waiting,
        }

    async def restore(self) -> int | None:
        """Watch again whatever was watched before the restart and has not fallen silent; returns how many, and None
        where the store does not answer."""
        now = self._clock.now()
        self._failed = False
        try:
            self._identity = await self._store.identity()
            records = await self._store.watched(now - self._silence_seconds, self._registry.quota.limits)
        except StoreUnavailable as error:
            self._note_down(error)
            return None
        self._note_up()
        restored = Restored()
        # The latest last: where an object has many versions, the registry keeps those that came last.
        for chunk in chunks(sorted(records, key=lambda record: record.last_called), RESTORED_AT_A_TIME):
            for record in chunk:
                self._restore_one(record, restored)
            await asyncio.sleep(0)
        if restored.refused > MOST_LOGGED:
            log.warning("restore_refused_more", count=restored.refused - MOST_LOGGED)
        if restored.broken:
            await self._done(self._store.quarantine(restored.broken))
        if restored.history_keys:
            await self._done(self._store.adopt_history(restored.history_keys))
        return restored.count

    async def finish(self) -> None:
        """Write all that is not stored yet, with the hour under way: this process ends."""
        self._accounts.close_all()
        await self.write()

    async def run(self) -> None:
        """Write what is new, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write new and renewed triggers, completed blocks, hours of savings and, where the store is quick, minutes;
        now and then remove what nobody calls for."""
        self._failed, started = False, self._clock.now()
        await self._notice_renewal()
        await self._write_watched()
        await self._write_history(self._history)
        await self._write_savings()
        if not self._failed and self._clock.now() - started < SLOW_SECONDS:
            await self._write_history(self._minutes)
        self._drop_forgotten()
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP == 0:
            await self._sweep()

    def _restore_one(self, record: WatchedRecord, restored: Restored) -> None:
        namespace, name, now = record.namespace, record.name, self._clock.now()
        try:
            # within what is possible: a clock may have been wrong when it was written
            last_called = max(record.last_called, now - self._silence_seconds)
            trigger = self._registry.restore(namespace, name, record.metadata, last_called, now).trigger
        except HeadwayError as error:  # it breaks today's rules or quotas, which may change again
            restored.refused += 1
            if restored.refused <= MOST_LOGGED:
                log.warning("restore_refused", namespace=excerpt(namespace), name=excerpt(name), error=str(error))
            return
        except Exception as error:  # one row must not keep the others away
            log.exception("restore_failed", namespace=excerpt(namespace), name=excerpt(name))
            restored.broken.append((record, f"it cannot be registered: {type(error).__name__}"))
            return
        restored.count += 1
        if trigger.key == record.key:
            self._written[trigger.key] = record.last_called
        elif not record.history_key:
            restored.history_keys[record.key] = trigger.history_key

    async def _notice_renewal(self) -> None:
        """Begin anew where the tables, or the file, are not those that were written to."""
        try:
            identity = await self._store.identity()
        except StoreUnavailable as error:
            self._note_down(error)
            return
        if self._identity not in (None, identity):
            log.warning("store_renewed")
            self._written.clear()
            self._history.forget()
            self._minutes.forget()
        self._identity = identity

    async def _write_watched(self) -> None:
        called = (w for w in self._registry if w.listed_by is None)  # who lists a trigger lists it after a restart, too
        due = [w for w in called if abs(w.last_called - self._written.get(w.trigger.key, 0.0)) > TOUCH_SECONDS]
        self._waiting = len(due)
        for chunk in chunks(due, CHUNK):
            if not await self._done(self._store.watch([_record(w) for w in chunk])):
                return
            self._waiting -= len(chunk)
            self._written.update({w.trigger.key: w.last_called for w in chunk})

    async def _write_history(self, writer: HistoryWriter | MinuteWriter) -> None:
        try:
            if await writer.write():
                self._note_up()
        except StoreUnavailable as error:
            self._note_down(error)

    async def _write_savings(self) -> None:
        """Hours that are over. Those that the store does not take stay in a queue, which loses the oldest when full."""
        while hours := self._accounts.first(CHUNK):
            if not await self._done(self._store.save_hours(hours)):
                break
            self._accounts.stored(hours)
        self._telemetry.count("savings_dropped", self._accounts.take_dropped())

    def _drop_forgotten(self) -> None:
        """What is stored stays until no replica was called for it; see `_sweep`."""
        for key in [key for key in self._written if key not in self._registry]:
            del self._written[key]
        self._history.drop_forgotten()

    async def _sweep(self) -> None:
        """Remove what fell silent, as the store knows it. The limit is the one of the sweep before: a clock that was
        set forwards meanwhile makes everything look silent until it is called for again."""
        now = self._clock.now()
        limit, self._sweep_limit = self._sweep_limit, now - self._silence_seconds
        if limit is not None:
            await self._done(self._store.sweep(min(limit, self._sweep_limit), self._silence_seconds, now))

    async def _done(self, doing: Awaitable[object]) -> bool:
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
        self._failed = True
        self.error = str(error)
        self._telemetry.set("store_up", 0)

    def _note_up(self) -> None:
        if self._failed:
            return  # a table that works does not make up for another one
        if not self._up:
            log.info("store_back")
        self._up, self._refused = True, False
        self.error = ""
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

"""Past days by the minute on their way into the store: once an hour what has changed, usually today alone."""

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.history.minutes import LOCAL_DAYS, local_minutes
from scaler.refresh.local_time import utc_offset_seconds
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.series import DAY_MINUTES, Floats, MinuteDay
from scaler.store import Store

EVERY_SECONDS = 3600.0
AT_A_TIME = 32
"""triggers that are stored together: 500 rows at most"""
LONGEST_SECONDS = 5.0
"""of one round; what is left waits for the next one, and is no more then"""


class MinuteWriter:
    """Stores changed days. What the store cannot take in time stays marked in memory, and takes no room there."""

    def __init__(self, tracking: Tracking, store: Store, clock: Clock) -> None:
        self.waiting = 0
        """triggers whose changed days are due and not stored yet"""
        self._tracking = tracking
        self._store = store
        self._clock = clock

    async def write(self) -> bool:
        """Store the days that are due, for LONGEST_SECONDS at most; whether there were any. Raises StoreUnavailable."""
        started = self._clock.now()
        self._finish()
        due = [t for t in self._tracking if t.minutes_read and t.minutes_due <= started]
        self.waiting = len(due)
        for chunk in chunks(due, AT_A_TIME):
            await self._write(chunk)
            self.waiting -= len(chunk)
            if not 0 <= self._clock.now() - started < LONGEST_SECONDS:
                break
        return bool(due)

    def forget(self) -> None:
        """Trust that nothing is stored."""
        for tracked in self._tracking:
            self._tracking.combining.memory.mark_changed(tracked.key, range(LOCAL_DAYS))
            tracked.minutes_due = 0.0

    def _finish(self) -> None:
        """Store unfinished days again as soon as their past is there: they may not change any more."""
        for tracked in self._tracking:
            if tracked.stored_unfinished and complete_until(tracked):
                self._tracking.combining.memory.mark_changed(tracked.key, tracked.stored_unfinished)
                tracked.stored_unfinished.clear()
                tracked.minutes_due = 0.0

    async def _write(self, due: Sequence[Tracked]) -> None:
        now, memory = self._clock.now(), self._tracking.combining.memory
        ends = [complete_until(t) for t in due]  # before the minutes are taken: more may arrive meanwhile
        changed = await asyncio.to_thread(lambda: [memory.take_changed(t.key) for t in due])
        days = [one for t, by_day, end in zip(due, changed, ends, strict=True) for one in _days(t, by_day, end)]
        try:
            await self._store.save_minutes(days)
        except BaseException:
            for tracked, by_day in zip(due, changed, strict=True):
                memory.mark_changed(tracked.key, by_day)
            raise
        for tracked, by_day, end in zip(due, changed, ends, strict=True):
            tracked.minutes_due = next_due(tracked.key, now)
            if not end:
                tracked.stored_unfinished |= {day % LOCAL_DAYS for day in by_day}


def next_due(key: str, now: float) -> float:
    """The next moment of a trigger's own minute of the hour, so that not all are due at once."""
    own = zlib.crc32(key.encode()) % EVERY_SECONDS
    return ((now - own) // EVERY_SECONDS + 1) * EVERY_SECONDS + own


def _days(tracked: Tracked, changed: Mapping[int, Floats], end: int) -> Iterator[MinuteDay]:
    """Complete before the minute `end`."""
    for day, demand_M in changed.items():
        complete = max(0, min(end - day * DAY_MINUTES, DAY_MINUTES))
        yield MinuteDay(tracked.trigger.history_key, tracked.trigger.timezone, day, demand_M, complete)


def complete_until(tracked: Tracked) -> int:
    """The minute of local time before which all is known that the source has; 0 while a part is still to be fetched."""
    may_close = any(gap.may_close for gaps in tracked.gaps.values() for gap in gaps)
    if may_close or not {Phase.FINE, Phase.MINUTES} <= tracked.done or Phase.HOLE in tracked.wanted_since:
        return 0
    offset = utc_offset_seconds(tracked.trigger.timezone, tracked.heard_at)
    return int(local_minutes(tracked.heard_at, np.array([offset]))[0]) + 1

"""What the planner has concluded of each trigger and counts for days: into the store, and back after a restart."""

import math
from collections.abc import Mapping
from itertools import islice

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.plan.memory import lasting, with_lasting
from scaler.refresh.tracked import Tracked, Tracking
from scaler.store.conclusions import Concluded, ConclusionStore

EVERY_SECONDS = 5.0
"""how often new triggers are looked for"""
PAUSE_SECONDS = 60.0
"""how long a store that did not answer is left alone"""
WRITE_SECONDS = 600.0
AT_A_TIME = 250
"""triggers that are read or written together"""
LONGEST_SECONDS = 7 * 86400.0
"""how old a conclusion may get that still counts"""
WRITES_PER_SWEEP = 6
"""once an hour"""


class ConclusionKeeper:
    """Keeps the store up to date, and reads what it knows of new triggers. Nothing waits for it.

    A store that fails is tried again; its checkpoint logs that.
    """

    def __init__(self, tracking: Tracking, store: ConclusionStore, clock: Clock) -> None:
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._stored: dict[str, Mapping[str, float]] = {}
        """what the store has of each trigger that was looked up"""
        self._written_at = clock.now()
        self._writes = 0

    async def run(self) -> None:
        """Read what is wanted and write what is new, for ever."""
        while True:
            pause = EVERY_SECONDS if await self.step() else PAUSE_SECONDS
            await self._clock.sleep_until(self._clock.now() + pause)

    async def step(self) -> bool:
        """Read, and now and then write; False where the store did not answer."""
        try:
            await self._read()
            if abs(self._clock.now() - self._written_at) >= WRITE_SECONDS:
                await self._write()
        except StoreUnavailable:
            return False
        return True

    async def finish(self) -> None:
        """Write what is not stored yet: this process ends."""
        try:
            await self._write()
        except StoreUnavailable:
            return  # the checkpoint logs that

    async def _read(self) -> None:
        """What is stored of the triggers that are new here."""
        for key in [key for key in self._stored if key not in self._tracking]:
            del self._stored[key]
        while unread := list(islice((t for t in self._tracking if t.key not in self._stored), AT_A_TIME)):
            found = await self._store.load([tracked.key for tracked in unread])
            for tracked in unread:
                concluded = found.get(tracked.key)
                self._stored[tracked.key] = {} if concluded is None else concluded.values
                if concluded is not None and self._tracking.get(tracked.key) is tracked:
                    self._resume(tracked, concluded)

    def _resume(self, tracked: Tracked, concluded: Concluded) -> None:
        now = self._clock.now()
        if tracked.began_anew and now - LONGEST_SECONDS <= concluded.at < math.inf:
            tracked.memory = with_lasting(tracked.memory, concluded.values, min(concluded.at, now))

    async def _write(self) -> None:
        now, before = self._clock.now(), self._written_at
        self._written_at = now
        due = {}
        for tracked in self._tracking:
            values = lasting(tracked.memory)
            if tracked.key in self._stored and values != self._stored[tracked.key]:
                due[tracked.key] = Concluded(now, values)
        for chunk in chunks(list(due.items()), AT_A_TIME):
            await self._store.save(dict(chunk))
            self._stored.update({key: one.values for key, one in chunk if key in self._stored})
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP == 0:
            await self._store.sweep(min(before, now), now)

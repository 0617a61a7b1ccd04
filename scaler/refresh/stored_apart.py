"""Which queries are never joined with others (history/apart.py), kept in the store so that it outlives a restart."""

from contextlib import suppress

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.history.apart import APART_SECONDS, Apart
from scaler.store import Store

EVERY_SECONDS = 30.0


class StoredApart:
    """Reads what is stored as soon as the store answers, and writes what is new. Nothing waits for it."""

    def __init__(self, apart: Apart, store: Store, clock: Clock) -> None:
        self._apart = apart
        self._store = store
        self._clock = clock
        self._is_loaded = False
        self._identity: str | None = None

    async def run(self) -> None:
        """Keep both up to date, for ever."""
        while True:
            await self.write()
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)

    async def write(self) -> None:
        """Read once, then store what was added. A store that does not answer is asked again; the checkpoint logs it."""
        with suppress(StoreUnavailable):
            oldest = self._clock.now() - APART_SECONDS
            if not self._is_loaded:
                self._apart.load(await self._store.apart(oldest))
                self._is_loaded = True
            identity = await self._store.identity()
            if self._identity not in (None, identity):
                self._apart.lost()
            self._identity = identity
            added = self._apart.unsaved()
            if added:
                await self._store.set_apart(list(added), max(added.values()), oldest)
                self._apart.saved(added)

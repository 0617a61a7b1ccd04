"""Triggers that are registered before the engine is open."""

import asyncio
from contextlib import suppress

from scaler.clock import Clock
from scaler.errors import CacheUnavailable
from scaler.forecast import ForecastCache
from scaler.registry import Registration, Registry


class EarlyRegistrations:
    """Keeps them for the engine. Until it is open, outlooks that other replicas published are their answers: loading a
    model takes longer than reading a cache."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.all: list[Registration] = []
        self._registry = registry
        self._clock = clock
        self._added = asyncio.Event()

    def add(self, registration: Registration) -> None:
        """Note a registered trigger."""
        self.all.append(registration)
        self._added.set()

    def take(self) -> list[Registration]:
        """All of them that are still watched; from now on they are the engine's."""
        early, self.all = self.all, []
        return [registration for registration in early if not registration.forgotten]

    async def receive_from(self, cache: ForecastCache) -> None:
        """Take the outlooks of early registrations from the shared cache, until cancelled."""
        received = 0
        while True:
            await self._added.wait()
            self._added.clear()
            keys = [registration.trigger.key for registration in self.all[received:]]
            received += len(keys)
            with suppress(CacheUnavailable):
                for key, outlook in (await cache.receive(keys)).items():
                    self._registry.receive(key, outlook, self._clock.now())

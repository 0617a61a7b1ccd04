"""Triggers that KEDA asks about before the engine is open."""

import asyncio
from contextlib import suppress

from scaler.clock import Clock
from scaler.errors import CacheUnavailable
from scaler.forecast import ForecastCache
from scaler.registry import Registration, Registry


class EarlyRegistrations:
    """Keeps them for the engine. Until it is open, what another replica has published is their answer: a model takes
    longer to load than a cache to ask."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.all: list[Registration] = []
        self._registry = registry
        self._clock = clock
        self._added = asyncio.Event()

    def add(self, registration: Registration) -> None:
        """Note a registered trigger."""
        self.all.append(registration)
        self._added.set()

    async def receive_from(self, cache: ForecastCache) -> None:
        """Take the outlooks of early registrations from the shared cache, until cancelled."""
        asked = 0
        while True:
            await self._added.wait()
            self._added.clear()
            keys = [registration.trigger.key for registration in self.all[asked:]]
            asked += len(keys)
            with suppress(CacheUnavailable):
                for key, outlook in (await cache.receive(keys)).items():
                    self._registry.receive(key, outlook, self._clock.now())

"""Sharing the work with other replicas, and going on alone while the shared cache does not answer.

Only the lease at each tick finds out whether the cache is back: until then nothing else waits for it.
"""

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import structlog

from scaler.clock import Clock
from scaler.errors import CacheUnavailable
from scaler.forecast import ForecastCache
from scaler.series import Outlook
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

LEASE_INTERVALS = 2.0
"""how many refresh intervals a lease lasts: after a replica died, another takes over at its next tick but one"""

OUTLOOK_SECONDS = 7200.0
"""how long a shared outlook is kept: no forecast reaches further"""


class Replicas:
    """The other replicas, as far as they can be reached. No method raises CacheUnavailable."""

    def __init__(self, cache: ForecastCache, clock: Clock, telemetry: Telemetry, interval_seconds: float) -> None:
        self._cache = cache
        self._clock = clock
        self._telemetry = telemetry
        self._lease_seconds = LEASE_INTERVALS * interval_seconds
        self._leased_at = (-math.inf, -math.inf)
        """when the leases were last asked for, by the clock and by the seconds that this machine is up"""
        self._alone = False
        """whether the cache is left alone until the next tick"""
        self._mute = False
        """whether publishing failed the last time it was tried"""
        self._reported_down = False
        self.error = ""
        """why the cache did not answer; empty where it did"""

    async def lease(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that this replica refreshes; all of them while the cache does not answer."""
        asked_at = self._clock.now(), time.monotonic()
        try:
            own = await self._cache.lease(keys, self._lease_seconds)
        except CacheUnavailable as error:
            self._note(True, str(error))
            return set(keys)
        self._leased_at = asked_at
        self._note(self._mute, self.error)
        self._alone = False  # publishing is tried again, if only once a tick
        return own

    async def lease_more(self, keys: Sequence[str]) -> set[str]:
        """As `lease`, between two ticks: does not wait for a cache that failed."""
        return set(keys) if self._alone else await self.lease(keys)

    async def publish(self, outlooks: Mapping[str, Outlook]) -> None:
        """Pass outlooks to the other replicas, unless the leases may have run out: then others have newer ones."""
        if self._alone or not outlooks:
            return
        if not self._may_hold_leases():
            log.warning("not_published", triggers=len(outlooks), why="the leases ran out: stopped, or too slow")
            self._telemetry.count("publish_late", len(outlooks))
            return
        try:
            await self._cache.publish(outlooks, OUTLOOK_SECONDS)
        except CacheUnavailable as error:
            self._mute = self._alone = True
            self._note(True, str(error))
            return
        self._mute = False
        self._note(False)

    async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
        """What other replicas published for `keys`."""
        if self._alone or not keys:
            return {}
        try:
            return await self._cache.receive(keys)
        except CacheUnavailable as error:
            self._note(True, str(error))
            return {}

    async def wakes(self) -> AsyncIterator[list[str]]:
        """Keys that others published; no keys once, when subscribed. Ends when the cache is lost."""
        with suppress(CacheUnavailable):  # the lease at the next tick logs it
            async for keys in self._cache.wakes():
                yield keys

    async def leave(self, keys: Sequence[str]) -> None:
        """Release the leases, so that others take over at once."""
        try:
            await self._cache.release(keys)
        except CacheUnavailable as error:
            self._note(True, str(error))

    def _may_hold_leases(self) -> bool:
        """By both clocks: one of them does not notice that it was set, the other one that the machine slept."""
        passed = (now - then for now, then in zip((self._clock.now(), time.monotonic()), self._leased_at, strict=True))
        return all(abs(seconds) <= self._lease_seconds for seconds in passed)

    def _note(self, alone: bool, why: str = "") -> None:
        if alone and not self._reported_down:
            log.warning("cache_unavailable", error=why, consequence="this replica refreshes all its triggers itself")
        if self._reported_down and not alone:
            log.info("cache_back")
        self._alone = self._reported_down = alone
        self.error = why if alone else ""
        self._telemetry.set("cache_up", 0 if alone else 1)

"""Which triggers this replica refreshes: those whose lease it holds, and those that no other replica refreshes."""

import math
from collections.abc import Iterable, Sequence

import structlog

from scaler.refresh.backfill import Backfill
from scaler.refresh.coordination import Replicas
from scaler.refresh.tracked import Tracked, Tracking
from scaler.registry import Registration, Registry
from scaler.series import FURTHEST_AHEAD_SECONDS
from scaler.telemetry.metrics import Telemetry
from scaler.turns import in_pieces, let_calls_through

log = structlog.get_logger()

ORPHANED_INTERVALS = 2.5
"""refresh intervals without an outlook from the holder of the lease, after which this replica refreshes, too"""

GRACE_SECONDS = 900.0
"""after a time without ticks, how long KEDA has for its calls before silent triggers are forgotten again"""

MOST_LOGGED = 20
"""forgotten triggers of one refresh that are named in the log"""

AT_A_TIME = 256
"""triggers adopted before calls get their turn"""


class Ownership:
    """Keeps `tracking` to the triggers that this replica refreshes."""

    def __init__(
        self,
        registry: Registry,
        tracking: Tracking,
        backfill: Backfill,
        replicas: Replicas,
        telemetry: Telemetry,
        interval_seconds: float,
        silence_seconds: float,
    ) -> None:
        self._registry = registry
        self._tracking = tracking
        self._backfill = backfill
        self._replicas = replicas
        self._telemetry = telemetry
        self._orphaned_seconds = ORPHANED_INTERVALS * interval_seconds
        self._silence_seconds = silence_seconds
        self._forgets_from = 0.0
        self._orphaned: set[str] = set()
        """refreshed here, although another replica holds the lease, until it publishes them again"""

    def keep_silent(self, at: float) -> None:
        """Forget no trigger for a while: this process was stopped, or its clock was set forwards."""
        self._forgets_from = at + min(GRACE_SECONDS, self._silence_seconds)

    async def update(self, at: float) -> None:
        """Forget silent triggers, renew the leases, and track this replica's triggers and no others."""
        self._forget_silent(at)
        await let_calls_through()
        with self._telemetry.step("lease"):
            registrations = list(self._registry)
            own = await self._replicas.lease([one.trigger.key for one in registrations])
            await let_calls_through()
            self._telemetry.set("leases", len(own))
            own |= self._find_orphans([one for one in registrations if one.trigger.key not in own], at)
            self._telemetry.set("orphaned_triggers", len(self._orphaned))
            lost = [tracked.key for tracked in self._tracking if tracked.key not in own]
            self._telemetry.count("lease_lost", len(lost))
            for key in lost:
                self._tracking.drop(key)
            async for piece in in_pieces(registrations, AT_A_TIME):
                self._track([one for one in piece if one.trigger.key in own])

    async def claim(self, new: Sequence[Registration]) -> list[Tracked]:
        """Track those of the new triggers that no other replica refreshes, and fetch their history; returns them."""
        own = await self._replicas.lease_more([one.trigger.key for one in new])
        return self._track([one for one in new if one.trigger.key in own and not one.forgotten])

    def note_published(self, keys: Iterable[str]) -> None:
        """Another replica has published these: they are no orphans."""
        self._orphaned.difference_update(keys)

    def _forget_silent(self, at: float) -> None:
        is_waiting = 0 <= self._forgets_from - at <= GRACE_SECONDS
        forgotten = self._registry.forget_silent(at, math.inf if is_waiting else self._silence_seconds)
        for registration in forgotten:
            if registration.trigger.key not in self._registry:  # else it is registered again
                self._tracking.drop(registration.trigger.key)
                self._backfill.forget(registration.trigger.key)
        self._telemetry.count("trigger_expired", len(forgotten))
        for trigger in [registration.trigger for registration in forgotten[:MOST_LOGGED]]:
            log.info("trigger_expired", namespace=trigger.namespace, name=trigger.name)
        if len(forgotten) > MOST_LOGGED:
            log.info("triggers_expired", count=len(forgotten) - MOST_LOGGED)

    def _find_orphans(self, others: Iterable[Registration], at: float) -> set[str]:
        """Of the triggers whose lease another replica holds, those that it does not refresh."""
        by_key = {one.trigger.key: one for one in others}
        self._orphaned &= by_key.keys()
        self._orphaned |= {key for key, one in by_key.items() if self._is_orphaned(one, at)}
        return self._orphaned

    def _is_orphaned(self, registration: Registration, at: float) -> bool:
        known = registration.upcoming or registration.current
        heard_at = known.outlook.counts_from if known is not None else registration.first_called
        return not -FURTHEST_AHEAD_SECONDS <= at - heard_at <= self._orphaned_seconds

    def _track(self, registrations: Sequence[Registration]) -> list[Tracked]:
        known = [one.current or one.upcoming for one in registrations if one.trigger.key not in self._tracking]
        self._telemetry.count("lease_taken_over", sum(outlook is not None for outlook in known))
        fresh = self._tracking.adopt(registrations)
        for tracked in fresh:
            self._backfill.new(tracked)
        return fresh

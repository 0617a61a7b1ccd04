"""Outlooks from what is tracked: into this process's registry, and to the other replicas."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scaler.clock import Clock
from scaler.plan.memory import observe
from scaler.plan.rule import News
from scaler.refresh.coordination import Replicas
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.registry import Registry
from scaler.series import RECENT_SECONDS, Observation, Outlook
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import LARGEST_DEMAND
from scaler.turns import in_pieces

AT_A_TIME = 100
"""triggers whose news are observed before calls get their turn: three milliseconds at most"""


class Publisher:
    """Publishes outlooks, and receives those of other replicas."""

    def __init__(
        self,
        registry: Registry,
        tracking: Tracking,
        replicas: Replicas,
        clock: Clock,
        telemetry: Telemetry,
        interval_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._registry = registry
        self._tracking = tracking
        self._replicas = replicas
        self._clock = clock
        self._telemetry = telemetry
        self._interval_seconds = interval_seconds
        self._grace_seconds = grace_seconds

    async def publish(self, chunk: Sequence[Tracked]) -> None:
        """Publish an outlook for each trigger that is still tracked and of which something is known."""
        chunk = [t for t in chunk if t.key in self._tracking]
        with self._telemetry.step("publish"):
            _update_observations(chunk)
            now = self._clock.now()
            async for piece in in_pieces(chunk, AT_A_TIME):
                self._observe(piece, now)
            counts_from = now + self._grace_seconds
            outlooks = {
                t.key: Outlook(counts_from, t.observation, t.forecast, t.note, t.memory.conclusions)
                for t in chunk
                if t.observation is not None or t.forecast is not None
            }
            await self._register(outlooks)
            self._note_plans(chunk, outlooks)
            await self._replicas.publish(outlooks)

    async def receive(self, keys: Sequence[str]) -> frozenset[str]:
        """Take over what other replicas published for registered triggers; returns which of `keys` they had, and in a
        form that is of use here."""
        return await self._register(
            await self._replicas.receive([key for key in keys if self._registry.get(key) is not None])
        )

    def _observe(self, piece: Sequence[Tracked], now: float) -> None:
        for tracked in piece:
            if tracked.key not in self._tracking:
                continue
            news = _news(tracked, now, self._interval_seconds)
            tracked.memory = observe(tracked.memory, news)
            self._tracking.accounts.count(tracked.registration, news, tracked.memory.replicas)

    def _note_plans(self, chunk: Sequence[Tracked], outlooks: Mapping[str, Outlook]) -> None:
        """Note the plans that were just made of these outlooks."""
        for tracked in chunk:
            made, outlook = tracked.registration.upcoming or tracked.registration.current, outlooks.get(tracked.key)
            if made is not None and made.outlook is outlook and tracked.key in self._tracking:
                self._tracking.plans.note(tracked.trigger, made.plan, made.outlook)

    async def _register(self, outlooks: Mapping[str, Outlook]) -> frozenset[str]:
        used: set[str] = set()
        for key, outlook in outlooks.items():
            if self._registry.receive(key, outlook, self._clock.now()):
                used.add(key)
            # A plan takes a tenth of a millisecond, and an answer five turns of the loop: one plan a turn.
            await asyncio.sleep(0)
        return frozenset(used)


def _update_observations(chunk: Sequence[Tracked]) -> None:
    for table in {id(t.table): t.table for t in chunk}.values():
        mine = [t for t in chunk if t.table is table]
        keys = [t.key for t in mine]
        newest = table.newest(keys)
        recent = table.recent_peak(keys, RECENT_SECONDS)
        highest = table.history_peak(keys)
        for tracked, (at, value), near, far in zip(mine, newest, recent.tolist(), highest.tolist(), strict=True):
            if not math.isnan(value):
                seen = Observation(at, *(min(one, LARGEST_DEMAND) for one in (value, near, far)))
                tracked.observation = _with_known(tracked, seen)


def _with_known(tracked: Tracked, new: Observation) -> Observation:
    """`new`, unless the replica before this one knew newer demand; with the highest demand that it knew of, of late and
    ever, until the past has been fetched."""
    old = tracked.observation
    if old is None:
        return new
    newest = new if new.at >= old.at else old
    began_at = tracked.wanted_since.get(Phase.FINE, -math.inf)
    if newest.at - began_at < RECENT_SECONDS:
        newest = replace(newest, recent_peak=max(new.recent_peak, old.recent_peak))
    if Phase.COARSE in tracked.done:
        return newest
    return replace(newest, history_peak=max(new.history_peak, old.history_peak))


def _news(tracked: Tracked, now: float, refresh_seconds: float) -> News:
    newest = tracked.registration.upcoming or tracked.registration.current
    answered = None if newest is None else newest.plan.planned
    return News(tracked.trigger, now, tracked.observation, tracked.forecast, answered, refresh_seconds)

"""The background path: history → forecast → plan → memory and cache. It never blocks an answer.

`once` is the table of contents. Ticks are multiples of the refresh interval since the epoch, so all replicas ask
Prometheus for the same moments. Numbers are crunched in worker threads, in chunks; plans are made on the event loop, a
few at a time.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import structlog

from scaler.clock import Clock
from scaler.errors import DependencyError
from scaler.forecast import ForecastCache, Forecasters
from scaler.history import MetricSource
from scaler.history.guarded import guarded
from scaler.history.table import HistoryTable
from scaler.plan.hpa import SYNC_SECONDS
from scaler.plan.hpa_estimate import estimate_replicas
from scaler.plan.surge import watch
from scaler.refresh.backfill import Backfill
from scaler.refresh.coordination import Replicas
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.registry import Registration, Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.store import Store
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Mode

log = structlog.get_logger()
_T = TypeVar("_T")

RECENT_SECONDS = 900.0
"""how far back `Observation.recent_peak` looks"""

ORPHANED_INTERVALS = 2.5
"""after so many refreshes without news of a trigger whose lease another holds, this replica refreshes it, too"""

GATHER_SECONDS = 0.1
"""how long freshly backfilled triggers are gathered, to be forecast together"""


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    interval_seconds: float = 15.0
    publish_grace_seconds: float = 0.0
    """how long after its issue an outlook counts; > 0 where replicas share a cache"""
    silence_seconds: float = 3600.0
    """a trigger nobody asked about for so long is forgotten"""
    chunk: int = 256
    """series forecast in one run of a graph"""
    threads: int = 1
    """chunks forecast at the same time"""
    backfill_concurrency: int = 8


class Refresh:
    """All that this process refreshes. `run` loops for ever; `once` is one tick."""

    def __init__(
        self,
        registry: Registry,
        source: MetricSource,
        catalog: Forecasters,
        cache: ForecastCache,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
        settings: RefreshSettings,
    ) -> None:
        self._registry = registry
        self._source = guarded(source)
        self._replicas = Replicas(cache, telemetry, settings.interval_seconds)
        self._clock = clock
        self._telemetry = telemetry
        self._settings = settings
        self._pool = ThreadPoolExecutor(max_workers=settings.threads, thread_name_prefix="forecast")
        self.tracking = Tracking(catalog, clock, settings.interval_seconds)
        self._seconds_per_forecast = 0.0
        self._ticked_at = 0.0
        self._due_keys: set[str] = set()
        self._orphaned: set[str] = set()
        """refreshed here, whoever holds the lease, until another replica is heard of again"""
        self._forecasts_due = asyncio.Event()
        self._new_registrations: asyncio.Queue[Registration] = asyncio.Queue()
        self.ticks = 0
        """completed refreshes; readiness looks at it"""
        self.backfill = Backfill(
            self._source, store, clock, telemetry, settings.backfill_concurrency, on_filled=self._forecast_soon
        )

    # The loops that app.py keeps running

    async def run(self) -> None:
        """Refresh at every tick. A failing tick is logged and the next one is tried."""
        interval = self._settings.interval_seconds
        while True:
            at = (math.floor(self._clock.now() / interval) + 1) * interval
            await self._clock.sleep_until(at)
            if self._clock.now() < at - interval:
                continue  # the clock was set back meanwhile
            try:
                await self.once(at)
            except Exception:
                log.exception("refresh_failed", at=at)
                self._telemetry.count("refresh_failed")
            if self._clock.now() > at + interval:
                self._telemetry.count("refresh_overrun")

    async def run_new_registrations(self) -> None:
        """Serve every newly registered trigger at once: shared outlook or first observation, then its history."""
        async with asyncio.TaskGroup() as group:
            while True:
                new = [await self._new_registrations.get()]
                while not self._new_registrations.empty() and len(new) < self._settings.chunk:
                    new.append(self._new_registrations.get_nowait())
                group.create_task(self._welcome(new))

    async def run_first_forecasts(self) -> None:
        """Forecast at once whatever has just been backfilled."""
        while True:
            await self._forecasts_due.wait()
            await self._clock.sleep_until(self._clock.now() + GATHER_SECONDS)
            self._forecasts_due.clear()
            keys, self._due_keys = self._due_keys, set()
            tracked = [t for t in self.tracking if t.key in keys]
            await self._forecast_and_publish(tracked, self._clock.now())

    async def run_listen(self) -> None:
        """Take over what other replicas publish; all of it once subscribed, which the cache tells by no keys."""
        while True:
            async for keys in self._replicas.wakes():
                await self._receive(keys or [w.trigger.key for w in self._registry])
            await asyncio.sleep(1.0)

    # One tick

    async def once(self, at: float) -> None:
        """Refresh every trigger of this replica for the moment `at`. One dead server does not delay the others."""
        with self._telemetry.step("refresh"):
            self._follow_clock(at)
            self._expire(at)
            await self._lease(at)
            self.tracking.advance(at)
            await asyncio.gather(*(self._refresh_server(group, at) for group in _by_server(self.tracking)))
        self.ticks += 1
        self._telemetry.set("watched_triggers", len(self._registry))
        self._telemetry.set("refreshed_triggers", len(self.tracking))

    def _follow_clock(self, at: float) -> None:
        """A clock that was set back makes all that is kept come from the future: begin again."""
        back = self._ticked_at - at
        self._ticked_at = at
        if back > self._settings.interval_seconds:
            log.warning("clock_set_back", seconds=round(back), consequence="all history is fetched again")
            self.tracking.clear()

    async def _refresh_server(self, tracked: list[Tracked], at: float) -> None:
        await self._observe(tracked, at)
        chosen = self._urgent(tracked, at)
        await self._forecast_and_publish(chosen, at)
        rest = {t.key for t in tracked} - {t.key for t in chosen}
        await self._publish([t for t in tracked if t.key in rest])

    def welcome(self, registration: Registration) -> None:
        """Tell the refresh of a trigger that somebody has just asked about for the first time."""
        self._new_registrations.put_nowait(registration)

    async def close(self) -> None:
        """Give the leases back and stop the workers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await self._replicas.leave([t.key for t in self.tracking])

    # Steps

    async def _welcome(self, new: list[Registration]) -> None:
        keys = [w.trigger.key for w in new]
        await self._receive(keys)
        for _ in [w for w in new if w.current is None]:
            self._telemetry.count("cold_start")
        own = await self._replicas.lease_more(keys)
        fresh = self._adopt([w for w in new if w.trigger.key in own])
        at = self._clock.now()
        await asyncio.gather(*(self._observe_and_publish(group, at) for group in _by_server(fresh)))

    async def _observe_and_publish(self, tracked: list[Tracked], at: float) -> None:
        await self._observe(tracked, at)
        await self._publish(tracked)

    def _expire(self, at: float) -> None:
        for registration in self._registry.forget_silent(at, self._settings.silence_seconds):
            self.tracking.drop(registration.trigger.key)
            self._telemetry.count("trigger_expired")
            log.info("trigger_expired", namespace=registration.trigger.namespace, name=registration.trigger.name)

    async def _lease(self, at: float) -> None:
        """Find out which triggers are this replica's, and track those and no others."""
        with self._telemetry.step("lease"):
            registration = list(self._registry)
            own = await self._replicas.lease([w.trigger.key for w in registration])
            others = {w.trigger.key: w for w in registration if w.trigger.key not in own}
            self._orphaned &= others.keys()
            self._orphaned |= {key for key, one in others.items() if self._is_orphaned(one, at)}
            own |= self._orphaned
            for tracked in self.tracking:
                if tracked.key not in own:
                    self.tracking.drop(tracked.key)
            for chunk in _chunks(registration, self._settings.chunk):
                self._adopt([w for w in chunk if w.trigger.key in own])
                await asyncio.sleep(0)

    def _is_orphaned(self, registration: Registration, at: float) -> bool:
        """Whether the replica that holds the lease has told nothing for so long that this one must look itself."""
        known = registration.upcoming or registration.current
        heard_at = known.outlook.counts_from if known is not None else registration.first_called
        return at - heard_at > ORPHANED_INTERVALS * self._settings.interval_seconds

    def _adopt(self, registration: Iterable[Registration]) -> list[Tracked]:
        fresh = self.tracking.adopt(registration)
        for tracked in fresh:
            self.backfill.new(tracked)
        return fresh

    async def _observe(self, tracked: list[Tracked], at: float) -> None:
        """Newest demand of each trigger into the tables; failures are remembered in the source's own words."""
        with self._telemetry.step("observe"):
            found = await self._source.observe([t.trigger for t in tracked], at)
        before = {t.key: t.error for t in tracked}
        for chunk in _chunks(list(zip(tracked, found, strict=True)), self._settings.chunk):
            self._take_observations(chunk, at)
            await asyncio.sleep(0)
        _log_changes([(t, before[t.key], result) for t, result in zip(tracked, found, strict=True)])

    def _take_observations(self, found: Sequence[tuple[Tracked, float | DependencyError]], at: float) -> None:
        seen = []
        for tracked, result in found:
            if tracked.key not in tracked.table:
                continue
            if isinstance(result, DependencyError):
                self._note_error(tracked, result)
            else:
                seen.append((tracked, result))
        for table in {id(t.table): t.table for t, _ in seen}.values():
            _put(table, [(t, value) for t, value in seen if t.table is table], at)
        for tracked, _ in seen:
            self._note_heard(tracked, at)

    def _note_heard(self, tracked: Tracked, at: float) -> None:
        away = at - tracked.heard_at
        if tracked.heard_at and away > 2.5 * self._settings.interval_seconds:
            self.backfill.hole(tracked, tracked.heard_at)
        tracked.heard_at = at
        tracked.error = ""

    def _note_error(self, tracked: Tracked, error: DependencyError) -> None:
        tracked.error = str(error)
        self._telemetry.count("source_error", kind=type(error).__name__)
        if tracked.observation is None and tracked.forecast is None:
            self._registry.fail(tracked.key, error)

    def _urgent(self, tracked: list[Tracked], at: float) -> list[Tracked]:
        """Those to forecast now. All, unless that takes more than half the interval; then the most urgent first.

        Urgent is who expects to need more than it has; among equals, whose forecast is oldest.
        """
        wanted = [t for t in tracked if t.trigger.mode is not Mode.REACTIVE and t.done]
        room = 0.5 * self._settings.interval_seconds
        fit = int(room / self._seconds_per_forecast) if self._seconds_per_forecast else len(wanted)
        deferred = max(0, len(wanted) - max(fit, self._settings.chunk))
        self._telemetry.set("deferred_forecasts", deferred)
        if not deferred:
            return wanted
        wanted.sort(key=lambda t: (not _rising(t), t.forecast.start if t.forecast else 0.0))
        return wanted[: len(wanted) - deferred]

    def _forecast_soon(self, tracked: Tracked) -> None:
        self._due_keys.add(tracked.key)
        self._forecasts_due.set()

    async def _forecast_and_publish(self, tracked: list[Tracked], at: float) -> None:
        """Forecast in chunks, several at a time; each chunk counts as soon as it is ready."""
        chunks = [chunk for group in _by_forecaster(tracked) for chunk in _chunks(group, self._settings.chunk)]
        places = asyncio.Semaphore(self._settings.threads)

        async def one(chunk: Sequence[Tracked]) -> None:
            async with places:
                await self._forecast(chunk, at)
            await self._publish(chunk)

        with self._telemetry.step("forecast"):
            started = asyncio.get_running_loop().time()
            await asyncio.gather(*(one(chunk) for chunk in chunks))
            self._note_pace(asyncio.get_running_loop().time() - started, len(tracked))

    def _note_pace(self, seconds: float, forecasts: int) -> None:
        if forecasts >= self._settings.chunk:
            self._seconds_per_forecast = seconds / forecasts

    async def _forecast(self, chunk: Sequence[Tracked], at: float) -> None:
        offsets = np.array([utc_offset_seconds(t.trigger.timezone, at) for t in chunk], dtype=np.int64)
        table, forecaster = chunk[0].table, chunk[0].forecaster

        def crunch() -> list[Forecast | None]:
            return forecaster.forecast(table.batch([t.key for t in chunk], offsets))

        try:
            made = await asyncio.get_running_loop().run_in_executor(self._pool, crunch)
        except Exception:
            log.exception("forecast_failed", model=forecaster.model)
            self._telemetry.count("forecast_failed", model=forecaster.model)
            return
        for tracked, forecast in zip(chunk, made, strict=True):
            if forecast is not None:
                tracked.forecast = forecast

    async def _publish(self, chunk: Sequence[Tracked]) -> None:
        """Outlooks into this process's memory, a few plans at a time, then to the other replicas."""
        chunk = [t for t in chunk if t.key in self.tracking]
        with self._telemetry.step("publish"):
            self._renew_observations(chunk)
            now = self._clock.now()
            for tracked in chunk:
                _estimate_replicas(tracked, now)
                _observe_surge(tracked, self._settings.interval_seconds)
            counts_from = now + self._settings.publish_grace_seconds
            outlooks = {
                t.key: Outlook(counts_from, t.observation, t.forecast, t.note, t.replicas, t.surge.growth)
                for t in chunk
                if t.observation is not None or t.forecast is not None
            }
            await self._receive_locally(outlooks)
            await self._replicas.publish(outlooks)

    def _renew_observations(self, chunk: Sequence[Tracked]) -> None:
        for table in {id(t.table): t.table for t in chunk}.values():
            mine = [t for t in chunk if t.table is table]
            keys = [t.key for t in mine]
            newest = table.newest(keys)
            recent = table.recent_peak(keys, RECENT_SECONDS)
            highest = table.history_peak(keys)
            for tracked, (at, value), near, far in zip(mine, newest, recent.tolist(), highest.tolist(), strict=True):
                if not math.isnan(value):
                    tracked.observation = _never_forgetting(tracked, Observation(at, value, near, far))

    async def _receive(self, keys: Sequence[str]) -> None:
        """Outlooks that other replicas published for triggers that this one knows."""
        known = [key for key in keys if self._registry.get(key) is not None]
        received = await self._replicas.receive(known)
        self._orphaned -= received.keys()
        await self._receive_locally(received)

    async def _receive_locally(self, outlooks: dict[str, Outlook]) -> None:
        for key, outlook in outlooks.items():
            self._registry.receive(key, outlook, self._clock.now())
            # A plan is a tenth of a millisecond, and an answer takes the loop five turns: one plan a turn.
            await asyncio.sleep(0)


def utc_offset_seconds(timezone: str, at: float) -> int:
    """How far the clock of an IANA zone is ahead of UTC at the moment `at`."""
    if timezone == "UTC":
        return 0
    offset = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(timezone)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _estimate_replicas(tracked: Tracked, now: float) -> None:
    """Let the HPA read what we have answered since it last did."""
    if tracked.hpa_estimate is not None and now - tracked.hpa_estimate.at < 0.5 * SYNC_SECONDS:
        return
    newest = tracked.registration.upcoming or tracked.registration.current
    answered = None if newest is None else newest.plan.planned
    tracked.hpa_estimate = estimate_replicas(tracked.hpa_estimate, answered, tracked.trigger.threshold, now)


def _observe_surge(tracked: Tracked, refresh_seconds: float) -> None:
    """See whether demand outgrows its forecasts."""
    tracked.surge = watch(tracked.surge, tracked.trigger, tracked.observation, tracked.forecast, refresh_seconds)


def _put(table: HistoryTable, rows: Sequence[tuple[Tracked, float]], at: float) -> None:
    table.put([t.key for t, _ in rows], np.array([value for _, value in rows], dtype=np.float32), at)


def _log_changes(observed: Sequence[tuple[Tracked, str, float | DependencyError]]) -> None:
    """One line per kind of new trouble, however many triggers have it, and one for those that are well again."""
    new: dict[str, list[Tracked]] = {}
    for tracked, before, result in observed:
        if isinstance(result, DependencyError) and tracked.error != before:
            new.setdefault(type(result).__name__, []).append(tracked)
    for kind, members in new.items():
        one = members[0]
        log.warning(
            "observation_failed",
            kind=kind,
            triggers=len(members),
            namespace=one.trigger.namespace,
            name=one.trigger.name,
            error=one.error,
        )
    back = sum(bool(before) and not tracked.error for tracked, before, _ in observed)
    if back:
        log.info("observation_back", triggers=back)


def _never_forgetting(tracked: Tracked, new: Observation) -> Observation:
    """`new`, with the highest demand that a replica before this one knew of, until the past has been fetched."""
    old = tracked.observation
    if old is None or Phase.COARSE in tracked.done:
        return new
    return replace(new, history_peak=max(new.history_peak, old.history_peak))


def _rising(tracked: Tracked) -> bool:
    current = tracked.registration.current
    if current is None or current.plan.need is None or current.plan.observed is None:
        return True
    return current.plan.need > 1.05 * current.plan.observed


def _by_server(tracked: Iterable[Tracked]) -> list[list[Tracked]]:
    groups: dict[str, list[Tracked]] = {}
    for one in tracked:
        groups.setdefault(one.trigger.server_address, []).append(one)
    return list(groups.values())


def _by_forecaster(tracked: Iterable[Tracked]) -> list[list[Tracked]]:
    groups: dict[int, list[Tracked]] = {}
    for one in tracked:
        groups.setdefault(id(one.forecaster), []).append(one)
    return list(groups.values())


def _chunks(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]

"""The background path: history → forecast → plan → memory and cache. It never blocks an answer.

`tick` is the table of contents. Ticks are multiples of the refresh interval since the epoch, so all replicas query
the sources for the same moments. Forecasts are computed in a worker thread, in chunks; plans are made on the event
loop, a few at a time.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from scaler.clock import Clock
from scaler.forecast import ForecastCache, Forecasters
from scaler.history import MetricSource
from scaler.history.guarded import guarded
from scaler.refresh.backfill import Backfill, BackfillState
from scaler.refresh.coordination import Replicas
from scaler.refresh.forecasting import ForecastRunner, candidates
from scaler.refresh.lead_scores import LeadSummary
from scaler.refresh.observing import Observer
from scaler.refresh.ownership import Ownership
from scaler.refresh.publishing import Publisher
from scaler.refresh.rehearsal import Rehearsal
from scaler.refresh.tracked import Tracked, Tracking
from scaler.refresh.urgency import Candidate, select
from scaler.registry import Registration, Registry
from scaler.series import FURTHEST_AHEAD_SECONDS
from scaler.store import Store
from scaler.telemetry.metrics import Telemetry
from scaler.turns import in_pieces, let_calls_through

log = structlog.get_logger()

GATHER_SECONDS = 0.1
"""how long freshly backfilled triggers are gathered, to be forecast together"""

MISSED_INTERVALS = 4.0
"""between two ticks, after which this process was stopped, or its clock set forwards"""

AT_A_TIME = 1000
"""triggers that are looked at before calls get their turn: a millisecond at most"""


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    interval_seconds: float = 15.0
    publish_grace_seconds: float = 0.0
    """how long after its issue an outlook counts; > 0 where replicas share a cache"""
    silence_seconds: float = 3600.0
    """a trigger without a call for this long is forgotten"""
    chunk: int = 256
    """series forecast in one run of a graph"""
    backfill_concurrency: int = 8


class Refresh:
    """All that this process refreshes. `run` loops for ever; `tick` is one refresh of everything."""

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
        source, interval = guarded(source), settings.interval_seconds
        self._registry = registry
        self._clock = clock
        self._telemetry = telemetry
        self._settings = settings
        self._replicas = Replicas(cache, clock, telemetry, interval)
        self.tracking = Tracking(catalog, clock, interval)
        combining = self.tracking.combining
        self.backfill = Backfill(
            source,
            store,
            combining,
            clock,
            telemetry,
            settings.backfill_concurrency,
            on_filled=self._forecast_soon,
        )
        self.runner = ForecastRunner(telemetry, settings.chunk, self.tracking)
        self._lead_summary = LeadSummary(self.tracking.scoring, telemetry)
        self.rehearsal = Rehearsal(self.tracking, self.runner, clock)
        self._publisher = Publisher(
            registry, self.tracking, self._replicas, clock, telemetry, interval, settings.publish_grace_seconds
        )
        self._observer = Observer(
            source,
            registry,
            combining,
            self.backfill,
            clock,
            telemetry,
            interval,
            on_late=self._publisher.publish,
        )
        self._ownership = Ownership(
            registry, self.tracking, self.backfill, self._replicas, telemetry, interval, settings.silence_seconds
        )
        self._ticked_at = 0.0
        self._due_keys: set[str] = set()
        self._forecasts_due = asyncio.Event()
        self._new_registrations: asyncio.Queue[Registration] = asyncio.Queue()
        telemetry.set("refresh_interval", interval)
        telemetry.set("last_refresh", 0)

    def add(self, registration: Registration) -> None:
        """Begin with a newly registered trigger at once, without waiting for the next tick."""
        self._new_registrations.put_nowait(registration)

    def queue_lengths(self) -> dict[str, int]:
        """How many triggers wait for each of the loops, by the queue's name in telemetry."""
        backfill = {f"backfill_{phase.name.lower()}": n for phase, n in self.backfill.waiting_by_phase().items()}
        new, due = self._new_registrations.qsize(), len(self._due_keys)
        return {"new_registrations": new, **backfill, "first_forecasts": due, "rehearsal": len(self.rehearsal)}

    @property
    def cache_error(self) -> str:
        """Why the shared cache did not answer; empty where it did."""
        return self._replicas.error

    async def close(self) -> None:
        """Give the leases back and stop the worker."""
        self._observer.close()
        self.runner.close()
        await self._replicas.leave([t.key for t in self.tracking])

    # One tick

    async def tick(self, at: float) -> None:
        """Refresh every trigger of this replica for the moment `at`. No server, and no trigger, delays the others."""
        with self._telemetry.step("refresh"):
            self._detect_clock_step(at)
            await self._ownership.update(at)
            await let_calls_through()
            self.tracking.advance(at)
            selected = await self._forecasts_now()
            await let_calls_through()
            await asyncio.gather(*(self._refresh_server(group, selected, at) for group in _by_server(self.tracking)))
        self._telemetry.set("watched_triggers", len(self._registry))
        self._telemetry.set("refreshed_triggers", len(self.tracking))
        await self._export_backfill()
        self._lead_summary.update(at)

    async def _export_backfill(self) -> None:
        state = BackfillState()
        async for piece in in_pieces(list(self.tracking), AT_A_TIME):
            state.add(piece)
        self._telemetry.set("backfill_triggers", state.done, state="done")
        self._telemetry.set("backfill_triggers", state.waiting, state="waiting")
        self._telemetry.set("backfill_triggers", state.failing, state="failing")
        waited = max(0.0, self._clock.now() - state.oldest) if state.oldest else 0.0
        self._telemetry.set("backfill_oldest_wait", waited)

    def _detect_clock_step(self, at: float) -> None:
        """A clock that was set back makes all that is kept come from the future: begin again. After a time in which
        this process could not be called, every trigger looks silent."""
        is_first = not self._ticked_at
        back, self._ticked_at = self._ticked_at - at, at
        if not is_first and -back > MISSED_INTERVALS * self._settings.interval_seconds:
            self._ownership.keep_silent(at)
        if back > min(self._settings.interval_seconds, FURTHEST_AHEAD_SECONDS):
            log.warning("clock_set_back", seconds=round(back), consequence="all history is fetched again")
            self.tracking.clear()

    async def _forecasts_now(self) -> frozenset[str]:
        wanted: list[Candidate] = []
        async for piece in in_pieces(list(self.tracking), AT_A_TIME):
            wanted += candidates(piece)
        await let_calls_through()
        selected = select(wanted, self._settings.interval_seconds, self.runner.seconds_per_forecast)
        self._telemetry.set("deferred_forecasts", selected.deferred)
        self._telemetry.count("forecast_deferred", selected.deferred)
        return selected.keys

    async def _refresh_server(self, tracked: list[Tracked], selected: frozenset[str], at: float) -> None:
        """Publish what arrives at once, and forecast what is selected of it while more arrives."""
        due: list[Tracked] = []
        forecasting: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group, aclosing(self._observer.observe(tracked, at)) as arriving:
            async for arrived in arriving:
                due += [t for t in arrived if t.key in selected]
                if due and (forecasting is None or forecasting.done()):
                    forecasting = group.create_task(self._forecast_due(due, at))
                await self._publisher.publish([t for t in arrived if t.key not in selected])

    async def _forecast_due(self, due: list[Tracked], at: float) -> None:
        """Forecast until nothing is left in `due`, which grows meanwhile."""
        while due:
            now_due, due[:] = list(due), []
            await self._forecast_and_publish(now_due, at)

    async def _forecast_and_publish(self, tracked: Sequence[Tracked], at: float) -> None:
        """Each chunk is published as soon as it is forecast, while the next one is being forecast."""
        with self._telemetry.step("forecast"):
            async with asyncio.TaskGroup() as publishing:
                async for chunk in self.runner.forecast(tracked, at):
                    publishing.create_task(self._publisher.publish(chunk))

    # The loops that app/engine.py keeps running

    async def run(self) -> None:
        """Refresh at every tick. A failing tick is logged and the next one is tried."""
        async for at in self._ticks():
            try:
                await self.tick(at)
            except Exception:  # a tick that fails is counted, and the next one observes again
                log.exception("refresh_failed", at=at)
                self._telemetry.count("refresh_failed")
            else:
                self._telemetry.set("last_refresh", self._clock.now())
            if self._clock.now() > at + self._settings.interval_seconds:
                self._telemetry.count("refresh_overrun")

    async def run_new_registrations(self) -> None:
        """Serve every newly registered trigger at once: shared outlook or first observation, then its history."""
        async with asyncio.TaskGroup() as group:
            while True:
                new = [await self._new_registrations.get()]
                while not self._new_registrations.empty() and len(new) < self._settings.chunk:
                    new.append(self._new_registrations.get_nowait())
                group.create_task(self._begin(new))

    async def run_first_forecasts(self) -> None:
        """Forecast at once whatever has just been backfilled."""
        while True:
            await self._forecasts_due.wait()
            await self._clock.sleep_until(self._clock.now() + GATHER_SECONDS)
            self._forecasts_due.clear()
            keys, self._due_keys = self._due_keys, set()
            await self._forecast_and_publish([t for t in self.tracking if t.key in keys], self._clock.now())

    async def run_listen(self) -> None:
        """Take over what other replicas publish: all of it once subscribed (the cache then yields no keys)."""
        while True:
            async for keys in self._replicas.wakes():
                await self._receive(keys or [one.trigger.key for one in self._registry])
            await asyncio.sleep(1.0)

    async def _ticks(self) -> AsyncIterator[float]:
        """The moments of the ticks, each when it comes; one that a clock set back has made wrong is left out, and of
        those that passed while this process was stopped, all but the last."""
        interval = self._settings.interval_seconds
        while True:
            at = (math.floor(self._clock.now() / interval) + 1) * interval
            await self._clock.sleep_until(at)
            now = self._clock.now()
            if now >= at - interval:
                yield max(at, math.floor(now / interval) * interval)

    async def _begin(self, new: Sequence[Registration]) -> None:
        await self._receive([one.trigger.key for one in new])
        for _ in [one for one in new if one.current is None]:
            self._telemetry.count("cold_start")
        claimed = await self._ownership.claim(new)
        at = self._clock.now()
        await asyncio.gather(*(self._observe_and_publish(group, at) for group in _by_server(claimed)))

    async def _observe_and_publish(self, tracked: list[Tracked], at: float) -> None:
        async with aclosing(self._observer.observe(tracked, at)) as arriving:
            async for arrived in arriving:
                await self._publisher.publish(arrived)

    async def _receive(self, keys: Sequence[str]) -> None:
        self._ownership.note_published(await self._publisher.receive(keys))

    def _forecast_soon(self, tracked: Tracked) -> None:
        # What another replica, or the process before this one, has forecast counts until the next tick.
        if tracked.began_anew or tracked.forecast is None:
            self._due_keys.add(tracked.key)
            self._forecasts_due.set()
        self.rehearsal.consider(tracked)


def _by_server(tracked: Iterable[Tracked]) -> list[list[Tracked]]:
    groups: dict[str, list[Tracked]] = {}
    for one in tracked:
        groups.setdefault(one.trigger.server_address, []).append(one)
    return list(groups.values())

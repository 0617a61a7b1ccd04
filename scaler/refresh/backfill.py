"""Filling a trigger's history: all of it when it is new, only the hole when its source was away.

Jobs wait in one queue and a bounded number of workers takes them: a day of fine samples first (with it a first
forecast is possible), weeks of coarse blocks after every trigger has its day.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import structlog

from scaler.clock import Clock
from scaler.errors import DependencyError, StoreUnavailable
from scaler.history import MetricSource
from scaler.refresh.tracked import Phase, Tracked
from scaler.series import Blocks
from scaler.store import Store
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

RETRY_SECONDS = 15.0
"""pause after a failed attempt; an open circuit of the source makes the next one cheap"""


@dataclass(order=True, slots=True)
class _Job:
    phase: Phase
    number: int
    tracked: Tracked = field(compare=False)
    since: float = field(compare=False, default=0.0)


class Backfill:
    """The queue and its workers. `on_filled` is called after each part that has arrived."""

    def __init__(
        self,
        source: MetricSource,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
        concurrency: int,
        on_filled: Callable[[Tracked], None],
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._concurrency = concurrency
        self._on_filled = on_filled
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._retries: set[asyncio.Task[None]] = set()

    def new(self, tracked: Tracked) -> None:
        """Fetch everything a new trigger lacks."""
        self._put(Phase.FINE, tracked)
        self._put(Phase.COARSE, tracked)

    def hole(self, tracked: Tracked, since: float) -> None:
        """Fetch what was missed between `since` and now."""
        self._put(Phase.HOLE, tracked, since)

    async def run(self) -> None:
        """Work until cancelled."""
        await asyncio.gather(*(self._work() for _ in range(self._concurrency)))

    def waiting(self) -> int:
        """How many jobs wait."""
        return self._jobs.qsize()

    def _put(self, phase: Phase, tracked: Tracked, since: float = 0.0) -> None:
        self._jobs.put_nowait(_Job(phase, next(self._numbers), tracked, since))

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            if job.tracked.key not in job.tracked.table:
                continue
            try:
                await self._fill(job)
            except DependencyError as error:
                job.tracked.backfill_error = str(error)
                self._telemetry.count("backfill_failed", phase=job.phase.name.lower())
                self._again_later(job)
                continue
            except Exception:
                log.exception("backfill_failed", namespace=job.tracked.trigger.namespace, name=job.tracked.trigger.name)
                job.tracked.backfill_error = "the history could not be read: see the log"
                self._telemetry.count("backfill_failed", phase=job.phase.name.lower())
                self._again_later(job)
                continue
            job.tracked.done.add(job.phase)
            job.tracked.backfill_error = ""
            self._on_filled(job.tracked)

    def _again_later(self, job: _Job) -> None:
        async def wait() -> None:
            await self._clock.sleep_until(self._clock.now() + RETRY_SECONDS)
            self._jobs.put_nowait(job)

        task = asyncio.create_task(wait())
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _fill(self, job: _Job) -> None:
        tracked, now = job.tracked, self._clock.now()
        if job.phase is Phase.FINE:
            await self._fill_fine(tracked, now - tracked.forecaster.grid.fine_span_seconds, now)
        elif job.phase is Phase.COARSE:
            await self._fill_coarse(tracked, now)
        else:
            await self._fill_hole(tracked, job.since, now)

    async def _fill_fine(self, tracked: Tracked, start: float, end: float) -> None:
        step = tracked.query_step_seconds
        aligned_start = (start // step) * step
        samples = await self._source.samples(tracked.trigger, aligned_start, end, step)
        if tracked.key in tracked.table:
            tracked.table.backfill(tracked.key, samples, hold_seconds=step)

    async def _fill_coarse(self, tracked: Tracked, now: float) -> None:
        """Stored blocks first, then those the source still has and the store has not."""
        block = tracked.forecaster.grid.coarse_seconds
        stored = await self._stored(tracked, now - tracked.forecaster.grid.coarse_span_seconds)
        since = now - min(tracked.trigger.history_window_seconds, tracked.forecaster.grid.coarse_span_seconds)
        if stored is not None and len(stored.starts):
            tracked.table.backfill_blocks(tracked.key, stored)
            since = max(since, _first_hole(stored, since, now, block))
        fetched = await self._source.blocks(tracked.trigger, since, now, block)
        if tracked.key in tracked.table:
            tracked.table.backfill_blocks(tracked.key, fetched)

    async def _fill_hole(self, tracked: Tracked, since: float, now: float) -> None:
        grid = tracked.forecaster.grid
        await self._fill_fine(tracked, max(since, now - grid.fine_span_seconds), now)
        if now - since > grid.coarse_seconds:
            blocks = await self._source.blocks(tracked.trigger, since - grid.coarse_seconds, now, grid.coarse_seconds)
            if tracked.key in tracked.table:
                tracked.table.backfill_blocks(tracked.key, blocks)

    async def _stored(self, tracked: Tracked, since: float) -> Blocks | None:
        try:
            found = await self._store.load_blocks([tracked.key], tracked.forecaster.grid.coarse_seconds, since)
        except StoreUnavailable:  # scaler/refresh/checkpoint.py tells of it, once
            return None
        return found.get(tracked.key)


def _first_hole(stored: Blocks, since: float, now: float, block: float) -> float:
    """Start of the first block in [since, now] that is not stored."""
    wanted = np.arange((since // block) * block, now, block)
    missing = wanted[~np.isin(wanted, stored.starts)]
    return float(missing[0]) if len(missing) else now

"""Filling a trigger's history: all of it when it is new, only the hole when its source was away.

Jobs wait in one queue: a day of fine samples first (with it a first forecast is possible), weeks of coarse blocks after
every trigger has its day, what failed before behind all that is new. Servers and namespaces take turns, each with its
share of the workers (workers.py).
"""

import asyncio
import random
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from scaler.clock import Clock
from scaler.errors import AmbiguousDemand, DependencyError, SourceRefused, StoreUnavailable
from scaler.history import MetricSource
from scaler.history.fair_queue import FairQueue
from scaler.history.minutes import KEPT_MINUTES, local_minutes
from scaler.refresh.combining import Combining
from scaler.refresh.local_time import utc_offsets_at
from scaler.refresh.restoring import MinuteRestoring
from scaler.refresh.spans import Span, joined, missing
from scaler.refresh.tracked import Phase, Tracked
from scaler.refresh.workers import Owner, Workers
from scaler.series import DAY_MINUTES, Blocks, Gap, Samples
from scaler.store import Store
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Mode

log = structlog.get_logger()

RETRY_SECONDS = 15.0
"""pause after the first failed attempt; it doubles with each further one"""
LONGEST_OUTAGE_PAUSE_SECONDS = 120.0
"""while the source does not answer: it may be back at any moment, and its open circuit makes an attempt cheap"""
DAY_SECONDS = 60.0 * DAY_MINUTES
STORE_PAUSE_SECONDS = 30.0
"""how long the database is not asked for history after it did not answer"""
MOST_LOGGED_GAPS = 5
LONGEST_REFUSAL_PAUSE_SECONDS = 3600.0
"""while the source refuses: somebody must change the query, the access or a limit first"""


@dataclass(slots=True)
class _Job:
    phase: Phase
    tracked: Tracked
    since: float = 0.0
    attempts: int = 0
    """failed so far"""

    @property
    def owner(self) -> Owner:
        return Owner(self.tracked.trigger.server_address, self.tracked.trigger.namespace)

    @property
    def rank(self) -> int:
        """What failed waits behind all that is new."""
        return len(Phase) if self.attempts else self.phase


@dataclass(slots=True)
class BackfillState:
    """How far the history of triggers is. `oldest`: since when the one that waits longest waits; 0 when all is done."""

    done: int = 0
    waiting: int = 0
    failing: int = 0
    oldest: float = 0.0

    def add(self, tracked: Iterable[Tracked]) -> None:
        """Count these triggers, too."""
        for one in tracked:
            if one.backfill_errors:
                self.failing += 1
            elif one.wanted_since:
                self.waiting += 1
            else:
                self.done += 1
            if one.wanted_since:
                since = min(one.wanted_since.values())
                self.oldest = min(self.oldest, since) if self.oldest else since


class Backfill:
    """The queue and its workers, `per_server` for each server. `on_filled` is called after each part that arrived."""

    def __init__(
        self,
        source: MetricSource,
        store: Store,
        combining: Combining,
        clock: Clock,
        telemetry: Telemetry,
        per_server: int,
        on_filled: Callable[[Tracked], None],
    ) -> None:
        self._source = source
        self._store = store
        self._combining = combining
        self._clock = clock
        self._telemetry = telemetry
        self._on_filled = on_filled
        self._jobs: OrderedDict[str, FairQueue[str, _Job]] = OrderedDict()
        """by server, in the order of their turns: what waits for a busy one costs the others nothing"""
        self._workers = Workers(per_server)
        self._running: asyncio.TaskGroup | None = None
        self._queued: Counter[Phase] = Counter()
        self._retries: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)
        """by the trigger's key: parts of its history that wait for another attempt"""
        self._store_away_until = 0.0
        self._restoring = MinuteRestoring(store, combining, clock, partial(self._put, Phase.MINUTES))

    def new(self, tracked: Tracked) -> None:
        """Fetch everything a new trigger lacks."""
        self._put(Phase.FINE, tracked)
        self._put(Phase.COARSE, tracked)
        if tracked.trigger.mode is not Mode.REACTIVE:
            tracked.wanted_since.setdefault(Phase.MINUTES, self._clock.now())
            self._restoring.want(tracked)

    def forget(self, key: str) -> None:
        """Try nothing again for a trigger that is no longer watched: a pause of an hour would keep its memory."""
        for retry in self._retries.pop(key, ()):
            retry.cancel()

    def hole(self, tracked: Tracked, since: float) -> None:
        """Fetch what was missed between `since` and now."""
        self._put(Phase.HOLE, tracked, since)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._running:
                self._start_more()
                await self._restoring.run()
        finally:
            self._running = None

    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(map(len, self._jobs.values())) + len(self._restoring)

    def waiting_by_phase(self) -> Mapping[Phase, int]:
        """How many jobs of each phase wait; those that pause after a failure do not."""
        return {phase: self._queued[phase] + len(self._restoring) * (phase is Phase.MINUTES) for phase in Phase}

    def _put(self, phase: Phase, tracked: Tracked, since: float = 0.0) -> None:
        tracked.wanted_since.setdefault(phase, self._clock.now())
        self._enqueue(_Job(phase, tracked, since))

    def _enqueue(self, job: _Job) -> None:
        self._queued[job.phase] += 1
        server, namespace = job.owner
        self._jobs.setdefault(server, FairQueue()).put(namespace, job, job.rank)
        self._starts_one(server)

    def _start_more(self) -> None:
        while any(map(self._starts_one, list(self._jobs))):
            pass

    def _starts_one(self, server: str) -> bool:
        """Whether a job of this server could begin; its next turn comes after the other servers'."""
        if self._running is None or not self._workers.is_open(server):
            return False
        next_one = self._jobs[server].take(lambda namespace: self._workers.may_start(Owner(server, namespace)))
        if next_one is None:
            return False
        self._jobs.move_to_end(server)
        if not self._jobs[server]:
            del self._jobs[server]
        namespace, job = next_one
        self._queued[job.phase] -= 1
        if job.tracked.key in job.tracked.table:
            self._workers.start(Owner(server, namespace))
            self._running.create_task(self._work(Owner(server, namespace), job))
        return True

    async def _work(self, owner: Owner, job: _Job) -> None:
        answered = True
        try:
            await self._fill(job)
        except DependencyError as error:
            answered = is_refusal = isinstance(error, SourceRefused | AmbiguousDemand)
            self._note_failure(job, str(error), is_refusal)
        except Exception:  # a fault of ours in one history must not end the backfill of all
            log.exception("backfill_failed", namespace=job.tracked.trigger.namespace, name=job.tracked.trigger.name)
            self._note_failure(job, "the history could not be read: see the log", is_refusal=True)
        else:
            self._note_success(job)
        finally:
            self._workers.end(owner, answered=answered)
        self._start_more()

    def _note_success(self, job: _Job) -> None:
        tracked = job.tracked
        tracked.done.add(job.phase)
        tracked.wanted_since.pop(job.phase, None)
        tracked.backfill_errors.pop(job.phase, None)
        tracked.retry_at.pop(job.phase, None)
        self._on_filled(tracked)
        if any(gap.may_close for gap in tracked.gaps.get(job.phase, ())):
            self._again_later(job, is_refusal=True)

    def _note_failure(self, job: _Job, error: str, is_refusal: bool) -> None:
        tracked = job.tracked
        self._telemetry.count("backfill_failed", phase=job.phase.name.lower())
        if tracked.backfill_errors.get(job.phase) != error:
            _log_missing(job, error)
        tracked.backfill_errors[job.phase] = error
        self._again_later(job, is_refusal)

    def _again_later(self, job: _Job, is_refusal: bool) -> None:
        if job.tracked.key not in job.tracked.table:
            return  # it was forgotten while it was asked
        job.attempts += 1
        pause = retry_seconds(job.attempts, is_refusal) * random.uniform(1.0, 1.1)
        job.tracked.retry_at[job.phase] = self._clock.now() + pause
        self._again_at(job.tracked.retry_at[job.phase], job)

    def _again_at(self, moment: float, job: _Job) -> None:
        async def wait() -> None:
            await self._clock.sleep_until(moment)
            self._enqueue(job)

        task = asyncio.create_task(wait())
        self._retries[job.tracked.key].add(task)
        task.add_done_callback(partial(self._retried, job.tracked.key))

    def _retried(self, key: str, task: asyncio.Task[None]) -> None:
        waiting = self._retries.get(key)
        if waiting is not None:
            waiting.discard(task)
            if not waiting:
                del self._retries[key]

    async def _fill(self, job: _Job) -> None:
        tracked, now = job.tracked, self._clock.now()
        if job.phase is Phase.FINE:
            gaps = await self._fill_fine(tracked, now - tracked.forecaster.grid.fine_span_seconds, now)
        elif job.phase is Phase.COARSE:
            gaps = await self._fill_coarse(tracked, now)
        elif job.phase is Phase.MINUTES:
            gaps = await self._fill_minutes(tracked, now)
        else:
            gaps = await self._fill_hole(tracked, job.since, now)
        _note_gaps(tracked, job.phase, gaps)

    async def _fill_fine(self, tracked: Tracked, start: float, end: float) -> tuple[Gap, ...]:
        step = tracked.query_step_seconds
        aligned_start = (start // step) * step
        samples = await self._source.samples(tracked.trigger, aligned_start, end, step)
        if tracked.key in tracked.table:
            tracked.table.backfill(tracked.key, samples, hold_seconds=step)
            self._remember(tracked, samples, step, (aligned_start, end))
        return samples.gaps

    async def _fill_minutes(self, tracked: Tracked, now: float) -> tuple[Gap, ...]:
        """The minutes of past days that are neither stored nor fetched yet, a day at a time, the last one first: what
        is there helps at once."""
        step = max(60.0, tracked.query_step_seconds)
        start = now - min(tracked.trigger.history_window_seconds, 60.0 * KEPT_MINUTES)
        end = tracked.wanted_since.get(Phase.MINUTES, now)  # what came later is observed
        gaps: tuple[Gap, ...] = ()
        for first, last in missing(tracked.known_minutes, (start, end), DAY_SECONDS):
            samples = await self._source.samples(tracked.trigger, first // step * step, last, step)
            if tracked.key in tracked.table:
                self._remember(tracked, samples, step, (first, last))
                self._store_soon(tracked, (first, last))
            gaps = samples.gaps + gaps
        return gaps

    def _remember(self, tracked: Tracked, samples: Samples, step: float, asked: Span) -> None:
        zone = tracked.trigger.timezone
        self._combining.remember(tracked.key, samples, utc_offsets_at(zone, samples.times), step)
        if not any(gap.may_close for gap in samples.gaps):
            tracked.known_minutes = joined([*tracked.known_minutes, asked])

    def _store_soon(self, tracked: Tracked, span: Span) -> None:
        """Also days without demand, so that they are not fetched again."""
        minutes = local_minutes(np.array(span), utc_offsets_at(tracked.trigger.timezone, np.array(span)))
        first, last = (minutes // DAY_MINUTES).tolist()
        self._combining.memory.mark_changed(tracked.key, range(first, last + 1))
        tracked.minutes_due = 0.0

    async def _fill_coarse(self, tracked: Tracked, now: float) -> tuple[Gap, ...]:
        """Stored blocks first, then those the source still has and the store has not."""
        block = tracked.forecaster.grid.coarse_seconds
        stored = await self._stored(tracked, now)
        since = now - min(tracked.trigger.history_window_seconds, tracked.forecaster.grid.coarse_span_seconds)
        if stored is not None and len(stored.starts) and tracked.key in tracked.table:
            tracked.table.backfill_blocks(tracked.key, stored)
            since = max(since, _first_hole(stored, since, now, block))
        return await self._fill_blocks(tracked, since, now)

    async def _fill_hole(self, tracked: Tracked, since: float, now: float) -> tuple[Gap, ...]:
        grid = tracked.forecaster.grid
        gaps = await self._fill_fine(tracked, max(since, now - grid.fine_span_seconds), now)
        if now - since > grid.coarse_seconds:
            gaps += await self._fill_blocks(tracked, since - grid.coarse_seconds, now)
        return gaps

    async def _fill_blocks(self, tracked: Tracked, since: float, now: float) -> tuple[Gap, ...]:
        fetched = await self._source.blocks(tracked.trigger, since, now, tracked.forecaster.grid.coarse_seconds)
        if tracked.key in tracked.table:
            tracked.table.backfill_blocks(tracked.key, fetched)
        return fetched.gaps

    async def _stored(self, tracked: Tracked, now: float) -> Blocks | None:
        """What the database holds; None where it does not answer, and for a while after that: each wait for it would
        delay all that is fetched."""
        if now < self._store_away_until:
            return None
        key, grid = tracked.trigger.history_key, tracked.forecaster.grid
        try:
            found = await self._store.load_blocks([key], grid.coarse_seconds, now - grid.coarse_span_seconds)
        except StoreUnavailable:  # scaler/refresh/checkpoint.py logs it
            self._store_away_until = self._clock.now() + STORE_PAUSE_SECONDS
            return None
        return found.get(key)


def retry_seconds(attempts: int, is_refusal: bool) -> float:
    """The pause after `attempts` failed attempts: 15 s, 30 s, … up to 2 minutes or an hour.

    | failed attempts      | 1  | 2  | 3  | 4   | 5   | 9    |
    | the source is down   | 15 | 30 | 60 | 120 | 120 | 120  |
    | the source refuses   | 15 | 30 | 60 | 120 | 240 | 3600 |
    """
    longest = LONGEST_REFUSAL_PAUSE_SECONDS if is_refusal else LONGEST_OUTAGE_PAUSE_SECONDS
    return min(longest, RETRY_SECONDS * 2.0 ** min(attempts - 1, 20))


def _note_gaps(tracked: Tracked, phase: Phase, gaps: tuple[Gap, ...]) -> None:
    """Remember what the source could not answer; the log shows each reason once."""
    gaps = tuple(dict.fromkeys(gaps))
    if {gap.why for gap in gaps} - {gap.why for known in tracked.gaps.values() for gap in known}:
        log.warning(
            "history_gaps",
            namespace=tracked.trigger.namespace,
            name=tracked.trigger.name,
            phase=phase.name.lower(),
            gaps=list(map(str, gaps[:MOST_LOGGED_GAPS])),
            more=max(0, len(gaps) - MOST_LOGGED_GAPS),
        )
    tracked.gaps[phase] = gaps


def _log_missing(job: _Job, error: str) -> None:
    trigger = job.tracked.trigger
    log.warning(
        "history_missing", namespace=trigger.namespace, name=trigger.name, phase=job.phase.name.lower(), error=error
    )


def _first_hole(stored: Blocks, since: float, now: float, block: float) -> float:
    """Start of the first block in [since, now] that is not stored."""
    wanted = np.arange((since // block) * block, now, block)
    missing = wanted[~np.isin(wanted, stored.starts)]
    return float(missing[0]) if len(missing) else now

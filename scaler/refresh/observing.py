"""The newest demand of each trigger, from its source into the history tables.

One round asks one server. It ends at its deadline: what has not been answered by then counts when it comes, and is not
asked again meanwhile.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import DependencyError
from scaler.history import ROUND_SHARE, MetricSource
from scaler.history.answers import NotAsked
from scaler.refresh.backfill import Backfill
from scaler.refresh.combining import Combining
from scaler.refresh.local_time import utc_offsets
from scaler.refresh.tracked import Tracked
from scaler.registry import Registry
from scaler.telemetry.metrics import Telemetry
from scaler.trigger.server_address import redact

log = structlog.get_logger()

HOLE_INTERVALS = 2.5
"""refresh intervals without an observation, after which the missing history is fetched"""

MOST_SERVERS = 100
"""servers whose errors have a label of their own; the others share one, because an allow-list may have a `*`"""

AT_A_TIME = 256
"""observations recorded before other work of the event loop gets its turn"""


@dataclass(slots=True)
class _Round:
    """One look at the triggers of one server."""

    tracked: Sequence[Tracked]
    at: float
    is_open: bool = True
    """whether somebody takes what arrives"""
    arrived: asyncio.Queue[list[Tracked] | None] = field(default_factory=asyncio.Queue)
    """triggers whose answers are recorded; None at the end, which is the deadline at the latest"""
    changes: list[tuple[Tracked, str, float | DependencyError]] = field(default_factory=list)

    async def groups(self) -> AsyncGenerator[list[Tracked], None]:
        """All that has arrived, as often as there is something, until the end."""
        while (group := await self.arrived.get()) is not None:
            is_last = False
            while not (is_last or self.arrived.empty()):
                more = self.arrived.get_nowait()
                is_last = more is None
                group = group + (more or [])
            yield group
            if is_last:
                return


class Observer:
    """Reads the newest demand of triggers, and records it or why it is missing.

    `on_late` gets the triggers whose answers came after the deadline of their round.
    """

    def __init__(
        self,
        source: MetricSource,
        registry: Registry,
        combining: Combining,
        backfill: Backfill,
        clock: Clock,
        telemetry: Telemetry,
        interval_seconds: float,
        on_late: Callable[[Sequence[Tracked]], Awaitable[None]],
    ) -> None:
        self._source = source
        self._registry = registry
        self._combining = combining
        self._backfill = backfill
        self._clock = clock
        self._telemetry = telemetry
        self._on_late = on_late
        self._round_seconds = ROUND_SHARE * interval_seconds
        self._under_way: dict[str, Tracked] = {}
        """asked and not answered yet"""
        self._tasks: set[asyncio.Task[None]] = set()
        self._hole_seconds = HOLE_INTERVALS * interval_seconds
        self._counted: set[str] = set()

    async def observe(self, tracked: Sequence[Tracked], at: float) -> AsyncGenerator[list[Tracked], None]:
        """The triggers in groups, each when the demand of its members at the moment `at` is recorded, or their error.

        Those that an earlier round still waits for come first, without news; those that the source has not answered
        by the deadline of this round come last. Whoever was not asked in the last rounds is asked first.
        """
        earlier = [t for t in tracked if self._is_under_way(t)] if self._under_way else []
        if earlier:
            yield earlier
        others = [t for t in tracked if not self._is_under_way(t)] if self._under_way else tracked
        asked = sorted(others, key=lambda t: -t.unasked)
        if not asked:
            return
        one = _Round(asked, at)
        self._under_way |= {t.key: t for t in asked}
        reading, deadline = self._start(self._read(one)), self._start(self._end_at_deadline(one))
        yielded: set[str] = set()
        try:
            async for group in one.groups():
                yielded.update(t.key for t in group)
                yield group
            if reading.done():
                reading.result()
        finally:
            one.is_open = False
            deadline.cancel()
        left = [t for t in asked if t.key not in yielded]  # an answer at the very deadline is recorded, and in no group
        if left:
            self._telemetry.count("observe_deadline")
            yield left

    def close(self) -> None:
        """Stop waiting for answers."""
        for task in self._tasks:
            task.cancel()

    def _is_under_way(self, tracked: Tracked) -> bool:
        return self._under_way.get(tracked.key) is tracked

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_at_deadline(self, one: _Round) -> None:
        await self._clock.sleep_until(self._clock.now() + self._round_seconds)
        one.arrived.put_nowait(None)

    async def _read(self, one: _Round) -> None:
        try:
            with self._telemetry.step("observe"):
                async with aclosing(self._source.observe([t.trigger for t in one.tracked], one.at)) as parts:
                    async for part in parts:
                        for chunk in chunks(part, AT_A_TIME):
                            await self._take(one, [(one.tracked[i], result) for i, result in chunk])
            _log_changes(one.changes)
        except Exception:
            if one.is_open:
                raise
            log.exception("refresh_failed", at=one.at)
        finally:
            self._answered(one.tracked)
            one.arrived.put_nowait(None)

    async def _take(self, one: _Round, results: Sequence[tuple[Tracked, float | DependencyError]]) -> None:
        one.changes += [(t, t.error, result) for t, result in results]
        self._record(results, one.at)
        members = [t for t, _ in results]
        self._answered(members)
        if one.is_open:
            one.arrived.put_nowait(members)
            await asyncio.sleep(0)
        else:
            await self._on_late(members)

    def _answered(self, tracked: Sequence[Tracked]) -> None:
        for one in tracked:
            if self._is_under_way(one):
                del self._under_way[one.key]

    def _record(self, results: Sequence[tuple[Tracked, float | DependencyError]], at: float) -> None:
        observed = []
        errors: Counter[tuple[str, str]] = Counter()
        for tracked, result in results:
            if tracked.key not in tracked.table:
                continue  # dropped while the source was queried
            tracked.unasked = tracked.unasked + 1 if isinstance(result, NotAsked) else 0
            if isinstance(result, DependencyError):
                self._record_error(tracked, result)
                errors[tracked.trigger.server_address, type(result).__name__] += 1
            else:
                observed.append((tracked, result))
                self._record_success(tracked, at)
        for (server, kind), count in errors.items():
            self._telemetry.count("source_error", count, server=self._label(server), kind=kind)
        for table in {id(t.table): t.table for t, _ in observed}.values():
            rows = [(t, value) for t, value in observed if t.table is table]
            keys, values_N = [t.key for t, _ in rows], np.array([value for _, value in rows], dtype=np.float32)
            table.put(keys, values_N, at)
            self._combining.observe(keys, values_N, at, utc_offsets([t.trigger.timezone for t, _ in rows], at))

    def _label(self, server: str) -> str:
        shown = redact(server)
        if len(self._counted) < MOST_SERVERS:
            self._counted.add(shown)
        return shown if shown in self._counted else "others"

    def _record_success(self, tracked: Tracked, at: float) -> None:
        if tracked.heard_at and at - tracked.heard_at > self._hole_seconds:
            self._backfill.hole(tracked, tracked.heard_at)
        tracked.heard_at = at
        tracked.error = ""

    def _record_error(self, tracked: Tracked, error: DependencyError) -> None:
        tracked.error = str(error)
        if tracked.observation is None and tracked.forecast is None:
            self._registry.fail(tracked.key, error)


def _log_changes(observed: Sequence[tuple[Tracked, str, float | DependencyError]]) -> None:
    """One line per kind of new error, however many triggers have it, and one for those that recovered."""
    failing: dict[str, list[Tracked]] = {}
    for tracked, before, result in observed:
        if isinstance(result, DependencyError) and tracked.error != before:
            failing.setdefault(type(result).__name__, []).append(tracked)
    for kind, members in failing.items():
        first = members[0]
        log.warning(
            "observation_failed",
            kind=kind,
            triggers=len(members),
            namespace=first.trigger.namespace,
            name=first.trigger.name,
            error=first.error,
        )
    recovered = sum(bool(before) and not tracked.error for tracked, before, _ in observed)
    if recovered:
        log.info("observation_back", triggers=recovered)

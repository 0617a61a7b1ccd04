"""The newest demand of each trigger, from its source into the history tables."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import structlog

from scaler.chunks import chunks
from scaler.errors import DependencyError
from scaler.history import MetricSource
from scaler.refresh.backfill import Backfill
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


class Observer:
    """Reads the newest demand of triggers, and records it or why it is missing."""

    def __init__(
        self,
        source: MetricSource,
        registry: Registry,
        backfill: Backfill,
        telemetry: Telemetry,
        interval_seconds: float,
    ) -> None:
        self._source = source
        self._registry = registry
        self._backfill = backfill
        self._telemetry = telemetry
        self._hole_seconds = HOLE_INTERVALS * interval_seconds
        self._counted: set[str] = set()

    async def observe(self, tracked: Sequence[Tracked], at: float) -> None:
        """Record the demand of each trigger at the moment `at`; a trigger that fails keeps the source's error."""
        with self._telemetry.step("observe"):
            results = await self._source.observe([t.trigger for t in tracked], at)
        errors_before = {t.key: t.error for t in tracked}
        pairs = list(zip(tracked, results, strict=True))
        for chunk in chunks(pairs, AT_A_TIME):
            self._record(chunk, at)
            await asyncio.sleep(0)
        _log_changes([(t, errors_before[t.key], result) for t, result in pairs])

    def _record(self, results: Sequence[tuple[Tracked, float | DependencyError]], at: float) -> None:
        observed = []
        errors: Counter[tuple[str, str]] = Counter()
        for tracked, result in results:
            if tracked.key not in tracked.table:
                continue  # dropped while the source was queried
            if isinstance(result, DependencyError):
                self._record_error(tracked, result)
                errors[tracked.trigger.server_address, type(result).__name__] += 1
            else:
                observed.append((tracked, result))
                self._record_success(tracked, at)
        for (server, kind), count in errors.items():
            self._telemetry.count("source_error", count, server=self._label(server), kind=kind)
        for table in {id(t.table): t.table for t, _ in observed}.values():
            rows = [(t.key, value) for t, value in observed if t.table is table]
            table.put([key for key, _ in rows], np.array([value for _, value in rows], dtype=np.float32), at)

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

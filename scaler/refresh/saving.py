"""The long history on its way into the store: complete blocks, once; and all of it where the store has lost pages."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.registry import Registry
from scaler.series import Blocks
from scaler.store import Store
from scaler.store.pages import PAGE_BLOCKS

log = structlog.get_logger()

CHUNK = 256


class HistoryWriter:
    """Saves what is new. It trusts the store to keep it only as long as the store still has it."""

    def __init__(self, registry: Registry, tracking: Tracking, store: Store, clock: Clock) -> None:
        self.waiting = 0
        """triggers with blocks that are not stored yet"""
        self._registry = registry
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._saved_until: dict[str, float] = {}
        """start of the newest stored block, by trigger"""

    async def write(self) -> bool:
        """Save every complete block that is not stored yet; whether there was one. Raises StoreUnavailable."""
        saved = False
        due_by_block = self.due_by_block()
        self.waiting = sum(map(len, due_by_block.values()))
        for block_seconds, due in due_by_block.items():
            for chunk in chunks(due, CHUNK):
                saved |= await self._write(chunk, block_seconds)
                self.waiting -= len(chunk)
                await asyncio.sleep(0)
        return saved

    def due_by_block(self) -> dict[int, list[Tracked]]:
        """Refreshed triggers that may have complete blocks which are not stored yet, by the length of a block."""
        due: dict[int, list[Tracked]] = {}
        for registration in self._registry:
            tracked = self._tracking.get(registration.trigger.key)
            if tracked is None or Phase.COARSE not in tracked.done:
                continue
            block = tracked.forecaster.grid.coarse_seconds
            newest_complete = (self._clock.now() // block - 1) * block
            if self._saved_until.get(tracked.key, 0.0) < newest_complete:
                due.setdefault(block, []).append(tracked)
        return due

    def forget(self) -> None:
        """Trust that nothing is stored."""
        self._saved_until.clear()

    def drop_forgotten(self) -> None:
        """Keep nothing of triggers that are no longer watched."""
        for key in [key for key in self._saved_until if key not in self._registry]:
            del self._saved_until[key]

    async def _write(self, due: Sequence[Tracked], block_seconds: int) -> bool:
        known = {t.key: t.table.blocks_of(t.key) for t in due if t.key in t.table}
        due = [t for t in due if t.key in known and _newest(known[t.key]) > self._saved_until.get(t.key, 0.0)]
        if not due:
            return False
        keep_since = self._clock.now() - max(t.forecaster.grid.coarse_span_seconds for t in due)
        await self._notice_losses(due, known, block_seconds, keep_since)
        new = {t.trigger.history_key: self._unsaved(t.key, known[t.key], block_seconds) for t in due}
        await self._store.save_blocks(new, block_seconds, keep_since)
        self._saved_until.update({t.key: _newest(known[t.key]) for t in due})
        return True

    def _unsaved(self, key: str, known: Blocks, block_seconds: int) -> Blocks:
        """What is new, with all that is known of the first page that changes."""
        page = block_seconds * PAGE_BLOCKS
        wanted = known.starts >= self._saved_until.get(key, 0.0) // page * page
        return Blocks(known.starts[wanted], known.mean[wanted], known.max[wanted])

    async def _notice_losses(
        self, due: Sequence[Tracked], known: Mapping[str, Blocks], block_seconds: int, keep_since: float
    ) -> None:
        """Forget that a history was saved where pages of it are gone: another process, or a person, removed them."""
        saved = [t for t in due if t.key in self._saved_until]
        if not saved:
            return
        page = block_seconds * PAGE_BLOCKS
        keys = [t.trigger.history_key for t in saved]
        stored = await self._store.page_counts(keys, block_seconds, keep_since, self._clock.now())
        for t in saved:
            starts = known[t.key].starts
            counted = starts[(starts // page >= keep_since // page) & (starts <= self._saved_until[t.key])]
            if stored.get(t.trigger.history_key, 0) < len(np.unique(counted // page)):
                log.warning("history_lost", namespace=t.trigger.namespace, name=t.trigger.name)
                del self._saved_until[t.key]


def _newest(blocks: Blocks) -> float:
    return float(blocks.starts[-1]) if len(blocks.starts) else 0.0

"""The history of all triggers that share a grid, in pooled float32 arrays: about 28 kB per trigger on the default grid.

No clock and no I/O. Every method takes the table's lock for as long as it computes, so a worker thread may take
batches while the event loop puts observations.
"""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.history.grid import Slots
from scaler.history.page import ROWS, Page
from scaler.pool import Integers, Pool
from scaler.series import Blocks, Floats, Grid, HistoryBatch, Samples


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a trigger's history is known, in steps and blocks of the grid."""

    steps: int
    blocks: int


class HistoryTable:
    """What is known of each trigger's demand, on the two resolutions of a grid.

    The newest hour is kept per slot (one per refresh) and read in steps backwards from the newest slot, so every
    refresh sees a rolling step; older history is kept per clock-aligned step. A step without its own sample is known
    by the last one within it. Blocks are completed from steps as the clock passes their end.
    """

    def __init__(self, grid: Grid, slot_seconds: float) -> None:
        self.grid = grid
        self._slots = Slots(grid, slot_seconds)
        self._pool = Pool(ROWS, lambda: Page(self._slots), Page.clear)
        self._now: int | None = None
        self._end = math.nan
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pool)

    def __contains__(self, key: str) -> bool:
        return key in self._pool

    @property
    def bytes_per_trigger(self) -> int:
        """What one trigger adds to the arrays, in bytes."""
        return Page.bytes_per_row(self._slots)

    def add(self, key: str) -> None:
        """Keep history for `key` from now on; nothing is known of it yet. Adding it again changes nothing."""
        with self._lock:
            self._pool.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`. A page of rows is given back to the system when its last row is free."""
        with self._lock:
            self._pool.remove(key)

    def advance(self, at: float) -> None:
        """Move all rings to the slot of `at`; what was skipped is unknown. Time does not go backwards."""
        with self._lock:
            self._advance(at)

    def put(self, keys: Sequence[str], values: Floats, at: float) -> None:
        """Demand observed at the moment `at`; NaN where it is missing. Keys removed meanwhile are ignored.

        Moves on to `at` when it is new; a value older than an hour or than what the rings hold is ignored.
        """
        with self._lock:
            now = self._advance(at)
            slot = self._slots.slot_of(at)
            if slot <= now - self._slots.slots_kept:
                return
            rows, where = self._pool.rows_of(keys)
            values = np.asarray(values, np.float32)[where]
            finite = np.isfinite(values)
            for page, local, position in self._pool.by_page(rows[finite]):
                page.put(local, values[finite][position], slot, now, at)

    def backfill(self, key: str, samples: Samples, hold_seconds: float) -> None:
        """Fill what is unknown from samples; each is held forwards for at most `hold_seconds`, never backwards."""
        hold_slots = math.floor(hold_seconds / self._slots.slot_seconds)
        with self._lock:
            page, row = self._pool.find(key)
            page.backfill(row, samples, hold_slots, self._moment())

    def backfill_blocks(self, key: str, blocks: Blocks) -> None:
        """Fill what is unknown of the long history; blocks that are too old or not complete yet are left out."""
        with self._lock:
            page, row = self._pool.find(key)
            page.backfill_blocks(row, blocks, self._moment())

    def batch(self, keys: Sequence[str], local_offsets_N: NDArray[np.int64]) -> HistoryBatch:
        """History of `keys`, all NaN for a key that is not kept. Offsets: seconds that local time is ahead of UTC."""
        history_NT = np.empty((len(keys), self.grid.steps), np.float32)
        long_history_NL2 = np.empty((len(keys), self.grid.coarse_steps, 2), np.float32)
        with self._lock:
            now, end = self._moment(), self._end
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                page.fine(local, now, history_NT, where[position])
                page.coarse(local, now, long_history_NL2, where[position])
        removed = np.setdiff1d(np.arange(len(keys)), where)
        history_NT[removed] = np.nan
        long_history_NL2[removed] = np.nan
        local_time_N = math.floor(end) + np.asarray(local_offsets_N, np.int64)
        return HistoryBatch(tuple(keys), end, history_NT, long_history_NL2, local_time_N)

    def recent_peak(self, keys: Sequence[str], seconds: float) -> Floats:
        """The largest demand of each in the last `seconds` (at most an hour is looked at); NaN without any."""
        count = min(max(1, math.ceil(seconds / self._slots.slot_seconds)), self._slots.slots_kept)
        return self._each(keys, lambda page, rows, now: page.recent_peak(rows, count, now))

    def history_peak(self, keys: Sequence[str]) -> Floats:
        """The largest demand of each in all that is kept; NaN without any."""
        return self._each(keys, lambda page, rows, now: page.peak(rows, now))

    def newest(self, keys: Sequence[str]) -> list[tuple[float, float]]:
        """When each was last known, and its demand then; both NaN where it never was."""
        values = np.full(len(keys), np.nan)
        moments = np.full(len(keys), np.nan)
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                values[where[position]] = page.newest[local]
                moments[where[position]] = page.newest_at[local]
        return list(zip(moments.tolist(), values.tolist(), strict=True))

    def blocks_of(self, key: str) -> Blocks:
        """The complete blocks of `key` that are known, oldest first."""
        with self._lock:
            page, row = self._pool.find(key)
            return page.known_blocks(row, self._moment())

    def coverage(self, key: str) -> Coverage:
        """How much of the history of `key` is known."""
        batch = self.batch([key], np.zeros(1, np.int64))
        steps = int(np.count_nonzero(~np.isnan(batch.history_NT)))
        blocks = int(np.count_nonzero(~np.isnan(batch.long_history_NL2[0, :, 0])))
        return Coverage(steps, blocks)

    def _advance(self, at: float) -> int:
        slot = self._slots.slot_of(at)
        if self._now is None or slot > self._now:
            if self._now is not None:
                for page in self._pool.pages():
                    page.advance(self._now, slot)
            self._now = slot
        self._end = at if math.isnan(self._end) else max(self._end, at)
        return self._now

    def _moment(self) -> int:
        if self._now is None:
            raise ValueError("the table has no moment yet: advance it first")
        return self._now

    def _each(self, keys: Sequence[str], ask: Callable[[Page, Integers, int], Floats]) -> Floats:
        answers = np.full(len(keys), np.nan, np.float32)
        with self._lock:
            now = self._moment() if len(self._pool) else 0
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                answers[where[position]] = ask(page, local, now)
        return answers

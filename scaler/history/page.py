"""The rows of a history table, a page of them at a time: rings of float32 that never move. Pure numpy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scaler.history.grid import Integers, Slots, held, last_known, summed_up
from scaler.series import Blocks, Floats, Samples

ROWS = 128
"""rows per page: small enough that a few triggers cost little, large enough that numpy does the work"""


class Page:
    """Rings of ROWS triggers. Slot n is in column n modulo the ring's length, and so are steps and blocks.

    slots [ROWS, slots kept], steps [ROWS, steps kept], blocks [ROWS, L, 2] (mean, max); NaN where nothing is known.
    """

    def __init__(self, slots: Slots) -> None:
        self._of = slots
        self.slots = np.full((ROWS, slots.slots_kept), np.nan, np.float32)
        self.steps = np.full((ROWS, slots.steps_kept), np.nan, np.float32)
        self.blocks = np.full((ROWS, slots.grid.coarse_steps, 2), np.nan, np.float32)
        self.newest = np.full(ROWS, np.nan, np.float32)
        self.newest_at = np.full(ROWS, np.nan)
        self._peak = np.full(ROWS, np.nan, np.float32)
        self._peak_block = np.full(ROWS, -1)  # the last complete block when the peak was taken

    @staticmethod
    def bytes_per_row(slots: Slots) -> int:
        return 4 * (slots.slots_kept + slots.steps_kept + 2 * slots.grid.coarse_steps + 2) + 16

    def clear(self, row: int) -> None:
        """Forget a row."""
        for ring in (self.slots, self.steps, self.blocks, self.newest, self.newest_at, self._peak):
            ring[row] = np.nan

    def advance(self, old: int, new: int) -> None:
        """Make room for the slots old + 1 … new; blocks that end on the way are completed from what is known."""
        open_block = self._of.block_of(old + 1)
        block_end = (open_block + 1) * self._of.per_block
        if new >= block_end:  # in two leaps, so that a long silence does not wipe the open block's steps first
            self._clear_slots(old, block_end)
            self.complete(np.arange(ROWS), open_block)
            old = block_end
        self._clear_slots(old, new)

    def _clear_slots(self, old: int, new: int) -> None:
        of = self._of
        _wipe(self.slots, old, new)
        _wipe(self.steps, of.step_of(old), of.step_of(new))
        _wipe(self.blocks, of.last_block(old), of.last_block(new))

    def put(self, rows: Integers, values: Floats, slot: int, now: int, at: float) -> None:
        """Known values for `slot`, which lies at most the ring's length before the newest slot `now`."""
        of = self._of
        self.slots[rows, slot % of.slots_kept] = values
        step = of.step_of(slot)
        if slot == now:
            self.steps[rows, step % of.steps_kept] = values
        else:
            own = np.arange(
                max((step - 1) * of.per_step + 1, now - of.slots_kept + 1), min(step * of.per_step, now) + 1
            )
            self.steps[rows, step % of.steps_kept] = last_known(self.slots[rows[:, None], own % of.slots_kept])
        if of.last_block(now) - of.grid.coarse_steps < of.block_of(slot) <= of.last_block(now):
            self.complete(rows, of.block_of(slot))
        self._note(rows, values, at)

    def complete(self, rows: Integers, block: int) -> None:
        """Sum up a block from its steps; where they do not suffice, what is known of it already stays."""
        columns = self._of.steps_of(block) % self._of.steps_kept
        summary = summed_up(self.steps[rows[:, None], columns])
        column = block % self._of.grid.coarse_steps
        self.blocks[rows, column] = np.where(np.isnan(summary), self.blocks[rows, column], summary)

    def backfill(self, row: int, samples: Samples, hold_slots: int, now: int) -> None:
        """Fill what is unknown of one row from samples, held forwards, and the blocks that follow from them."""
        of = self._of
        sample_slots = of.slots_of(samples.times)
        past = sample_slots <= now
        sample_slots, samples = sample_slots[past], Samples(samples.times[past], samples.values[past])
        if not len(sample_slots):
            return
        slots = np.arange(now - of.slots_kept + 1, now + 1)
        _fill(self.slots[row], slots, held(samples, sample_slots, slots, slots, hold_slots))
        steps = np.arange(of.step_of(now) - of.steps_kept + 1, of.step_of(now) + 1)
        ends = np.minimum(steps * of.per_step, now)
        _fill(self.steps[row], steps, held(samples, sample_slots, (steps - 1) * of.per_step + 1, ends, hold_slots))
        self._complete_from_steps(row, int(steps[0]), now)
        if not self.newest_at[row] >= samples.times[-1]:
            self.newest_at[row], self.newest[row] = samples.times[-1], samples.values[-1]
        self._peak_block[row] = -1

    def _complete_from_steps(self, row: int, first_step: int, now: int) -> None:
        per_block = self._of.steps_per_block
        first = -(-(first_step - 1) // per_block)
        count = self._of.last_block(now) - first + 1
        if count <= 0:
            return
        steps = np.arange(first * per_block + 1, (first + count) * per_block + 1) % self._of.steps_kept
        summary = summed_up(self.steps[row, steps].reshape(count, per_block))
        kept = slice(max(0, count - self._of.grid.coarse_steps), None)
        _fill(self.blocks[row], np.arange(first, first + count)[kept], summary[kept])

    def backfill_blocks(self, row: int, blocks: Blocks, now: int) -> None:
        """Fill what is unknown of one row's long history."""
        numbers = np.round(blocks.starts / self._of.grid.coarse_seconds).astype(np.int64)
        last = self._of.last_block(now)
        fits = (numbers <= last) & (numbers > last - self._of.grid.coarse_steps)
        _fill(self.blocks[row], numbers[fits], np.stack([blocks.mean, blocks.max], axis=-1)[fits])
        self._peak_block[row] = -1

    def known_blocks(self, row: int, now: int) -> Blocks:
        """The complete blocks of one row that are known."""
        numbers = np.arange(self._of.last_block(now) - self._of.grid.coarse_steps + 1, self._of.last_block(now) + 1)
        found = self.blocks[row, numbers % self._of.grid.coarse_steps]
        known = ~np.isnan(found[:, 0])
        starts = numbers[known] * float(self._of.grid.coarse_seconds)
        return Blocks(starts, found[known, 0].copy(), found[known, 1].copy())

    def fine(self, rows: Integers, now: int, out: Floats, where: Integers) -> None:
        """The fine history, oldest first, into out[where] [rows, T]: clock-aligned steps, then the rolling ones."""
        of = self._of
        rolling = of.rolling_steps
        older = of.grid.steps - rolling
        for target, source in _ring_slices(now // of.per_step - of.grid.steps + 1, older, of.steps_kept):
            out[where, target] = self.steps[rows, source]
        recent = np.empty((len(rows), of.slots_kept), np.float32)
        for target, source in _ring_slices(now - of.slots_kept + 1, of.slots_kept, of.slots_kept):
            recent[:, target] = self.slots[rows, source]
        out[where, older:] = last_known(recent.reshape(len(rows), rolling, of.per_step))

    def coarse(self, rows: Integers, now: int, out: Floats, where: Integers) -> None:
        """The long history, oldest first, into out[where] [rows, L, 2]."""
        kept = self._of.grid.coarse_steps
        for target, source in _ring_slices(self._of.last_block(now) - kept + 1, kept, kept):
            out[where, target] = self.blocks[rows, source]

    def recent_peak(self, rows: Integers, count: int, now: int) -> Floats:
        """The largest value in the newest `count` slots; NaN without any."""
        columns = np.arange(now - count + 1, now + 1) % self._of.slots_kept
        peaks: Floats = np.fmax.reduce(self.slots[rows[:, None], columns], axis=1)
        return peaks

    def peak(self, rows: Integers, now: int) -> Floats:
        """The largest value in all that is kept; what falls out of the rings is forgotten at the end of a block."""
        block = self._of.last_block(now)
        stale = rows[self._peak_block[rows] != block]
        if len(stale):
            rings = (self.slots[stale], self.steps[stale], self.blocks[stale, :, 1])
            self._peak[stale] = np.fmax.reduce([np.fmax.reduce(ring, axis=1) for ring in rings])
            self._peak_block[stale] = block
        return self._peak[rows]

    def _note(self, rows: Integers, values: Floats, at: float) -> None:
        newer = ~(self.newest_at[rows] > at)
        self.newest[rows[newer]] = values[newer]
        self.newest_at[rows[newer]] = at
        self._peak[rows] = np.fmax(self._peak[rows], values)


def _wipe(ring: NDArray[np.float32], old: int, new: int) -> None:
    """NaN into the columns of old + 1 … new."""
    length = ring.shape[1]
    if new > old:
        ring[:, np.arange(max(old, new - length) + 1, new + 1) % length] = np.nan


def _fill(ring: NDArray[np.float32], numbers: Integers, values: Floats) -> None:
    """`values` into one row's ring where it knows nothing."""
    columns = numbers % len(ring)
    ring[columns] = np.where(np.isnan(ring[columns]), values, ring[columns])


def _ring_slices(first: int, count: int, length: int) -> Iterator[tuple[slice, slice]]:
    """(where to, where from) of the numbers first … first + count - 1 in a ring: one or two plain slices."""
    start = first % length
    until_end = min(count, length - start)
    if until_end:
        yield slice(0, until_end), slice(start, start + until_end)
    if count > until_end:
        yield slice(until_end, count), slice(0, count - until_end)

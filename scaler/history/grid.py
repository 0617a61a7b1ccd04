"""The arithmetic of history on a grid: slots, steps and blocks, and what is known in each. Pure numpy.

Time is cut into *slots* (one per refresh), *steps* (a bundle's fine resolution) and *blocks* (its coarse one), all
numbered from the epoch. A step is a whole number of slots, a block a whole number of steps.

    slot n     is the moment n * slot_seconds; what is observed within [slot n, slot n + 1) counts for it
    step m     is known by the last known slot in (m - 1, m] steps
    block b    starts at b * coarse_seconds and covers steps b * steps_per_block + 1 … (b + 1) * steps_per_block
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats, Grid, Samples

SLOT_HISTORY_SECONDS = 3600
"""how long every slot is kept; what is older is kept per step"""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slots:
    """One grid with the slots that divide it."""

    grid: Grid
    slot_seconds: float

    def __post_init__(self) -> None:
        step, coarse = self.grid.step_seconds, self.grid.coarse_seconds
        if self.slot_seconds <= 0 or step % self.slot_seconds:
            raise ValueError(f"slot_seconds={self.slot_seconds:g}: the step of {step} s must be a multiple of it")
        if coarse % step:
            raise ValueError(f"coarse_seconds={coarse}: must be a multiple of the step of {step} s")

    @property
    def per_step(self) -> int:
        return round(self.grid.step_seconds / self.slot_seconds)

    @property
    def steps_per_block(self) -> int:
        return self.grid.coarse_seconds // self.grid.step_seconds

    @property
    def per_block(self) -> int:
        return self.per_step * self.steps_per_block

    @property
    def rolling_steps(self) -> int:
        """How many of the newest steps are taken backwards from the newest slot; older ones are clock-aligned."""
        return min(self.grid.steps, max(1, SLOT_HISTORY_SECONDS // self.grid.step_seconds))

    @property
    def slots_kept(self) -> int:
        return self.rolling_steps * self.per_step

    @property
    def steps_kept(self) -> int:
        """The history, the step that has begun, and room for the block that the oldest slot lies in."""
        return self.grid.steps + self.steps_per_block + 1

    def slot_of(self, moment: float) -> int:
        return math.floor(moment / self.slot_seconds)

    def slots_of(self, moments: NDArray[np.float64]) -> Integers:
        return np.floor(moments / self.slot_seconds).astype(np.int64)

    def step_of(self, slot: int) -> int:
        """The step that `slot` belongs to: the one that ends at it or next after it."""
        return -(-slot // self.per_step)

    def block_of(self, slot: int) -> int:
        """The block that `slot` belongs to."""
        return -(-slot // self.per_block) - 1

    def last_block(self, slot: int) -> int:
        """The last block that is complete at `slot`."""
        return slot // self.per_block - 1

    def steps_of(self, block: int) -> Integers:
        return np.arange(block * self.steps_per_block + 1, (block + 1) * self.steps_per_block + 1)


def last_known(values: Floats) -> Floats:
    """The last value along the last axis that is not NaN; NaN where there is none."""
    newest = values[..., -1]
    for back in range(2, values.shape[-1] + 1):
        newest = np.where(np.isnan(newest), values[..., -back], newest)
    return newest


def summed_up(steps: Floats) -> Floats:
    """Mean and max [..., 2] of the known steps of blocks [..., steps]; NaN where fewer than half are known.

    A block is made of steps, not of the finer slots, so that one lived through is like one that was backfilled.
    """
    known = ~np.isnan(steps)
    count = known.sum(axis=-1)
    enough = 2 * count >= steps.shape[-1]
    total = np.where(known, steps, 0).sum(axis=-1, dtype=np.float64)
    peak = np.where(known, steps, -np.inf).max(axis=-1)
    summary = np.stack([total / np.maximum(count, 1), peak], axis=-1).astype(np.float32)
    summary[~enough] = np.nan
    return summary


def held(samples: Samples, sample_slots: Integers, first: Integers, last: Integers, hold_slots: int) -> Floats:
    """The newest sample that counts somewhere in the slots first … last (arrays, one answer per pair); NaN without one.

    A sample counts for its slot and is held for `hold_slots` more, forwards only.
    """
    if not len(sample_slots):
        return np.full(len(last), np.nan, np.float32)
    newest = np.searchsorted(sample_slots, last, side="right") - 1
    reaches = (newest >= 0) & (sample_slots[newest] + hold_slots >= first)
    return np.where(reaches, samples.values[newest], np.nan).astype(np.float32)

"""Forecasts whose time has not come: for each lead, the last ones that were issued. Pure numpy.

A ring has `SLOTS` places, so of a lead of m minutes one forecast in (m + 2) / 15 minutes is kept: every minute up to 13
minutes, every fifth one of an hour.

Axes: N triggers, B buckets (`BUCKETS`), S slots, V values: quantiles at `losses.LEVELS`, and at the trigger's own.
"""

from typing import Final

import numpy as np

from scaler.pool import Integers
from scaler.scoring.losses import LEVELS
from scaler.series import Floats

LEADS_MINUTES: Final = (2, 5, 15, 60)
"""of the steps that are scored"""
BUCKETS: Final = (*(f"{minutes} min" for minutes in LEADS_MINUTES), "peak")
"""the last one: the largest demand over the time that a plan looks ahead"""
PEAK: Final = len(LEADS_MINUTES)
SLOTS = 16
_VALUES = len(LEVELS) + 1


class Pending:
    """Of `rows` triggers. Quantiles are half floats, as shares of the largest of a forecast."""

    def __init__(self, rows: int) -> None:
        shape = (rows, len(BUCKETS), SLOTS)
        self.minute = np.full(shape, -1, np.int32)
        """minute of local time in which it was issued; -1 for an empty place"""
        self.ahead = np.zeros(shape, np.uint8)
        """minutes after that one: when its time has come, or the last minute of the peak"""
        self.largest = np.zeros(shape, np.float32)
        self.shares = np.zeros((*shape, _VALUES), np.float16)

    def clear(self, row: int) -> None:
        self.minute[row] = -1

    def note(self, rows: Integers, minute_N: Integers, ahead_NB: Integers, values_NBV: Floats) -> None:
        """Keep the forecasts of a minute, where there is a place for it. NaN: there is none."""
        every_NB = -(-(ahead_NB + 2) // (SLOTS - 1))
        due = (minute_N[:, None] % every_NB == 0) & ~np.isnan(values_NBV).any(axis=2)
        n, bucket = np.nonzero(due)
        slot = minute_N[n] // every_NB[n, bucket] % SLOTS
        place, values = (rows[n], bucket, slot), values_NBV[n, bucket]
        largest = values.max(axis=1)
        self.minute[place], self.ahead[place], self.largest[place] = minute_N[n], ahead_NB[n, bucket], largest
        self.shares[place] = values / np.where(largest > 0, largest, 1)[:, None]

    def due(self, rows: Integers, minute_N: Integers) -> tuple[Integers, Integers, Integers]:
        """(position in `rows`, bucket, slot) of the forecasts whose time has come: all minutes of it are on record."""
        minute_NBS = self.minute[rows]
        is_over = (minute_NBS >= 0) & (minute_NBS + self.ahead[rows] + 1 < minute_N[:, None, None])
        position, bucket, slot = np.nonzero(is_over)
        return position, bucket, slot

    def take(self, place: tuple[Integers, Integers, Integers]) -> Floats:
        """The values [K, V] at (row, bucket, slot), whose places are empty from now on."""
        self.minute[place] = -1
        return np.asarray(self.shares[place].astype(np.float32) * self.largest[place][:, None], np.float32)

"""What was scored within the hour under way, on its way to the store. Pure numpy.

Axes: N triggers, B buckets (`pending.BUCKETS`), F figures (`losses.Figure`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scaler.pool import Integers
from scaler.scoring.losses import FIGURES, Figure
from scaler.scoring.pending import BUCKETS
from scaler.series import Floats


class Hour(NamedTuple):
    """Of one trigger."""

    hour: int
    """hours since the epoch"""
    minutes: int
    """of it, in which the forecasts of the trigger were looked at"""
    sums_BF: Floats


class HourSums:
    """Of `rows` triggers."""

    def __init__(self, rows: int) -> None:
        self.hour = np.zeros(rows, np.int32)
        self.minutes = np.zeros(rows, np.int16)
        self.sums = np.zeros((rows, len(BUCKETS), FIGURES), np.float32)

    def clear(self, row: int) -> None:
        self.minutes[row], self.sums[row] = 0, 0

    def begin(self, rows: Integers, hour: int) -> Iterator[tuple[int, Hour]]:
        """Let a minute of `hour` count for each row. Yields the place in `rows` and the hour of those that were in
        another hour until now, unless nothing was scored in it."""
        is_other = self.hour[rows] != hour
        for place in np.flatnonzero(is_other).tolist():
            closed = self.close(int(rows[place]))
            if closed is not None:
                yield place, closed
        self.hour[rows] = hour
        self.minutes[rows] += 1

    def add(self, rows: Integers, bucket: Integers, sums_KF: Floats) -> None:
        """Add to the hours under way; rows may repeat."""
        np.add.at(self.sums, (rows, bucket), sums_KF)

    def close(self, row: int) -> Hour | None:
        """The hour under way, which ends with this; None where nothing was scored."""
        found = Hour(int(self.hour[row]), int(self.minutes[row]), self.sums[row].copy())
        self.clear(row)
        return found if found.sums_BF[:, Figure.COUNT].any() else None

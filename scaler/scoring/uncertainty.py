"""How wide a forecast is against its own past, and whether those that make it up disagree. Pure numpy.

What counts is the peak over the time that a plan looks ahead: its p95 over its median. Of each trigger a histogram of
that is kept, in which older days fade, so that "wide" is what is rare for this trigger, and not what is bursty.

Axes: N triggers, W bins.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scaler.pool import Integers
from scaler.series import Floats

BINS: Final = 24
PER_DOUBLING: Final = 6
"""bins: each is 12 % wider than the one before, the last one is of all above 14 times"""
DAY_KEEPS: Final = 6 / 7
"""share of the counts that is left after a day: what counts is about a week"""
ENOUGH_MINUTES = 1440
"""of forecasts, before anything is called unusual"""
RARE = 0.97
"""wide: beyond this share of its past …"""
WIDER = 1.3
"""… and this many times as wide as usual"""
FACTOR = 1.5
"""split: one says this many times as much as the other …"""
LEAST_SHARE = 0.2
"""… and each makes up at least this share of the forecast"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of a trigger's newest forecast."""

    width: float
    """p95 of the peak over its median"""
    usual_width: float | None
    """the median of that over about a week; None in the first day"""
    past: float | None
    """median that past days make up; None where they have no part in the forecast"""
    bundle: float
    """median of the bundle alone"""
    is_wide: bool
    is_split: bool

    @property
    def is_uncertain(self) -> bool:
        return self.is_wide or self.is_split

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {**asdict(self), "is_uncertain": self.is_uncertain}


class Widths:
    """Histograms of `rows` triggers."""

    def __init__(self, rows: int) -> None:
        self.counts = np.zeros((rows, BINS), np.float32)
        self.minute = np.full(rows, -1, np.int64)
        """the last one that was counted, since the epoch"""
        self.known = np.zeros(rows, np.int32)
        """minutes that were counted"""

    def clear(self, row: int) -> None:
        self.counts[row], self.minute[row], self.known[row] = 0, -1, 0

    def note(self, rows: Integers, minute: int, width_N: Floats) -> None:
        """Count the width of each row's forecast, once a minute."""
        new = self.minute[rows] < minute
        rows, width_N = rows[new], width_N[new]
        passed_N = np.where(self.minute[rows] < 0, 1, minute - self.minute[rows])
        self.counts[rows] *= (DAY_KEEPS ** (passed_N / 1440))[:, None].astype(np.float32)
        self.counts[rows, _bins(width_N)] += 1
        self.minute[rows] = minute
        self.known[rows] = np.minimum(self.known[rows] + 1, ENOUGH_MINUTES)

    def judge(self, rows: Integers, width_N: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The usual width of each row, NaN where too little is known, and whether this one is unusual [N]."""
        share_NW = np.cumsum(self.counts[rows], axis=1)
        share_NW /= np.maximum(share_NW[:, -1:], 1e-9)
        usual_N = 2.0 ** (((share_NW < 0.5).sum(axis=1) + 0.5) / PER_DOUBLING)
        usual_N = np.where(self.known[rows] >= ENOUGH_MINUTES, usual_N, np.nan).astype(np.float32)
        rare_N = (share_NW < RARE).sum(axis=1)
        is_wide = (_bins(width_N) > rare_N) & (width_N >= WIDER * usual_N)
        return np.asarray(usual_N, np.float32), np.asarray(is_wide, np.bool_)


def are_split(bundle_N: Floats, past_N: Floats, share_N: Floats, replica_N: Floats) -> NDArray[np.bool_]:
    """Whether bundle and past days say different things, by at least a replica. share: of past days."""
    high_N, low_N = np.fmax(bundle_N, past_N), np.fmin(bundle_N, past_N)
    both_count = np.minimum(share_N, 1 - share_N) >= LEAST_SHARE
    return np.asarray(both_count & (high_N >= FACTOR * low_N) & (high_N - low_N >= replica_N), np.bool_)


def part_of_past(mixed: float, bundle: float, share: float) -> float | None:
    """What past days say, where `mixed` is the mean of both in which they have this share."""
    return max(0.0, (mixed - (1 - share) * bundle) / share) if share >= LEAST_SHARE else None


def _bins(width_N: Floats) -> Integers:
    doublings_N = np.log2(np.clip(width_N, 1, 2.0 ** ((BINS - 0.5) / PER_DOUBLING)))
    return np.minimum((PER_DOUBLING * doublings_N).astype(np.int64), BINS - 1)


def width_of(median: float, p95: float) -> float:
    """p95 over the median; infinite where the median alone is 0, 1 where both are."""
    if median > 0:
        return p95 / median
    return math.inf if p95 > 0 else 1.0

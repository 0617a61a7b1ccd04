"""Demand that leaves the band of its forecast, minute by minute. Pure numpy.

Each minute is compared with what was forecast for it LEAD_MINUTES before. What is forecast while demand is outside has
seen that already, and is not used; so from LEAD_MINUTES after the begin on, the last band is carried along, as demand
moved on the day, or the week, before.

Axes: N triggers, S slots, B the band (`LOW`, `MIDDLE`, `HIGH`).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaler.pool import Integers
from scaler.series import Floats

LEAD_MINUTES: Final = 15
"""a spike that is shorter cannot have changed the forecast that it is compared with"""
SLOTS: Final = 32
LOW, MIDDLE, HIGH = range(3)
"""lowest level of the forecast, median, highest level"""
WIDTHS = 0.5
"""demand is outside where it is further from the band than this share of what its edge is from the median …"""
TOLERATED = 0.1
"""… and further than the HPA's tolerance and one replica, which nobody would see"""
LEAST_MINUTES = 6
"""outside, from which on it is an anomaly: more than one number of a source that has one every five minutes"""
ENDS_MINUTES = 5
"""inside, or unknown, with which it is over"""
SETTLES_MINUTES = 5
"""after a gap, until which averages over a window that has just come back are not believed"""
SHIFT_MINUTES = 180
"""outside, from which on the level has moved, and nothing is odd any more"""


class Excursion(NamedTuple):
    """What is known of one, of at least LEAST_MINUTES. Minutes of local time."""

    row: int
    since: int
    last: int
    """the last minute outside so far"""
    is_above: bool
    largest: float
    """demand where it was furthest outside …"""
    expected: float
    """… the median for that minute …"""
    bound: float
    """… and the edge of its band"""
    is_over: bool
    is_shift: bool


class Excursions:
    """Of `rows` triggers."""

    def __init__(self, rows: int) -> None:
        self.target = np.full((rows, SLOTS), -1, np.int32)
        """minute of local time for which a band was forecast; -1 for an empty place"""
        self.bands = np.zeros((rows, SLOTS, 3), np.float32)
        self.looked = np.full(rows, -1, np.int64)
        """the newest minute that was looked at"""
        self.known_since = np.full(rows, -1, np.int64)
        """first minute without a gap until now; -1 where the newest one is unknown"""
        self.since = np.full(rows, -1, np.int64)
        """first minute of the excursion under way; -1 where there is none"""
        self.last = np.zeros(rows, np.int64)
        self.outside = np.zeros(rows, np.int32)
        """minutes of it that were outside"""
        self.is_above = np.zeros(rows, np.bool_)
        self.frozen = np.zeros((rows, 3), np.float32)
        """the last band that was forecast before it"""
        self.frozen_at = np.zeros(rows, np.int64)
        self.worst = np.zeros((rows, 3), np.float32)
        """demand, median and edge where it was furthest outside"""

    def clear(self, row: int) -> None:
        self.target[row], self.looked[row], self.known_since[row], self.since[row] = -1, -1, -1, -1

    def note(self, rows: Integers, issued_N: Integers, band_NB: Floats) -> None:
        """Keep what is forecast now for LEAD_MINUTES later. NaN, or an excursion under way: nothing."""
        use = (self.since[rows] < 0) & ~np.isnan(band_NB).any(axis=1)
        rows, target_N = rows[use], issued_N[use] + LEAD_MINUTES
        self.target[rows, target_N % SLOTS] = target_N
        self.bands[rows, target_N % SLOTS] = band_NB[use]

    def is_carried(self, rows: Integers, minute_N: Integers) -> NDArray[np.bool_]:
        """Whether a minute of an excursion has no forecast from before it [N]."""
        is_missing = self.target[rows, minute_N % SLOTS] != minute_N
        return np.asarray((self.since[rows] >= 0) & is_missing, np.bool_)

    def look(
        self, rows: Integers, minute_N: Integers, demand_N: Floats, replica_N: Floats, moved_N2: Floats
    ) -> list[Excursion]:
        """Take in one minute of each row. Returns the excursions that have become an anomaly, grown or ended.

        demand: NaN where it is unknown. replica: the demand that one replica carries. moved: see `moved`; used where
        `is_carried`.
        """
        band_NB = self._bands(rows, minute_N, moved_N2)
        side_N = sides(demand_N, band_NB, replica_N)
        is_known = ~np.isnan(demand_N)
        started_N = np.where(self.known_since[rows] < 0, minute_N, self.known_since[rows])
        is_settled = minute_N - started_N >= SETTLES_MINUTES
        is_open = self.since[rows] >= 0
        self._begin(rows, minute_N, (side_N != 0) & ~is_open & is_settled, side_N)
        stays = (self.since[rows] >= 0) & (side_N == np.where(self.is_above[rows], 1, -1))
        self._grow(rows[stays], minute_N[stays], demand_N[stays], band_NB[stays])
        has_ended = (self.since[rows] >= 0) & (minute_N - self.last[rows] >= ENDS_MINUTES)
        has_shifted = stays & (minute_N - self.since[rows] >= SHIFT_MINUTES)
        changed = stays & (self.outside[rows] >= LEAST_MINUTES) | has_ended & (self.outside[rows] >= LEAST_MINUTES)
        found = list(self._told(rows[changed], (has_ended | has_shifted)[changed], has_shifted[changed]))
        self.since[rows[has_ended | has_shifted]] = -1
        self.looked[rows], self.known_since[rows] = minute_N, np.where(is_known, started_N, -1)
        return found

    def _bands(self, rows: Integers, minute_N: Integers, moved_N2: Floats) -> Floats:
        slot_N = minute_N % SLOTS
        is_forecast = self.target[rows, slot_N] == minute_N
        carried = self.is_carried(rows, minute_N)
        band_NB = np.where(is_forecast[:, None], self.bands[rows, slot_N], np.float32(np.nan))
        factor_NB = np.stack([moved_N2[:, 0], np.ones(len(rows), np.float32), moved_N2[:, 1]], axis=1)
        band_NB = np.where(carried[:, None], self.frozen[rows] * factor_NB, band_NB)
        self.frozen[rows[is_forecast]] = band_NB[is_forecast]
        self.frozen_at[rows[is_forecast]] = minute_N[is_forecast]
        return np.asarray(band_NB, np.float32)

    def _begin(self, rows: Integers, minute_N: Integers, begins: NDArray[np.bool_], side_N: Integers) -> None:
        new, minute = rows[begins], minute_N[begins]
        self.since[new], self.outside[new], self.is_above[new] = minute, 0, side_N[begins] > 0
        self.worst[new] = 0
        seen = self.target[new] >= minute[:, None] + LEAD_MINUTES
        self.target[new] = np.where(seen, -1, self.target[new])

    def _grow(self, rows: Integers, minute_N: Integers, demand_N: Floats, band_NB: Floats) -> None:
        self.last[rows] = minute_N
        self.outside[rows] += 1
        edge_N = np.where(self.is_above[rows], band_NB[:, HIGH], band_NB[:, LOW])
        is_further = np.abs(demand_N - edge_N) > np.abs(self.worst[rows, 0] - self.worst[rows, 2])
        now = np.stack([demand_N, band_NB[:, MIDDLE], edge_N], axis=1)
        self.worst[rows[is_further]] = now[is_further]

    def _told(self, rows: Integers, is_over: NDArray[np.bool_], is_shift: NDArray[np.bool_]) -> Iterator[Excursion]:
        for row, over, shift in zip(rows.tolist(), is_over.tolist(), is_shift.tolist(), strict=True):
            about = int(self.since[row]), int(self.last[row]), bool(self.is_above[row])
            largest, expected, bound = self.worst[row].tolist()
            yield Excursion(row, *about, largest, expected, bound, over, shift)


def sides(demand_N: Floats, band_NB: Floats, replica_N: Floats) -> Integers:
    """1 above the band, -1 below, 0 within it or by a margin outside, or where demand or band are unknown [N]."""
    low_N, middle_N, high_N = band_NB.T
    over_N = np.maximum(WIDTHS * (high_N - middle_N), TOLERATED * high_N + replica_N)
    under_N = np.maximum(WIDTHS * (middle_N - low_N), TOLERATED * middle_N + replica_N)
    is_above, is_below = demand_N > high_N + over_N, demand_N < low_N - under_N
    return np.asarray(is_above.astype(np.int64) - is_below, np.int64)


def moved(before_N2: Floats, now_N2: Floats) -> Floats:
    """By what to multiply the edges of a band, LOW and HIGH [N, 2], where demand moved on the day and the week before.

    before, now: demand of then, a day and a week before. The edges move apart: to where demand moved on either.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_N2 = now_N2 / before_N2
    ratio_N2 = np.where(np.isfinite(ratio_N2), ratio_N2, 1)
    return np.stack([np.minimum(1, ratio_N2.min(axis=1)), np.maximum(1, ratio_N2.max(axis=1))], axis=1)

"""Two weeks of each trigger's demand by the minute of the local day: 40 kB a trigger. No clock and no I/O.

Minute n of a local time ends n * 60 s after the epoch of that time; it is known by the last observation within it. A
ring holds the newest fourteen days, as [minute of the day, day]: what a forecast wants of all days lies together. The
minutes that are still to come today are those of fourteen days ago.

Values are half floats, times a power of two for each trigger; they lose 0.05 % at most.
"""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scaler.pool import Integers, Pool
from scaler.series import Floats, PastDays

DAY_MINUTES = 1440
DAYS = 14
KEPT_MINUTES = DAYS * DAY_MINUTES
BEFORE = 60
"""minutes before now that are compared with those of past days"""
AHEAD = 32
"""minutes of past days ahead of now"""
ROWS = 64
"""triggers per page: 2.6 MB"""
_FIRST_EXPONENT = 10
"""of the first value of a trigger as it is stored: demand can grow 30 times before its row is scaled anew"""
_LARGEST_STORED = 2.0**15
_FIRST_WEEKDAY = 3
"""of the epoch, a Thursday"""


class Page:
    """The rings of ROWS triggers. values [ROWS, 1440, 14]: 0 where nothing is known, and -0 for a demand of 0.

    The system gives memory to a page of zeros where it is written only, so a new trigger takes a few kilobytes.
    """

    def __init__(self) -> None:
        self.values = np.zeros((ROWS, DAY_MINUTES, DAYS), np.float16)
        self.scale = np.zeros(ROWS, np.float32)
        """what a stored value is to be multiplied by; 0 before the first value above 0"""
        self.newest = np.full(ROWS, -1, np.int64)
        """minute of the newest observation; -1 before the first"""
        self.mean = np.full(ROWS, np.nan, np.float32)

    def clear(self, row: int) -> None:
        kept, written = self._written(row)
        kept[written] = 0
        self.scale[row], self.newest[row], self.mean[row] = 0, -1, np.nan

    def advance(self, rows: Integers, minute_N: Integers) -> None:
        """Move each row on to a minute: what is newer than its newest is unknown, and no longer two weeks old."""
        newest_N = self.newest[rows]
        for row, newest, minute in zip(rows.tolist(), newest_N.tolist(), minute_N.tolist(), strict=True):
            if newest >= 0 and minute > newest + 1:
                first = max(newest + 1, minute - KEPT_MINUTES + 1)
                self.values[row, *_places(np.arange(first, minute + 1))] = 0
        is_next = minute_N > newest_N
        self.values[rows[is_next], *_places(minute_N[is_next])] = 0
        self.newest[rows] = np.maximum(newest_N, minute_N)

    def put(self, rows: Integers, values_N: Floats, minute_N: Integers) -> None:
        """Demand observed in a minute; NaN changes nothing. A minute that is older than the ring is ignored."""
        self.advance(rows, minute_N)
        known = ~np.isnan(values_N) & (minute_N > self.newest[rows] - KEPT_MINUTES)
        rows, values_N, minute_N = rows[known], values_N[known], minute_N[known]
        self._make_room(rows, values_N)
        self.values[rows, *_places(minute_N)] = self._stored(rows, values_N)
        due = (minute_N + rows) % 60 == 0
        for row in rows[due | np.isnan(self.mean[rows])].tolist():
            self.take_mean(row)

    def fill(self, row: int, minute_S: Integers, values_S: Floats) -> None:
        """Past minutes, ascending, where nothing is known yet."""
        if not len(minute_S):
            return
        self.advance(np.array([row]), minute_S[-1:])
        fits = (minute_S > self.newest[row] - KEPT_MINUTES) & ~np.isnan(values_S)
        places = _places(minute_S[fits])
        unknown = np.isnan(_demand(self.values[row, *places]))
        values_S = values_S[fits][unknown]
        if not len(values_S):
            return
        self._make_room(np.array([row]), values_S.max(keepdims=True))
        self.values[row, places[0][unknown], places[1][unknown]] = self._stored(np.array([row]), values_S)
        self.take_mean(row)

    def take_mean(self, row: int) -> None:
        values = _demand(self.values[row])
        known = ~np.isnan(values)
        self.mean[row] = self.scale[row] * values[known].mean() if known.any() else np.nan

    def days(self, rows: Integers, minute: int) -> Floats:
        """The minutes around `minute` on each day [N, BEFORE + AHEAD, DAYS + 1]: today, yesterday and so on.

        Of the day a fortnight ago only the minutes ahead are there, and of today none of those.
        """
        around = np.arange(minute - BEFORE + 1, minute + AHEAD + 1)
        day, place = np.divmod(around, DAY_MINUTES)
        found = np.empty((len(rows), len(around), DAYS + 1), np.float32)
        for number in np.unique(day).tolist():
            part = np.flatnonzero(day == number)
            columns = (number - np.arange(DAYS + 1)) % DAYS
            block = self.values[rows, place[part[0]] : place[part[-1]] + 1]
            found[:, part] = _demand(block)[:, :, columns]
        found[:, :BEFORE, DAYS] = np.nan
        found[:, BEFORE:, 0] = np.nan
        return np.asarray(found * self.scale[rows, None, None], np.float32)

    def at(self, rows: Integers, minute_NM: Integers) -> Floats:
        """Demand of each row in any minutes [N, M]; NaN where they are not kept."""
        newest_N1 = self.newest[rows, None]
        is_kept = (minute_NM <= newest_N1) & (minute_NM > newest_N1 - KEPT_MINUTES)
        found = _demand(self.values[rows[:, None], *_places(minute_NM)]) * self.scale[rows, None]
        return np.asarray(np.where(is_kept, found, np.nan), np.float32)

    def _stored(self, rows: Integers, values: Floats) -> NDArray[np.float16]:
        scale = self.scale[rows]
        return _known((values / np.where(scale > 0, scale, np.float32(1))).astype(np.float16))

    def _written(self, row: int) -> tuple[NDArray[np.float16], Integers]:
        """A flat view of the ring, and where something is known."""
        kept = self.values[row].reshape(-1)
        return kept, np.flatnonzero(kept.view(np.uint16))

    def _make_room(self, rows: Integers, values_N: Floats) -> None:
        """Scale the rows whose stored values would become too large."""
        scale_N = self.scale[rows]
        too_large = values_N > _LARGEST_STORED * scale_N
        for row, value in zip(rows[too_large].tolist(), values_N[too_large].tolist(), strict=True):
            new = 2.0 ** (np.ceil(np.log2(value)) - _FIRST_EXPONENT)
            if self.scale[row]:
                kept, written = self._written(row)
                kept[written] = _known(kept[written] * np.float16(self.scale[row] / new))
            self.scale[row] = new


class MinuteMemory:
    """The rings of all triggers, by key. Every method takes the lock, so a worker thread may read meanwhile."""

    def __init__(self) -> None:
        self._pool = Pool(ROWS, Page, Page.clear)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pool)

    def __contains__(self, key: str) -> bool:
        return key in self._pool

    def add(self, key: str) -> None:
        """Keep the minutes of `key` from now on. Adding it again changes nothing."""
        with self._lock:
            self._pool.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`."""
        with self._lock:
            self._pool.remove(key)

    def put(self, keys: Sequence[str], values_N: Floats, minute_N: Integers) -> None:
        """Demand observed in a minute of local time; NaN where it is missing. Unknown keys are ignored."""
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                chosen = where[position]
                page.put(local, values_N[chosen], minute_N[chosen])

    def fill(self, key: str, minute_S: Integers, values_S: Floats) -> None:
        """Fill what is unknown of the past; minutes ascending."""
        with self._lock:
            if key in self._pool:
                page, row = self._pool.find(key)
                page.fill(row, minute_S, values_S)

    def known(self, key: str) -> tuple[Integers, Floats]:
        """The minutes of `key` that are known, ascending, and their demand."""
        with self._lock:
            page, row = self._pool.find(key)
            newest = int(page.newest[row])
            minute_M = np.arange(newest - KEPT_MINUTES + 1, newest + 1)
            values_M = page.at(np.array([row]), minute_M[None])[0]
        known = ~np.isnan(values_M)
        return minute_M[known], values_M[known]

    def past(self, keys: Sequence[str], minute_N: Integers) -> PastDays:
        """The minutes around a minute of local time, today and on past days; all NaN for a key that is not kept."""
        days_NMD = np.full((len(keys), BEFORE + AHEAD, DAYS + 1), np.nan, np.float32)
        mean_N = np.full(len(keys), np.nan, np.float32)
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                chosen = where[position]
                page.advance(local, minute_N[chosen])
                mean_N[chosen] = page.mean[local]
                for minute in np.unique(minute_N[chosen]).tolist():
                    same = minute_N[chosen] == minute
                    days_NMD[chosen[same]] = page.days(local[same], minute)
        return PastDays(
            today_NB=days_NMD[:, :BEFORE, 0],
            before_NBD=days_NMD[:, :BEFORE, 1:],
            ahead_NAD=days_NMD[:, BEFORE:, 1:],
            mean_N=mean_N,
            weekday_N=weekday(minute_N),
        )

    def repeated(self, keys: Sequence[str], minute_N: Integers, period_N: Integers) -> PastDays:
        """As `past`, with the last DAYS periods of each key, in minutes, in place of days."""
        around_M = np.arange(-BEFORE + 1, AHEAD + 1)
        lag_D = np.arange(1, DAYS + 1)
        wanted = minute_N[:, None, None] + around_M[:, None] - period_N[:, None, None] * lag_D
        wanted[:, BEFORE:][wanted[:, BEFORE:] > minute_N[:, None, None]] = -1  # a period shorter than the look ahead
        today = minute_N[:, None] + around_M[:BEFORE]
        found = self.at(keys, np.concatenate([wanted.reshape(len(keys), -1), today], axis=1))
        days_NMD = found[:, :-BEFORE].reshape(wanted.shape)
        with self._lock:
            mean_N = np.full(len(keys), np.nan, np.float32)
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                mean_N[where[position]] = page.mean[local]
        return PastDays(found[:, -BEFORE:], days_NMD[:, :BEFORE], days_NMD[:, BEFORE:], mean_N, weekday(minute_N))

    def at(self, keys: Sequence[str], minute_NM: Integers) -> Floats:
        """Demand of each key in any minutes of local time [N, M]; NaN where it is not known."""
        found = np.full(minute_NM.shape, np.nan, np.float32)
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                found[where[position]] = page.at(local, minute_NM[where[position]])
        return found


def local_minutes(at: float | NDArray[np.float64], offset_N: Integers) -> Integers:
    """The minute of local time in which a moment, or each moment, lies [N]. Offsets: seconds ahead of UTC."""
    return np.ceil((at + offset_N) / 60).astype(np.int64)


def weekday(minute_N: Integers) -> Integers:
    """Day of the week of minutes of local time; 0 is Monday."""
    return (minute_N // DAY_MINUTES + _FIRST_WEEKDAY) % 7


def _known(stored: NDArray[np.float16]) -> NDArray[np.float16]:
    stored[stored == 0] = -0.0
    return stored


def _demand(stored: NDArray[np.float16]) -> Floats:
    """Stored values as demand, not scaled yet; NaN where nothing is known."""
    demand = np.abs(stored).astype(np.float32)
    demand[stored.view(np.uint16) == 0] = np.nan
    return demand


def _places(minutes: Integers) -> tuple[Integers, Integers]:
    """Minute of the day, and column of the day."""
    day, place = np.divmod(minutes, DAY_MINUTES)
    return place, day % DAYS

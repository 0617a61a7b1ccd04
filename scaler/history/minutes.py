"""Two weeks of each trigger's demand by the minute of the local day: 40 kB a trigger. No clock and no I/O.

Minute n of a local time ends n * 60 s after the epoch of that time; it is known by the last observation within it. A
ring holds the newest fourteen days, as [minute of the day, day]: what a forecast wants of all days lies together. The
minutes that are still to come today are those of fourteen days ago.

Values are half floats, times a power of two for each trigger; they lose 0.05 % at most.
"""

import threading
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from scaler.pool import Integers, Pool
from scaler.series import DAY_MINUTES, Floats, PastDays

DAYS = 14
KEPT_MINUTES = DAYS * DAY_MINUTES
LOCAL_DAYS = DAYS + 1
"""in which the minutes of a ring lie: it begins within the first one, and ends within the last"""
BEFORE = 60
"""minutes before now that are compared with those of past days"""
AHEAD = 32
"""minutes of past days ahead of now"""
LAG_SECONDS = 75
"""by which what is observed may be behind demand: a rate over a minute, and a scrape every 15 s"""
ROWS = 64
"""triggers per page: 2.6 MB"""
_FIRST_EXPONENT = 10
"""of the first value of a trigger as it is stored: demand can grow 30 times before its row is scaled anew"""
_LARGEST_STORED = 2.0**15
_SMALLEST_STORED = 2.0**-24
"""as which less is stored: only a demand of 0 is read as one"""
_USUAL_QUANTILE = 0.9
"""of the demand above 0: larger than most, and hardly moved by absurd samples"""
_FEWEST_FOR_USUAL = 30
"""minutes above 0 that say what is usual"""
_MOST_OVER_USUAL = 2.0**20
"""times that, as which larger demand is stored: beside it, the usual one keeps its precision"""
_MOST_IN_MEAN = 2.0**10
"""times the usual demand, as which larger demand counts in the mean"""
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
        self.usual = np.full(ROWS, np.nan, np.float32)
        """what demand hardly exceeds; NaN while too little is known"""
        self.known = np.zeros(ROWS, np.int32)
        """minutes that the mean is of"""
        self.changed = np.zeros((ROWS, LOCAL_DAYS), np.bool_)
        """days with minutes that are not stored yet, by the number of the day modulo LOCAL_DAYS"""

    def clear(self, row: int) -> None:
        kept, written = self._written(row)
        kept[written] = 0
        self.scale[row], self.newest[row], self.known[row] = 0, -1, 0
        self.mean[row] = self.usual[row] = np.nan
        self.changed[row] = False

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
        is_first = minute_N > self.newest[rows]
        self.advance(rows, minute_N)
        known = ~np.isnan(values_N) & (minute_N > self.newest[rows] - KEPT_MINUTES)
        rows, minute_N = rows[known], minute_N[known]
        values_N = _cut(values_N[known], self.usual[rows])
        self._make_room(rows, values_N)
        self.values[rows, *_places(minute_N)] = self._stored(rows, values_N)
        self.changed[rows, minute_N // DAY_MINUTES % LOCAL_DAYS] = True
        due = is_first[known] & ((minute_N + rows) % 60 == 0)
        for row in rows[due | np.isnan(self.mean[rows])].tolist():
            self.take_level(row)

    def fill(self, row: int, minute_S: Integers, values_S: Floats, is_stored: bool) -> None:
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
        if len(values_S) > self.known[row]:
            self._bound(row, _usual(values_S))
        values_S = _cut(values_S, self.usual[row])
        self._make_room(np.array([row]), values_S.max(keepdims=True))
        self.values[row, places[0][unknown], places[1][unknown]] = self._stored(np.array([row]), values_S)
        if not is_stored:
            self.changed[row, minute_S[fits][unknown] // DAY_MINUTES % LOCAL_DAYS] = True
        self.take_level(row)

    def take_changed(self, row: int) -> dict[int, Floats]:
        """Demand by the minute of each day [DAY_MINUTES] that changed since this was last called."""
        changed = np.flatnonzero(self.changed[row])
        self.changed[row] = False
        today = int(self.newest[row]) // DAY_MINUTES
        days = [today - (today - number) % LOCAL_DAYS for number in changed.tolist()] if self.newest[row] >= 0 else []
        return {day: self.at(np.array([row]), day * DAY_MINUTES + np.arange(DAY_MINUTES)[None])[0] for day in days}

    def take_level(self, row: int) -> None:
        """Conclude what is usual from all that is known, and cut what is absurd beside it."""
        kept, written = self._written(row)
        known = np.abs(kept[written]).astype(np.float32)
        self.known[row] = len(known)
        if len(known):
            self._bound(row, self.scale[row] * _usual(known))
            most = _MOST_IN_MEAN * self.usual[row] / self.scale[row] if self.usual[row] > 0 else np.inf
            self.mean[row] = self.scale[row] * np.abs(kept[written]).astype(np.float32).clip(max=most).mean()

    def _bound(self, row: int, usual: float) -> None:
        """From now on this is usual. The scale follows the largest demand down, and what was absurd is cut."""
        self.usual[row] = usual
        kept, written = self._written(row)
        if not self.scale[row] or not len(written):
            return
        values = np.abs(kept[written]).astype(np.float32) * self.scale[row]
        largest = float(_cut(values, usual).max())
        if 0 < largest < self.scale[row] or largest < values.max():
            self.scale[row] = _scale_for(largest)
            kept[written] = _known(np.asarray(_cut(values, usual) / self.scale[row], np.float32))

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
        return _known(np.asarray(values / np.where(scale > 0, scale, np.float32(1)), np.float32))

    def _written(self, row: int) -> tuple[NDArray[np.float16], Integers]:
        """A flat view of the ring, and where something is known."""
        kept = self.values[row].reshape(-1)
        return kept, np.flatnonzero(kept.view(np.uint16))

    def _make_room(self, rows: Integers, values_N: Floats) -> None:
        """Scale the rows whose stored values would become too large."""
        scale_N = self.scale[rows]
        too_large = values_N > _LARGEST_STORED * scale_N
        for row, value in zip(rows[too_large].tolist(), values_N[too_large].tolist(), strict=True):
            new = _scale_for(value)
            if self.scale[row]:
                kept, written = self._written(row)
                kept[written] = _known(np.abs(kept[written]).astype(np.float32) * np.float32(self.scale[row] / new))
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

    def fill(self, key: str, minute_S: Integers, values_S: Floats, *, is_stored: bool = False) -> None:
        """Fill what is unknown of the past; minutes ascending. `is_stored`: they need not be stored again."""
        with self._lock:
            if key in self._pool:
                page, row = self._pool.find(key)
                page.fill(row, minute_S, values_S, is_stored)

    def take_changed(self, key: str) -> dict[int, Floats]:
        """The days of `key` that changed since this was last called: demand by the minute [DAY_MINUTES], by the number
        of the day from the epoch of local time. Empty for a key that is not kept."""
        with self._lock:
            if key not in self._pool:
                return {}
            page, row = self._pool.find(key)
            return page.take_changed(row)

    def mark_changed(self, key: str, days: Iterable[int]) -> None:
        """Let these days count as changed, because storing them failed, or they are known to be empty."""
        with self._lock:
            if key in self._pool:
                page, row = self._pool.find(key)
                page.changed[row, [day % LOCAL_DAYS for day in days]] = True

    def newest(self, key: str) -> int:
        """The newest minute of `key`; -1 before the first one, and for a key that is not kept."""
        with self._lock:
            if key not in self._pool:
                return -1
            page, row = self._pool.find(key)
            return int(page.newest[row])

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


def lag_minutes(at: float | NDArray[np.float64], offset_N: Integers) -> Integers:
    """How many minutes more show the demand of a window of full minutes from `at` [N]: 0 or 1.

    Demand that rises at 09:10 is on record in the minute that ends at 09:11. A window that ends at 09:10:15 shows it in
    that minute, which is its last one; of a window that ends at 09:10 it is the next one.
    """
    moment_N = np.asarray(at + offset_N, np.float64)
    return np.floor((moment_N + LAG_SECONDS) / 60).astype(np.int64) - local_minutes(at, offset_N)


def weekday(minute_N: Integers) -> Integers:
    """Day of the week of minutes of local time; 0 is Monday."""
    return (minute_N // DAY_MINUTES + _FIRST_WEEKDAY) % 7


def _scale_for(largest: float) -> float:
    """What values are to be divided by, so that the largest has room to grow."""
    return float(2.0 ** (np.ceil(np.log2(largest)) - _FIRST_EXPONENT))


def _usual(values: Floats) -> float:
    """What the demand hardly exceeds; NaN where too little of it is above 0."""
    positive = values[values > 0]
    if len(positive) < _FEWEST_FOR_USUAL:
        return np.nan
    place = int(_USUAL_QUANTILE * len(positive))
    return float(np.partition(positive, place)[place])


def _cut(values: Floats, usual: Floats | float) -> Floats:
    """The values, cut where one is so absurd that all others would lose their precision beside it."""
    return np.asarray(np.fmin(values, np.float32(_MOST_OVER_USUAL) * np.float32(usual)), np.float32)


def _known(scaled: Floats) -> NDArray[np.float16]:
    """Known demand as it is stored: a 0 is no unknown, and what is above 0 is no 0."""
    stored = scaled.astype(np.float16)
    stored[(stored == 0) & (scaled > 0)] = _SMALLEST_STORED
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

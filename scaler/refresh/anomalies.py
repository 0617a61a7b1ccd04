"""Demand of this replica's triggers that leaves the outer band of its forecast: found minute by minute, listed once.

`watch` runs in the worker thread of the forecasts, all else on the event loop.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import structlog

from scaler.anomalies import Anomaly, Direction, Kind, Seen
from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.pool import Integers, Pool
from scaler.scoring.excursions import LEAD_MINUTES, Excursion, Excursions, moved
from scaler.series import DAY_MINUTES, Floats, Forecast
from scaler.trigger import Trigger

log = structlog.get_logger()

ROWS = 128
BEHIND_MINUTES = 2
"""a minute is looked at when all of it is on record, for certain"""
MOST_MISSED = 5
"""minutes that are made up for, where a forecast was deferred"""
AROUND_MINUTES = 7
"""before and after a minute, over which demand of past days is averaged"""
GROWS_MINUTES = 10
"""between two writes of one that lasts"""
MOST_WAITING = 5_000
"""anomalies that wait for the store: 2 MB at most"""
MOST_LOGGED = 20
"""lines of the log in a minute"""
_LAGS = np.array([DAY_MINUTES, 7 * DAY_MINUTES])


class Anomalies:
    """Every trigger of this replica, by key, and what waits for the store."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._pool = Pool(ROWS, _new_page, Excursions.clear)
        self._seen: dict[str, Seen] = {}
        self._waiting: dict[tuple[str, float], Anomaly] = {}
        self._most_waiting = most_waiting
        self._dropped = 0
        self._logged_minute, self._logged = 0, 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Anomalies that wait for the store."""
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Watch the demand of `key` from now on."""
        with self._lock:
            self._pool.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`. One that is under way stays as long as it is known to be."""
        with self._lock:
            self._pool.remove(key)
            self._seen.pop(key, None)

    def clear(self) -> None:
        """Forget every trigger; what waits for the store still waits."""
        with self._lock:
            self._pool = Pool(ROWS, _new_page, Excursions.clear)
            self._seen.clear()

    def seen(self, key: str) -> Seen | None:
        """What was seen of a trigger here; None where another replica watches it."""
        with self._lock:
            return self._seen.get(key, Seen()) if key in self._pool else None

    def watch(
        self,
        memory: MinuteMemory,
        triggers: Sequence[Trigger],
        forecasts: Sequence[Forecast | None],
        at: float,
        offset_N: Integers,
    ) -> None:
        """Look at the minutes that are over by `at`, and note the forecasts that were issued then.

        memory: what is on record. offset: seconds that local time is ahead of UTC.
        """
        keys = [trigger.key for trigger in triggers]
        minute_N = local_minutes(at, offset_N) - BEHIND_MINUTES
        issued_N = np.floor((at + offset_N) / 60 + 0.5).astype(np.int64)
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                chosen = where[position]
                for missed in range(MOST_MISSED - 1, -1, -1):
                    is_due = page.looked[local] < minute_N[chosen] - missed
                    is_due &= (page.looked[local] >= 0) | (missed == 0)
                    mine, of_mine = local[is_due], chosen[is_due]
                    if not len(mine):
                        continue
                    minute = minute_N[of_mine] - missed
                    for one in _look(page, mine, [triggers[i] for i in of_mine.tolist()], minute, memory):
                        i = int(of_mine[np.flatnonzero(mine == one.row)[0]])
                        self._note(one, triggers[i], int(offset_N[i]), at)
                    if missed == 0:
                        band_NB = np.stack([_band(forecasts[i]) for i in of_mine.tolist()])
                        page.note(mine, issued_N[of_mine], band_NB)

    def first(self, count: int) -> list[Anomaly]:
        """Some that wait for the store."""
        with self._lock:
            return list(self._waiting.values())[:count]

    def stored(self, found: Sequence[Anomaly]) -> None:
        """The store has these; one that has grown meanwhile waits again."""
        with self._lock:
            for one in found:
                if self._waiting.get(_place(one)) is one:
                    del self._waiting[_place(one)]

    def take_dropped(self) -> int:
        """How many the store could not take in time, since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _note(self, one: Excursion, trigger: Trigger, offset: int, at: float) -> None:
        found = _anomaly(one, trigger, offset)
        before = self._seen.get(trigger.key, Seen())
        is_new = before.newest is None or before.newest.since != found.since
        if is_new:
            above = one.is_above
            before = before._replace(above=before.above + above, below=before.below + (not above))
        self._seen[trigger.key] = before._replace(newest=found)
        if (is_new or found.is_over) and self._may_log(at):
            _tell(found)
        if is_new or found.is_over or (one.last - one.since) % GROWS_MINUTES == 0:
            self._put(found)

    def _put(self, found: Anomaly) -> None:
        if _place(found) not in self._waiting and len(self._waiting) >= self._most_waiting:
            del self._waiting[next(iter(self._waiting))]
            self._dropped += 1
        self._waiting[_place(found)] = found

    def _may_log(self, at: float) -> bool:
        """MOST_LOGGED lines in a minute: where a whole system is odd, the list has the rest."""
        minute = int(at // 60)
        if minute != self._logged_minute:
            self._logged_minute, self._logged = minute, 0
        self._logged += 1
        return self._logged <= MOST_LOGGED


def _tell(found: Anomaly) -> None:
    demand, expected = (float(f"{value:.4g}") for value in (found.largest, found.expected))
    if found.is_over:
        log.info(
            "anomaly_ended",
            namespace=found.namespace,
            name=found.name,
            direction=found.direction.value,
            kind=found.kind.value,
            since=found.since,
            until=found.until,
            demand=demand,
            expected=expected,
        )
        return
    log.info(
        "anomaly_began",
        namespace=found.namespace,
        name=found.name,
        direction=found.direction.value,
        kind=found.kind.value,
        since=found.since,
        until=found.until,
        demand=demand,
        expected=expected,
    )


def _new_page() -> Excursions:
    return Excursions(ROWS)


def _look(
    page: Excursions, rows: Integers, triggers: Sequence[Trigger], minute_N: Integers, memory: MinuteMemory
) -> list[Excursion]:
    """Take in one minute of each row."""
    keys = [trigger.key for trigger in triggers]
    replica_N = np.array([trigger.threshold for trigger in triggers], np.float32)
    moved_N2 = np.ones((len(rows), 2), np.float32)
    carried = np.flatnonzero(page.is_carried(rows, minute_N))
    if len(carried):
        of_carried = [keys[i] for i in carried.tolist()]
        before, now = (_past(memory, of_carried, at) for at in (page.frozen_at[rows[carried]], minute_N[carried]))
        moved_N2[carried] = moved(before, now)
    return page.look(rows, minute_N, memory.at(keys, minute_N[:, None])[:, 0], replica_N, moved_N2)


def _past(memory: MinuteMemory, keys: Sequence[str], minute_N: Integers) -> Floats:
    """Demand around a minute, a day and a week before it [N, 2]; NaN where it is not known."""
    around_A = np.arange(-AROUND_MINUTES, AROUND_MINUTES + 1)
    wanted = minute_N[:, None, None] - _LAGS[:, None] + around_A
    found = memory.at(keys, wanted.reshape(len(keys), -1)).reshape(wanted.shape)
    known = ~np.isnan(found)
    count = known.sum(axis=2)
    return np.where(count > 0, np.where(known, found, 0).sum(axis=2) / np.maximum(count, 1), np.nan).astype(np.float32)


def _band(forecast: Forecast | None) -> Floats:
    """Lowest level, median and highest level of the step LEAD_MINUTES ahead; NaN where there is none."""
    nothing = np.full(3, np.nan, np.float32)
    if forecast is None:
        return nothing
    step, lower, upper, share = _places(forecast.levels, forecast.step_seconds)
    if not 0 <= step < len(forecast.quantiles_HQ):
        return nothing
    quantile_Q = forecast.quantiles_HQ[step]
    median = quantile_Q[lower] + share * (quantile_Q[upper] - quantile_Q[lower])
    return np.array([quantile_Q[0], median, quantile_Q[-1]], np.float32)


@lru_cache(maxsize=64)
def _places(levels: tuple[float, ...], step_seconds: float) -> tuple[int, int, int, float]:
    """Of the forecast LEAD_MINUTES ahead: its step, the levels around the median, and the share of the upper one."""
    exact = float(np.interp(0.5, levels, np.arange(len(levels))))
    lower = int(exact)
    return round(60 * LEAD_MINUTES / step_seconds) - 1, lower, min(lower + 1, len(levels) - 1), exact - lower


def _place(one: Anomaly) -> tuple[str, float]:
    return f"{one.namespace}/{one.name}/{one.trigger}", one.since


def _anomaly(one: Excursion, trigger: Trigger, offset: int) -> Anomaly:
    """Minute m of local time ends m minutes after its epoch."""
    until = 60.0 * one.last - offset
    return Anomaly(
        trigger.namespace,
        trigger.name,
        trigger.short_key,
        until - 60.0 * (one.last - one.since + 1),
        until,
        Direction.ABOVE if one.is_above else Direction.BELOW,
        Kind.LEVEL_SHIFT if one.is_shift else Kind.ANOMALY,
        *(one.largest, one.expected, one.bound),
        one.is_over,
    )

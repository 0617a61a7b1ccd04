"""Forecasts of this replica's triggers, noted once a minute, and scored when their time has come.

`score` runs in the worker thread of the forecasts, `by_lead` in any thread, all else on the event loop.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scaler.history.minutes import MinuteMemory, lag_minutes, local_minutes
from scaler.pool import Integers, Pool
from scaler.scoring.hours import Hour, HourSums
from scaler.scoring.leads import LeadScores, by_lead
from scaler.scoring.losses import LEVELS, Due, Figure, sums
from scaler.scoring.pending import BUCKETS, LEADS_MINUTES, PEAK, Pending
from scaler.scoring.scores import Scores, Sums
from scaler.series import DAY_MINUTES, Floats, Forecast

ROWS = 128
LONGEST_PEAK_MINUTES = 120
ENOUGH_KNOWN = 0.8
"""share of a window's minutes with which its largest demand counts as known"""


class _Page:
    def __init__(self) -> None:
        self.pending = Pending(ROWS)
        self.sums = Sums(ROWS)
        self.hours = HourSums(ROWS)
        self.minute = np.full(ROWS, -1, np.int64)
        """of local time, in which a forecast was last looked at"""

    def clear(self, row: int) -> None:
        self.pending.clear(row)
        self.sums.clear(row)
        self.hours.clear(row)
        self.minute[row] = -1


class Asked(NamedTuple):
    """What a trigger wants to know of its forecasts."""

    quantile: float
    ahead_seconds: float
    """how far its plans look"""


class Scoring:
    """Forecasts whose time has not come, and the scores of the others, of every trigger of this replica, by key."""

    def __init__(self, on_hour: Callable[[str, Hour], None] = lambda key, scored: None) -> None:
        """on_hour: called with each hour that is over, or ends because its key is removed."""
        self._pool = Pool(ROWS, _Page, _Page.clear)
        self._lock = threading.Lock()
        self._on_hour = on_hour

    def add(self, key: str) -> None:
        """Score the forecasts of `key` from now on."""
        with self._lock:
            self._pool.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`."""
        with self._lock:
            self._close_hours([key])
            self._pool.remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self.close_hours()
        with self._lock:
            self._pool = Pool(ROWS, _Page, _Page.clear)

    def close_hours(self) -> None:
        """End the hour of every key."""
        with self._lock:
            self._close_hours(self._pool.keys())

    def resume(self, key: str, day: int, sums_BF: Floats) -> None:
        """Let sums count that were made before `key` was added. day: the newest one of them, of local time."""
        with self._lock:
            if key in self._pool:
                page, row = self._pool.find(key)
                page.sums.resume(row, day, sums_BF)

    def scores(self, key: str) -> Scores | None:
        """Of about a week until the newest forecast; None where nothing is scored yet."""
        with self._lock:
            if key not in self._pool:
                return None
            page, row = self._pool.find(key)
            found = page.sums.of(row)
        return Scores(found) if found[:, Figure.COUNT].any() else None

    def by_lead(self) -> dict[str, LeadScores]:
        """Of all keys together, over the same time. For a thread: of thousands of keys it takes milliseconds."""
        with self._lock:
            pages = list(self._pool.pages())
        parts = []
        for page in pages:
            with self._lock:  # not for all pages at once: the event loop reads scores
                parts.append(page.sums.today + page.sums.before)
        return by_lead(np.concatenate(parts)) if parts else {}

    def score(
        self,
        memory: MinuteMemory,
        keys: Sequence[str],
        forecasts: Sequence[Forecast | None],
        asked: Sequence[Asked],
        at: float,
        offset_N: Integers,
    ) -> None:
        """Score what has come due by `at`, and note the forecasts that were issued then.

        memory: what is on record. offset: seconds that local time is ahead of UTC.
        """
        hour = int(at // 3600)
        minute_N, issued_N = local_minutes(at, offset_N), np.floor((at + offset_N) / 60 + 0.5).astype(np.int64)
        last_N = minute_N + lag_minutes(at, offset_N)
        with self._lock:
            rows, where = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                is_new = page.minute[local] != minute_N[where[position]]  # once a minute is enough
                mine, chosen = local[is_new], where[position][is_new]
                page.minute[mine] = minute_N[chosen]
                of_page = [keys[i] for i in chosen.tolist()]
                for place, scored in page.hours.begin(mine, hour):
                    self._on_hour(of_page[place], scored)
                level_N = np.array([asked[i].quantile for i in chosen.tolist()], np.float32)
                _settle(page, mine, of_page, minute_N[chosen], level_N, memory)
                parts = [_scored_parts(forecasts[i], asked[i]) for i in chosen.tolist()]
                _note(page, mine, issued_N[chosen], last_N[chosen], parts)

    def _close_hours(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key in self._pool:
                page, row = self._pool.find(key)
                scored = page.hours.close(row)
                if scored is not None:
                    self._on_hour(key, scored)


def _settle(
    page: _Page, rows: Integers, keys: Sequence[str], minute_N: Integers, level_N: Floats, memory: MinuteMemory
) -> None:
    """Score the forecasts whose time has come."""
    page.sums.begin(rows, minute_N // DAY_MINUTES)
    position, bucket, slot = page.pending.due(rows, minute_N)
    if not len(position):
        return
    place = rows[position], bucket, slot
    issued_K, ahead_K = page.pending.minute[place].astype(np.int64), page.pending.ahead[place].astype(np.int64)
    values_KV = page.pending.take(place)
    of_due = [keys[i] for i in position.tolist()]
    first_K = np.where(bucket == PEAK, 1, ahead_K)
    due = Due(
        values_KV[:, :-1],
        values_KV[:, -1],
        level_N[position],
        _largest(memory, of_due, issued_K + first_K, issued_K + ahead_K),
        memory.at(of_due, issued_K[:, None])[:, 0],
        _largest(memory, of_due, issued_K + first_K - DAY_MINUTES, issued_K + ahead_K - DAY_MINUTES),
    )
    found_KF = sums(due)
    for kept in (page.sums, page.hours):
        kept.add(rows[position], bucket, found_KF)


def _largest(memory: MinuteMemory, keys: Sequence[str], first_K: Integers, last_K: Integers) -> Floats:
    """The largest demand from one minute to another; NaN where too few of them are known."""
    minute_KM = first_K[:, None] + np.arange(int((last_K - first_K).max()) + 1)
    inside_KM = minute_KM <= last_K[:, None]
    found_KM = np.where(inside_KM, memory.at(keys, minute_KM), np.nan)
    known_K = (~np.isnan(found_KM)).sum(axis=1) >= ENOUGH_KNOWN * inside_KM.sum(axis=1)
    return np.where(known_K, np.fmax.reduce(found_KM, axis=1), np.nan).astype(np.float32)


def _note(
    page: _Page, rows: Integers, issued_N: Integers, last_N: Integers, parts: Sequence[tuple[Integers, Floats]]
) -> None:
    """Keep what was forecast now. last: the minute that shows demand of this moment."""
    if not parts:
        return
    ahead_NB = np.stack([ahead_B for ahead_B, _ in parts])
    ahead_NB[:, PEAK] += last_N - issued_N
    page.pending.note(rows, issued_N, ahead_NB, np.stack([values_BV for _, values_BV in parts]))


def _scored_parts(forecast: Forecast | None, asked: Asked) -> tuple[Integers, Floats]:
    """Minutes ahead [B] and quantiles [B, V] of the steps and the peak that are scored; NaN where it has none."""
    found = np.full((len(BUCKETS), len(LEVELS) + 1), np.nan, np.float32)
    if forecast is None:
        return np.zeros(len(BUCKETS), np.int64), found
    steps, window, ahead_B = _places(forecast.step_seconds, len(forecast.quantiles_HQ), forecast.peak_steps, asked)
    parts = [(b, forecast.quantiles_HQ[step]) for b, step in enumerate(steps) if step >= 0]
    if forecast.peaks_WQ is not None and window >= 0:
        parts.append((PEAK, forecast.peaks_WQ[window]))
    lower_V, upper_V, share_V = _levels(forecast.levels, asked.quantile)
    for b, quantile_Q in parts:
        found[b] = quantile_Q[lower_V] + share_V * (quantile_Q[upper_V] - quantile_Q[lower_V])
    return ahead_B, found


@lru_cache(maxsize=1024)
def _places(
    step_seconds: float, steps: int, peak_steps: tuple[int, ...], asked: Asked
) -> tuple[tuple[int, ...], int, Integers]:
    """The step of each lead, and the window of the peak, -1 where there is none; and their minutes ahead [B]."""
    of_leads = tuple(round(60 * minutes / step_seconds) - 1 for minutes in LEADS_MINUTES)
    of_leads = tuple(step if 0 <= step < steps else -1 for step in of_leads)
    fitting = [w for w, length in enumerate(peak_steps) if length * step_seconds <= 60 * LONGEST_PEAK_MINUTES]
    enough = (w for w in fitting if peak_steps[w] * step_seconds >= asked.ahead_seconds)
    window = next(enough, fitting[-1] if fitting else -1)
    peak = round(peak_steps[window] * step_seconds / 60) if window >= 0 else 0
    return of_leads, window, np.array([*LEADS_MINUTES, peak], np.int64)


@lru_cache(maxsize=1024)
def _levels(levels: tuple[float, ...], own: float) -> tuple[Integers, Integers, Floats]:
    """Of each scored level, and of the trigger's own: the places of those below and above, and the share of the latter.
    Outside of the levels, the outermost one."""
    exact_V = np.interp([*LEVELS, own], levels, np.arange(len(levels)))
    lower_V = np.floor(exact_V + 1e-6).astype(np.int64)
    upper_V = np.minimum(lower_V + 1, len(levels) - 1)
    return lower_V, upper_V, np.clip(exact_V - lower_V, 0, 1).astype(np.float32)

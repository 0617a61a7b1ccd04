"""What past days show, mixed into the forecasts of bundles: the memory by the minute, and the scores of the experts.

`combine` runs in the worker thread of the forecasts, all else on the event loop.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scaler.forecast import scores
from scaler.forecast.combination import (
    STEPS,
    can_mix,
    mix,
    of_cycles,
    of_past_days,
    scaled_days,
    scored_window,
    stacked,
    windows_of,
    with_mixture,
)
from scaler.forecast.cycles import SEARCHED_MINUTES, find_period
from scaler.forecast.similar_days import Quantiles, days_with
from scaler.forecast.steps import find_step
from scaler.history.minutes import MinuteMemory, lag_minutes, local_minutes
from scaler.pool import Integers, Pool
from scaler.refresh.explaining import Explaining
from scaler.series import DAY_MINUTES, Floats, Forecast, Samples

SEARCH_EVERY = 60
"""minutes between two searches for a cycle and a step"""
MOST_SEARCHES = 8
"""of one chunk at a time: a search takes a sixth of a millisecond"""


class Combining:
    """The memory and the scores of every trigger of this replica, by key."""

    def __init__(self) -> None:
        self.memory = MinuteMemory()
        self._scores = Pool(scores.ROWS, scores.Page, scores.Page.clear)
        self._explaining = Explaining()
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """Keep memory and scores for `key` from now on."""
        self.memory.add(key)
        with self._lock:
            self._scores.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`."""
        self.memory.remove(key)
        with self._lock:
            self._scores.remove(key)
            self._explaining.remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self.memory = MinuteMemory()
        with self._lock:
            self._scores = Pool(scores.ROWS, scores.Page, scores.Page.clear)
            self._explaining.clear()

    def observe(self, keys: Sequence[str], values_N: Floats, at: float, offset_N: Integers) -> None:
        """Demand observed at a moment. offset: seconds that local time is ahead of UTC then."""
        self.memory.put(keys, values_N, local_minutes(at, offset_N))

    def remember(self, key: str, samples: Samples, offset_S: Integers, step_seconds: float) -> None:
        """Demand of the past, as a source has it; each sample counts until the next step, the last one to now."""
        minute_S = local_minutes(samples.times, offset_S)
        newest = max(int(minute_S.max(initial=-1)), self.memory.newest(key))
        for later in range(max(1, math.ceil(step_seconds / 60))):
            has_passed = minute_S + later <= newest
            self.memory.fill(key, minute_S[has_passed] + later, samples.values[has_passed])

    def combine(
        self,
        keys: Sequence[str],
        forecasts: Sequence[Forecast | None],
        at: float,
        offset_N: Integers,
        ahead_seconds: Sequence[float],
    ) -> list[Forecast | None]:
        """The forecasts, with past days mixed in where there are any.

        at: the moment of the forecasts. offset: seconds that local time is ahead of UTC. ahead: how far plans look.
        """
        combined = list(forecasts)
        where = [i for i, one in enumerate(forecasts) if one is not None and _is_mixed(one) and keys[i] in self.memory]
        if not where:
            return combined
        chosen = [one for one in (forecasts[i] for i in where) if one is not None]
        minute_N, lag_N = local_minutes(at, offset_N[where]), lag_minutes(at, offset_N[where])
        mixed = self._combined([keys[i] for i in where], chosen, minute_N, lag_N, [ahead_seconds[i] for i in where])
        steps = self._steps([keys[i] for i in where])
        for i, forecast, step in zip(where, mixed, steps, strict=True):
            combined[i] = replace(forecast, data_step_seconds=60.0 * step) if step else forecast
        return combined

    def rehearse(
        self, key: str, forecasts: Sequence[Forecast | None], local_time_N: Integers, ahead_seconds: float
    ) -> None:
        """Score the experts at past moments, the oldest first. local_time: as in `HistoryBatch`."""
        where = [i for i, one in enumerate(forecasts) if one is not None and _is_mixed(one)]
        chosen = [one for one in (forecasts[i] for i in where) if one is not None]
        if not chosen:
            return
        keys, local_N = [key] * len(where), local_time_N[where]
        minute_N, lag_N = local_minutes(0.0, local_N), lag_minutes(0.0, local_N)
        windows, levels = windows_of(chosen[0].peak_steps), chosen[0].levels
        scored = scored_window(windows, ahead_seconds)
        recent = self.memory.at([key], np.arange(minute_N[0] - SEARCHED_MINUTES + 1, minute_N[0] + 1)[None])[0]
        past = self.memory.repeated(keys, minute_N, np.full(len(where), DAY_MINUTES))
        cycles = self._of_cycles(keys, minute_N, lag_N, np.full(len(where), find_period(recent)), windows, levels)
        of_days = of_past_days(scaled_days(past, windows, lag_N), past, levels)
        experts = [stacked(chosen, len(windows)), *of_days, cycles]
        columns = [levels.index(level) for level in scores.LEVELS]
        quantile_NEQ = np.stack([one.peaks_NWQ[:, scored][:, columns] for one in experts], axis=1)
        truth_N = self._truth(keys, minute_N, windows[scored] + lag_N)
        with self._lock:
            if key in self._scores:
                page, row = self._scores.find(key)
                scores.rehearse(page, row, minute_N, quantile_NEQ, truth_N)

    def _combined(
        self,
        keys: Sequence[str],
        forecasts: Sequence[Forecast],
        minute_N: Integers,
        lag_N: Integers,
        ahead_seconds: Sequence[float],
    ) -> list[Forecast]:
        windows, levels = windows_of(forecasts[0].peak_steps), forecasts[0].levels
        scored_N = np.array([scored_window(windows, seconds) for seconds in ahead_seconds])
        window_N = np.array(windows)[scored_N]
        past = self.memory.past(keys, minute_N)
        compared = scaled_days(past, windows, lag_N)
        experts = [stacked(forecasts, len(windows)), *of_past_days(compared, past, levels)]
        with self._lock:
            rows, where = self._scores.rows_of(keys)
            for page, local, position in self._scores.by_page(rows):
                chosen = where[position]
                self._learn(page, local, [keys[i] for i in chosen.tolist()], minute_N[chosen], window_N[chosen])
                self._search(page, local, [keys[i] for i in chosen.tolist()], minute_N[chosen])
            experts.append(self._cycles(keys, minute_N, lag_N, windows, levels))
            weight_NE = self._weights(keys, experts, minute_N, lag_N, window_N, scored_N, levels)
        mixture = mix(experts, weight_NE)
        median_N = mixture.peaks_NWQ[np.arange(len(keys)), scored_N, levels.index(0.5)]
        alike = [(found, known) for found, known in days_with(compared, scored_N, median_N).tolist()]
        with self._lock:
            edges = self._explaining.explain(keys, past, minute_N, median_N, mixture.weights_NE[:, 1:].sum(axis=1))
        return [
            with_mixture(
                forecast, mixture.peaks_NWQ[i], mixture.steps_NHQ[i], mixture.weights_NE[i], alike[i], edges[i]
            )
            for i, forecast in enumerate(forecasts)
        ]

    def _learn(
        self, page: scores.Page, rows: Integers, keys: Sequence[str], minute_N: Integers, window_N: Integers
    ) -> None:
        """Take in what is known by now of the windows that are over, one of each trigger at a time."""
        position, slot = scores.due(page, rows, minute_N, window_N)
        while len(position):
            first, at = np.unique(position, return_index=True)
            slots = slot[at]
            noted_N, minutes_N = page.noted_at[rows[first], slots], page.noted_minutes[rows[first], slots]
            truth_N = self._truth([keys[i] for i in first.tolist()], noted_N, minutes_N.astype(np.int64))
            scores.learn(page, rows[first], slots, window_N[first], truth_N)
            left = np.ones(len(position), np.bool_)
            left[at] = False
            position, slot = position[left], slot[left]

    def _truth(self, keys: Sequence[str], noted_N: Integers, minutes_N: Integers) -> Floats:
        """The largest demand in the minutes after `noted`."""
        ahead_M = np.arange(1, int(minutes_N.max()) + 1)
        found = self.memory.at(keys, noted_N[:, None] + ahead_M)
        found = np.where(ahead_M <= minutes_N[:, None], found, np.nan)
        return np.asarray(np.fmax.reduce(found, axis=1), np.float32)

    def _search(self, page: scores.Page, rows: Integers, keys: Sequence[str], minute_N: Integers) -> None:
        """Look for cycles and steps again, for those whose last search is the longest ago."""
        waited_N = minute_N - page.searched_at[rows]
        for i in np.argsort(-waited_N, kind="stable")[:MOST_SEARCHES].tolist():
            if waited_N[i] < SEARCH_EVERY:
                break
            recent = self.memory.at([keys[i]], np.arange(minute_N[i] - SEARCHED_MINUTES + 1, minute_N[i] + 1)[None])[0]
            page.period[rows[i]], page.searched_at[rows[i]] = find_period(recent), minute_N[i]
            page.step[rows[i]] = find_step(recent)

    def _steps(self, keys: Sequence[str]) -> list[int]:
        """Minutes between two new numbers of each one's demand; 0 where it may have one every minute."""
        step_N = np.zeros(len(keys), np.int64)
        with self._lock:
            rows, where = self._scores.rows_of(keys)
            for page, local, position in self._scores.by_page(rows):
                step_N[where[position]] = page.step[local]
        return step_N.tolist()

    def _cycles(
        self,
        keys: Sequence[str],
        minute_N: Integers,
        lag_N: Integers,
        windows: Sequence[int],
        levels: Sequence[float],
    ) -> Quantiles:
        """What the expert `cycle` expects; NaN where no cycle was found."""
        rows, where = self._scores.rows_of(keys)
        period_N = np.zeros(len(keys), np.int64)
        for page, local, position in self._scores.by_page(rows):
            period_N[where[position]] = page.period[local]
        return self._of_cycles(keys, minute_N, lag_N, period_N, windows, levels)

    def _of_cycles(
        self,
        keys: Sequence[str],
        minute_N: Integers,
        lag_N: Integers,
        period_N: Integers,
        windows: Sequence[int],
        levels: Sequence[float],
    ) -> Quantiles:
        """As `_cycles`, with the periods in minutes; 0 where there is none."""
        peaks = np.full((len(keys), len(windows), len(levels)), np.nan, np.float32)
        steps = np.full((len(keys), STEPS, len(levels)), np.nan, np.float32)
        has_one = np.flatnonzero(period_N)
        if len(has_one):
            repeated = self.memory.repeated([keys[i] for i in has_one.tolist()], minute_N[has_one], period_N[has_one])
            peaks[has_one], steps[has_one] = of_cycles(repeated, windows, levels, lag_N[has_one])
        return Quantiles(peaks, steps)

    def _weights(
        self,
        keys: Sequence[str],
        experts: Sequence[Quantiles],
        minute_N: Integers,
        lag_N: Integers,
        window_N: Integers,
        scored_N: Integers,
        levels: Sequence[float],
    ) -> Floats:
        """How much each expert counts; what they expect now is noted, to be scored when its window is over."""
        rows, where = self._scores.rows_of(keys)
        columns = [levels.index(level) for level in scores.LEVELS]
        series = np.arange(len(keys))
        quantile_NEQ = np.stack([one.peaks_NWQ[series, scored_N][:, columns] for one in experts], axis=1)
        weight_NE = np.zeros((len(keys), len(experts)), np.float32)
        weight_NE[:, 0] = 1.0
        for page, local, position in self._scores.by_page(rows):
            chosen = where[position]
            scores.note(page, local, minute_N[chosen], window_N[chosen], quantile_NEQ[chosen], lag_N[chosen])
            weight_NE[chosen] = scores.weights(page, local, minute_N[chosen])
        return weight_NE


def _is_mixed(forecast: Forecast) -> bool:
    return can_mix(forecast) and len(forecast.quantiles_HQ) >= STEPS

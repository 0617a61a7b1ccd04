"""Past days mixed into the forecasts of a replay, as the refresh does it (scaler/refresh/combining.py).

The experts are computed for many moments at once. Their scores follow each other, minute by minute.

Axes: I issues, M minutes of local time, B minutes before, A minutes ahead, D past days, E experts, Q levels.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaler.forecast import scores
from scaler.forecast.combination import (
    STEPS,
    can_mix,
    mix,
    of_cycles,
    of_past_days,
    scaled_days,
    scored_window,
    windows_of,
)
from scaler.forecast.cycles import SEARCHED_MINUTES, find_period
from scaler.forecast.onnx_forecaster import OnnxForecaster
from scaler.forecast.similar_days import Quantiles
from scaler.forecast.steps import find_step
from scaler.history.minutes import AHEAD, BEFORE, DAYS, KEPT_MINUTES, lag_minutes, local_minutes, weekday
from scaler.series import DAY_MINUTES, Floats, PastDays
from training.data.load import local_seconds
from training.progress import Progress, no_progress
from training.replay.simulation.demand import Demand, Moments, Observing
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of, joined
from training.replay.simulation.scenario import Span

BATCH = 512
WARM_UP_SECONDS = 7 * 86_400.0
"""before a replay, in which the experts are scored"""
WARM_UP_FROM_SECONDS = 86_400.0
"""of the record, before which past days show nothing"""
SEARCH_EVERY = 60
"""minutes between two searches for a cycle and a step"""

Integers = NDArray[np.int64]


def forecasts_with_past(
    demand: Demand,
    forecaster: OnnxForecaster,
    observing: Observing,
    issues: Issues,
    scored_seconds: float,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> Forecasts:
    """As `forecasts_of`, with past days mixed in; the scores begin a week earlier, where the record does.

    scored_seconds: how far plans look.
    """
    asked = forecasts_of(demand, forecaster, observing, issues, cache, progress)
    if not _can_mix(asked):
        return asked
    begin = float(asked.issued_I[0])
    first = max(demand.start + WARM_UP_FROM_SECONDS, begin - WARM_UP_SECONDS)
    if first >= begin:
        return mixed_forecasts(asked, demand, observing, scored_seconds)
    earlier = replace(issues, span=Span(first, begin), forecast_interval_seconds=60.0)
    before = forecasts_of(demand, forecaster, observing, earlier, cache, progress)
    mixed = mixed_forecasts(joined(before, asked), demand, observing, scored_seconds)
    return mixed.since(len(before.issued_I))


def mixed_forecasts(forecasts: Forecasts, demand: Demand, observing: Observing, scored_seconds: float) -> Forecasts:
    """The forecasts with past days mixed in; as they are where the bundle does not forecast by the minute."""
    if not _can_mix(forecasts):
        return forecasts
    minutes = _Minutes(demand, observing, forecasts.issued_I)
    windows = windows_of(forecasts.peak_steps)
    experts = _experts(minutes, forecasts, windows)
    weight_IE = _weights(minutes, experts, windows, scored_window(windows, scored_seconds), forecasts)
    mixed = _mixed(forecasts, experts, weight_IE, len(windows))
    return replace(mixed, data_steps_I=np.asarray(60.0 * _hourly(minutes, find_step), np.float64))


def _can_mix(forecasts: Forecasts) -> bool:
    made = forecasts.newest_I[forecasts.newest_I >= 0]
    return len(made) > 0 and can_mix(forecasts.forecast(int(made[0])))


class _Minutes:
    """Demand by the minute of local time, as the ring of the scaler would have it at each issue."""

    def __init__(self, demand: Demand, observing: Observing, issued_I: Moments) -> None:
        end = max(demand.end, float(issued_I[-1])) + 120
        moment_T = np.arange(np.ceil((demand.start - 60) / 60) * 60, end, 60.0)
        offset_T = local_seconds(moment_T, demand.series.timezone) - np.floor(moment_T).astype(np.int64)
        minute_T = local_minutes(moment_T, offset_T)
        self.first = int(minute_T.min()) - KEPT_MINUTES - BEFORE
        self.value_M = np.full(int(minute_T.max()) - self.first + AHEAD + 2, np.nan, np.float32)
        # Backwards: of an hour that a clock set back repeats, the first pass stays. The second one is still to come for
        # forecasts of the first.
        self.value_M[minute_T[::-1] - self.first] = demand.observed(moment_T, observing)[::-1]
        offset_I = local_seconds(issued_I, demand.series.timezone) - np.floor(issued_I).astype(np.int64)
        self.minute_I = local_minutes(issued_I, offset_I)
        self.lag_I = lag_minutes(issued_I, offset_I)
        self.newest_I = demand.observed(issued_I, observing).astype(np.float32)
        self._mean_M = _trailing_mean(self.value_M, KEPT_MINUTES)

    def days(self, issues: slice) -> PastDays:
        """Today and past days at these issues."""
        return self._past(issues, DAY_MINUTES * np.arange(1, DAYS + 1)[None, :])

    def cycles(self, issues: slice, period_I: Integers) -> PastDays:
        """As `days`, with periods in place of days."""
        return self._past(issues, period_I[issues, None] * np.arange(1, DAYS + 1))

    def truth(self, first: int, last: int, now: int) -> float:
        """The largest demand from minute `first` to `last`, where they are known at `now`."""
        found = self.value_M[first - self.first : min(last, now) - self.first + 1]
        return float(np.nanmax(found)) if not np.isnan(found).all() else np.nan

    def recent(self, minute: int, count: int) -> Floats:
        """The minutes up to `minute`."""
        end = minute - self.first + 1
        return self.value_M[max(0, end - count) : end]

    def _past(self, issues: slice, lag_ID: Integers) -> PastDays:
        minute_I = self.minute_I[issues]
        around_M = np.arange(-BEFORE + 1, AHEAD + 1)
        wanted = minute_I[:, None, None] + around_M[:, None] - lag_ID[:, None, :]
        is_kept = (wanted > minute_I[:, None, None] - KEPT_MINUTES) & (wanted <= minute_I[:, None, None])
        place = np.maximum(wanted - self.first, 0)
        days_IMD = np.where(is_kept, self.value_M[place], np.float32(np.nan))
        today_IB = self.value_M[minute_I[:, None] + around_M[:BEFORE] - self.first]
        today_IB[:, -1] = self.newest_I[issues]
        hour_I = np.maximum((minute_I // 60 * 60) - self.first, 0)
        return PastDays(today_IB, days_IMD[:, :BEFORE], days_IMD[:, BEFORE:], self._mean_M[hour_I], weekday(minute_I))


def _experts(minutes: _Minutes, forecasts: Forecasts, windows: Sequence[int]) -> list[Quantiles]:
    """What every expert expects at every issue; the bundle first."""
    period_I = _hourly(minutes, find_period)
    days, weekdays, cycles = [], [], []
    for start in range(0, len(minutes.minute_I), BATCH):
        issues = slice(start, start + BATCH)
        past = minutes.days(issues)
        lag_I = minutes.lag_I[issues]
        of_days, of_weekdays = of_past_days(scaled_days(past, windows, lag_I), past, forecasts.levels)
        days.append(of_days)
        weekdays.append(of_weekdays)
        cycle = of_cycles(minutes.cycles(issues, np.maximum(period_I, 1)), windows, forecasts.levels, lag_I)
        has_none = period_I[issues] == 0
        cycle.peaks_NWQ[has_none], cycle.steps_NHQ[has_none] = np.nan, np.nan
        cycles.append(cycle)
    made, steps = forecasts.newest_I, min(STEPS, forecasts.quantiles_IHQ.shape[1])
    assert forecasts.peaks_IWQ is not None
    bundle = Quantiles(forecasts.peaks_IWQ[made, : len(windows)], forecasts.quantiles_IHQ[made, :steps])
    return [bundle, *(_joined(parts, steps) for parts in (days, weekdays, cycles))]


def _joined(parts: Sequence[Quantiles], steps: int) -> Quantiles:
    peaks, ahead = [part.peaks_NWQ for part in parts], [part.steps_NHQ[:, :steps] for part in parts]
    return Quantiles(np.concatenate(peaks), np.concatenate(ahead))


def _hourly(minutes: _Minutes, find: Callable[[Floats], int]) -> Integers:
    """What is found in the minutes before each issue, looked for once an hour."""
    found_I = np.zeros(len(minutes.minute_I), np.int64)
    searched = -(10**9)
    found = 0
    for i, minute in enumerate(minutes.minute_I.tolist()):
        if minute - searched >= SEARCH_EVERY:
            searched, found = minute, find(minutes.recent(minute, SEARCHED_MINUTES))
        found_I[i] = found
    return found_I


def _weights(
    minutes: _Minutes, experts: Sequence[Quantiles], windows: Sequence[int], scored: int, forecasts: Forecasts
) -> Floats:
    levels = [forecasts.levels.index(level) for level in scores.LEVELS]
    quantile_IEQ = np.stack([expert.peaks_NWQ[:, scored][:, levels] for expert in experts], axis=1)
    page, row, window = scores.Page(), np.zeros(1, np.int64), np.array([windows[scored]])
    weight_IE = np.zeros((len(minutes.minute_I), len(experts)), np.float32)
    for i, minute in enumerate(minutes.minute_I.tolist()):
        now = np.array([minute])
        for slot in scores.due(page, row, now, window)[1]:
            noted = int(page.noted_at[0, slot])
            truth = minutes.truth(noted + 1, noted + int(page.noted_minutes[0, slot]), minute)
            scores.learn(page, row, np.array([slot]), window, np.array([truth], np.float32))
        if forecasts.newest_I[i] >= 0:
            scores.note(page, row, now, window, quantile_IEQ[i : i + 1], minutes.lag_I[i : i + 1])
        weight_IE[i] = scores.weights(page, row, now)[0]
    return weight_IE


def _mixed(forecasts: Forecasts, experts: Sequence[Quantiles], weight_IE: Floats, windows: int) -> Forecasts:
    peaks_IWQ, steps_IHQ, heard_IE = mix(experts, weight_IE)
    assert forecasts.peaks_IWQ is not None
    made = np.maximum(forecasts.newest_I, 0)
    all_peaks, all_steps = forecasts.peaks_IWQ[made], forecasts.quantiles_IHQ[made]
    all_peaks[:, :windows], all_steps[:, : steps_IHQ.shape[1]] = peaks_IWQ, steps_IHQ
    return replace(
        forecasts,
        newest_I=np.where(forecasts.newest_I >= 0, np.arange(len(made)), -1),
        peaks_IWQ=np.maximum.accumulate(all_peaks, axis=1),
        quantiles_IHQ=all_steps,
        past_shares_IE=heard_IE[:, 1:],
    )


def _trailing_mean(value_M: Floats, count: int) -> Floats:
    """The mean of the known among the last `count` values, at each; NaN without any."""
    known = ~np.isnan(value_M)
    total, number = (
        np.concatenate([[0.0], np.cumsum(part, dtype=np.float64)]) for part in (np.where(known, value_M, 0), known)
    )
    last = np.arange(1, len(value_M) + 1)
    first = np.maximum(last - count, 0)
    found = number[last] - number[first]
    return np.where(found > 0, (total[last] - total[first]) / np.maximum(found, 1), np.nan).astype(np.float32)

"""Prophet per series, corrected by its newest residuals, with quantiles of its own errors on held-out windows.

Prophet alone is a calendar: it ignores recent demand. So each step ahead is corrected by shares of the newest residuals
(means of the last 1, 5 and 15 minutes of demand less Prophet's path) and of the path's drift until then. The shares per
lead come from ridge regression on the held-out span, per series, shrunk towards that of all series. Without correction
(`level_correction=False`, then named "prophet") the model is Prophet alone.

Spread: quantiles of the errors on the held-out span, which a first fit has not seen, in units of the unrest of the
residuals during the last hour; per series, shrunk towards those of all series. Errors of peaks are those of the largest
value of the corrected path. Then Prophet is fitted again, to everything.

Axes: N windows, T past steps, H future steps, W window lengths, S series, A anchor leads, R residuals, Q levels, and
those of prophet_graph.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from scaler.bundle.signature import HISTORY, LOCAL_TIME, SERIES
from training import graph
from training.data.windows import Past, Windows, cut, cutoffs
from training.errors import ModelError
from training.models import Training
from training.models.earlier import before, borders
from training.models.empirical import (
    RECENT_STEPS,
    Values,
    answerable,
    batches,
    error_quantiles,
    joined,
    over,
    prediction,
    trailing_mean,
)
from training.models.prophet_fit import INTERRUPTED, Choices, fit_components
from training.models.prophet_graph import Components, Integers, noise_nodes, path, path_nodes, scale_nodes
from training.progress import Progress, no_progress
from training.task import Prediction, Task

RESIDUAL_SECONDS = (60, 300, 900)
"""newest spans over which residuals are averaged"""
UNREST_SECONDS = 3600
UNREST_LAG_SECONDS = 300
LEAST_UNREST = 0.1
"""of Prophet's own noise"""
UNREST_POWER = 0.5
ANCHORS = (1, 2, 3, 5, 10, 15, 30, 60, 90, 120)
"""leads, in steps, at which shares and quantiles are fitted; in between they are interpolated"""
MOST_WINDOWS, MOST_WINDOWS_PER_SERIES, FEWEST_WINDOWS_PER_SERIES = 40_000, 1000, 50
"""to calibrate on"""
SHRINK_SHARES = 20.0
SHRINK_QUANTILES = 50.0
"""with this many own windows a series counts as much as all others"""


@dataclass(frozen=True)
class Calibration:
    """Shares of the newest residuals at each lead, and quantiles of the errors, in units of unrest."""

    share_SAR: Values
    """the last R is the share of the path's drift: with shares 1 and -1 the result is persistence"""
    steps_SAQ: Values
    peaks_SWQ: Values


class Prophet:
    """Prophet per series; "prophet-level" with correction by the newest residuals, "prophet" without.

    choices: by default Prophet's own, but with correction the trend is flat: a trend would only add its extrapolation
    error (15-20 % of RMSE at two hours). jobs: number of series fitted in parallel by joblib; `joblib.parallel_config`
    can distribute the fits. `failed`: why a series has no forecast (its windows are NaN).
    """

    def __init__(self, choices: Choices | None = None, level_correction: bool = True, jobs: int = 1) -> None:
        self.name = "prophet-level" if level_correction else "prophet"
        self.failed: dict[str, str] = {}
        self._choices = choices or Choices(growth="flat" if level_correction else "linear")
        self._level_correction = level_correction
        self._jobs = jobs
        self._series: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The series it was fitted to, in the order of `Windows.names`; an empty name in place of each in `failed`."""
        return tuple("" if name in self.failed else name for name in self._series)

    @property
    def components(self) -> Components:
        """Prophet's parameters, fitted to the whole record; see `training.models.prophet_graph.path`."""
        return self._components

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        """Fit twice: up to the held-out windows for calibration on these, then to everything.

        Returns the numbers of fitted and failed series. Raises ModelError if none could be fitted, or there are too few
        held-out windows to calibrate. After an interrupt of the first fits it serves the series fitted so far; of the
        second, all series with their first fit.
        """
        task, series = training.task, training.series
        self._task, self._series = task, training.windows.names
        until = [_first_cutoff(training.held_out, s, one.end) for s, one in enumerate(series)]
        early = fit_components(series, until, self._choices, training.seed, self._jobs, _part(progress, 0.0, 0.5))
        spans = _dense(task, training)
        self._calibration = calibrate(spans[0], early[0], spans[1], self._level_correction)
        ends, final = [one.end for one in series], early
        if not _interrupted(early):
            final = fit_components(series, ends, self._choices, training.seed, self._jobs, _part(progress, 0.5, 1.0))
        self._components, self.failed = early if _interrupted(final) else final
        return {"series": float(len(series) - len(self.failed)), "failed": float(len(self.failed))}

    def predict_quantiles(self, past: Past) -> Prediction:
        """See `Model`. NaN for a series in `failed`, and with too little or no recent history."""
        return joined([_predict(self._task, self._components, self._calibration, one) for one in batches(past)])

    def predict_held_out(self, training: Training, progress: Progress = no_progress) -> Prediction:
        """Predictions for the held-out windows by a fit and a calibration to what came before them.

        Raises ModelError if that is too short, and KeyboardInterrupt if it is interrupted: half of a fit says nothing.
        """
        (border_S,) = borders(training, (1.0,))
        self.fit(before(training, border_S), progress)
        if INTERRUPTED in self.failed.values():
            raise KeyboardInterrupt
        return self.predict_quantiles(training.held_out.past)

    def to_onnx(self) -> bytes:
        """See `Model`."""
        return _graph(self._task, self._components, self._calibration, self.name)


def _interrupted(fitted: tuple[Components, Mapping[str, str]]) -> bool:
    return INTERRUPTED in fitted[1].values()


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda doing, share: progress(doing, start + (end - start) * share)


def _dense(task: Task, training: Training) -> tuple[Task, Windows]:
    """(task, windows): more windows of the held-out spans, with only the history that is used."""
    looked, grid, held_out = _looked_back(task), task.grid, training.held_out
    most = min(MOST_WINDOWS_PER_SERIES, max(FEWEST_WINDOWS_PER_SERIES, MOST_WINDOWS // len(training.series)))
    chosen = []
    for s, one in enumerate(training.series):
        moments = held_out.cutoff_N[held_out.series_N == s]
        until = moments.max() + task.horizon_steps * grid.step_seconds if len(moments) else 0.0
        dense = cutoffs(one, most, task.horizon_steps, moments.min(), until) if len(moments) else moments
        chosen.append((one, dense))
    narrow = replace(grid, steps=looked, coarse_steps=1)
    windows = cut(chosen, narrow, task.horizon_steps)
    return replace(task, grid=narrow, minimum_history_steps=max(1, looked // 2)), windows


def _first_cutoff(windows: Windows, series: int, otherwise: float) -> float:
    moments = windows.cutoff_N[windows.series_N == series]
    return float(moments.min()) if len(moments) else otherwise


# --- state of a window, in numpy


@dataclass(frozen=True)
class PathState:
    """Everything but `ahead_NH` (demand) and `scale_N` is relative to the scale of the series."""

    ahead_NH: Values
    drift_NH: Values
    """drift of the path from now on"""
    residual_NR: Values
    """means of the newest residuals; 0 if none is known"""
    unrest_N: Values
    scale_N: Values


def path_state(task: Task, components: Components, past: Past) -> PathState:
    """Prophet's path ahead and its recent residuals. NaN for series that could not be fitted."""
    rows, looked = past.series_N, _looked_back(task)
    ahead_NH = path(components, rows, past.local_time_N, _ahead(task))
    scale_N = np.where(components.fitted_S[rows], components.scale_S[rows], np.nan)
    before = path(components, rows, past.local_time_N, _behind(task, looked)) / scale_N[:, None]
    residual = past.history_NT[:, -looked:] / scale_N[:, None] - before
    means = np.stack([np.nan_to_num(trailing_mean(residual, steps)) for steps in _residual_steps(task)], axis=1)
    lag = _steps(task, UNREST_LAG_SECONDS)
    change = np.abs(residual[:, lag:] - residual[:, :-lag])
    known = ~np.isnan(change)
    noise_N = components.noise_S[rows]
    moved_N = over(np.where(known, change, 0.0).sum(axis=1), known.sum(axis=1))
    drift_NH = ahead_NH / scale_N[:, None] - before[:, -1:]
    return PathState(
        ahead_NH, drift_NH, means, _unrest(np.where(np.isnan(moved_N), noise_N, moved_N), noise_N), scale_N
    )


def _unrest(moved: Any, noise: Any) -> Any:
    """Between Prophet's own noise and the changes of the last hour."""
    return noise * (moved / np.maximum(noise, graph.TINY) + LEAST_UNREST) ** UNREST_POWER


def _steps(task: Task, seconds: int) -> int:
    return max(1, round(seconds / task.grid.step_seconds))


def _residual_steps(task: Task) -> list[int]:
    return sorted({_steps(task, seconds) for seconds in RESIDUAL_SECONDS})


def _looked_back(task: Task) -> int:
    lag, span = _steps(task, UNREST_LAG_SECONDS), max(4, _steps(task, UNREST_SECONDS))
    return min(task.grid.steps, max(lag + span, *_residual_steps(task), RECENT_STEPS))


def _ahead(task: Task) -> list[int]:
    return [task.grid.step_seconds * step for step in range(1, task.horizon_steps + 1)]


def _behind(task: Task, steps: int) -> list[int]:
    return [task.grid.step_seconds * step for step in range(1 - steps, 1)]


def _anchors(task: Task) -> list[int]:
    return [*(lead for lead in ANCHORS if lead < task.horizon_steps), task.horizon_steps]


def _between(task: Task) -> Values:
    """[H, A]"""
    return np.asarray(graph.between(_anchors(task), range(1, task.horizon_steps + 1)), np.float64)


# --- calibration on residuals


def calibrate(task: Task, components: Components, windows: Windows, level_correction: bool) -> Calibration:
    """Shares of the newest residuals, then quantiles of the remaining errors, both from `windows`.

    Prophet should not have seen these. Raises ModelError if there are too few.
    """
    rows = np.flatnonzero(answerable(task, windows.past) & components.fitted_S[windows.series_N])
    windows = windows.take(rows)
    state = path_state(task, components, windows.past)
    missed_NH = (windows.truth.demand_NH - state.ahead_NH) / state.scale_N[:, None]
    series_N, count = windows.series_N, len(components.fitted_S)
    share_SAR = np.zeros((count, len(_anchors(task)), state.residual_NR.shape[1] + 1))
    if level_correction:
        anchors = np.asarray(_anchors(task)) - 1
        noise_N1 = np.maximum(components.noise_S[series_N, None], graph.TINY)
        known_NAR = np.concatenate(
            [np.repeat(state.residual_NR[:, None], len(anchors), axis=1), state.drift_NH[:, anchors, None]], axis=2
        )
        share_SAR = _shares(missed_NH[:, anchors] / noise_N1, known_NAR / noise_N1[:, None], series_N, count)
    moved_NH = _moved(task, state, share_SAR, series_N)
    unit_N1 = (state.unrest_N * state.scale_N)[:, None]
    steps = (windows.truth.demand_NH - moved_NH) / unit_N1
    peaks = (windows.truth.peaks(task.peak_steps) - _reached(task, moved_NH)) / unit_N1
    return Calibration(
        share_SAR,
        _quantiles(steps, range(1, task.horizon_steps + 1), _anchors(task), series_N, count, task.levels),
        _quantiles(peaks, task.peak_steps, task.peak_steps, series_N, count, task.levels),
    )


def _shares(missed_NA: Values, known_NAR: Values, series_N: Integers, count: int) -> Values:
    """Ridge regression of future residuals on known ones, per series, shrunk towards that of all series. [S, A, R]

    Windows with large known residuals have less weight, so that one outage does not dominate.
    """
    share_SAR = np.zeros((count, missed_NA.shape[1], known_NAR.shape[2]))
    known_NA = np.isfinite(missed_NA)
    missed_NA = np.where(known_NA, missed_NA, 0.0)
    for a, missed_N in enumerate(missed_NA.T):
        known_NR = known_NAR[:, a]
        weight_N1 = known_NA[:, a, None] / (1 + (known_NR**2).mean(axis=1, keepdims=True))
        pooled_R = _ridge(known_NR, missed_N, weight_N1, np.zeros(known_NR.shape[1]))
        for s in range(count):
            own = series_N == s
            share_SAR[s, a] = _ridge(known_NR[own], missed_N[own], weight_N1[own], pooled_R)
    return share_SAR


def _ridge(known_NR: Values, missed_N: Values, weight_N1: Values, towards_R: Values) -> Values:
    weighted = (known_NR * weight_N1).T
    gram = weighted @ known_NR + SHRINK_SHARES * np.eye(len(towards_R))
    return np.asarray(np.linalg.solve(gram, weighted @ missed_N + SHRINK_SHARES * towards_R))


def _quantiles(
    errors_NK: Values,
    leads: Sequence[int],
    wanted: Sequence[int],
    series_N: Integers,
    count: int,
    levels: Sequence[float],
) -> Values:
    """Quantiles per series at the `wanted` leads, each between its own and those of all series. [S, A, Q]"""
    if not wanted:
        return np.zeros((count, 0, len(levels)))
    places = [list(leads).index(lead) for lead in wanted]
    pooled = error_quantiles(errors_NK, leads, levels)[places]
    found = np.empty((count, len(wanted), len(levels)))
    for s in range(count):
        own_NK = errors_NK[series_N == s]
        weight = len(own_NK) / (len(own_NK) + SHRINK_QUANTILES)
        try:
            own = error_quantiles(own_NK, leads, levels)[places]
        except ModelError:
            own = pooled
        found[s] = weight * own + (1 - weight) * pooled
    return found


def _moved(task: Task, state: PathState, share_SAR: Values, series_N: Integers) -> Values:
    """Prophet's path ahead, corrected by its newest residuals, in demand. [N, H]"""
    left_NA = np.einsum("nar,nr->na", share_SAR[series_N, :, :-1], state.residual_NR)
    taken_NA = share_SAR[series_N, :, -1]
    change = left_NA @ _between(task).T + (taken_NA @ _between(task).T) * state.drift_NH
    return np.asarray(state.ahead_NH + change * state.scale_N[:, None], np.float64)


def _reached(task: Task, moved_NH: Values) -> Values:
    """[N, W]"""
    return np.asarray(np.maximum.accumulate(moved_NH, axis=1)[:, np.asarray(task.peak_steps, np.int64) - 1])


def _predict(task: Task, components: Components, calibration: Calibration, past: Past) -> Prediction:
    state, rows = path_state(task, components, past), past.series_N
    moved_NH = _moved(task, state, calibration.share_SAR, rows)
    unit_N11 = (state.unrest_N * state.scale_N)[:, None, None]
    steps = moved_NH[:, :, None] + unit_N11 * (_between(task) @ calibration.steps_SAQ[rows])
    peaks = _reached(task, moved_NH)[:, :, None] + unit_N11 * calibration.peaks_SWQ[rows]
    return prediction(answerable(task, past) & components.fitted_S[rows], steps, peaks)


# --- the same as nodes


def _graph(task: Task, components: Components, calibration: Calibration, name: str) -> bytes:
    with graph.building(name) as (builder, op):
        inputs = graph.inputs(builder, task.sizes, per_series=True)
        series, local_time = inputs[SERIES.name], inputs[LOCAL_TIME.name]
        demand = graph.masked(op, inputs[HISTORY.name])
        scale = scale_nodes(op, components, series)
        looked, total = _looked_back(task), task.grid.steps
        both = path_nodes(op, components, series, local_time, [*_behind(task, looked), *_ahead(task)])
        newest = graph.cut(op, demand, total - looked, total)
        residual = graph.Masked((newest.value / scale - graph.part(op, both, 0, looked)) * newest.valid, newest.valid)
        moved = graph.part(op, both, looked, looked + task.horizon_steps)
        if calibration.share_SAR.any():
            drift = moved - graph.part(op, both, looked - 1, looked)
            moved = moved + _left_nodes(op, task, residual, drift, calibration, series)
        unit = op.Unsqueeze(_unrest_nodes(op, task, residual, noise_nodes(op, components, series)), [2])
        by_anchor = graph.rows(op, graph.floats(calibration.steps_SAQ), series)
        spread = op.MatMul(graph.constant(op, graph.floats(_between(task))), by_anchor)
        steps = op.Unsqueeze(moved, [2]) + unit * spread
        peaks = None
        if task.peak_steps:
            pieces = [op.ReduceMax(graph.part(op, moved, *piece), [1]) for piece in pairwise((0, *task.peak_steps))]
            reached = graph.running_max(op, op.Concat(*pieces, axis=1), 1, len(pieces))
            peaks = op.Unsqueeze(reached, [2]) + unit * graph.rows(op, graph.floats(calibration.peaks_SWQ), series)
        known = graph.has_history(op, demand, total, task.minimum_history_steps, RECENT_STEPS)
        size = op.Unsqueeze(op.Where(known, scale, graph.missing(op)), [2])
        graph.give(builder, op, task.sizes, steps * size, None if peaks is None else peaks * size)
        return graph.serialised(builder, "headway")


def _left_nodes(op: Any, task: Task, residual: graph.Masked, drift: Any, calibration: Calibration, series: Any) -> Any:
    looked = _looked_back(task)
    means = [graph.mean(op, graph.cut(op, residual, looked - steps, looked)) for steps in _residual_steps(task)]
    shares = graph.rows(op, graph.floats(calibration.share_SAR[:, :, :-1]), series)
    left = op.Squeeze(op.MatMul(shares, op.Unsqueeze(op.Concat(*means, axis=1), [2])), [2])
    taken = graph.rows(op, graph.floats(calibration.share_SAR[:, :, -1]), series)
    between = graph.constant(op, graph.floats(_between(task).T))
    return op.MatMul(left, between) + op.MatMul(taken, between) * drift


def _unrest_nodes(op: Any, task: Task, residual: graph.Masked, noise: Any) -> Any:
    looked, lag = _looked_back(task), _steps(task, UNREST_LAG_SECONDS)
    now, before = graph.cut(op, residual, lag, looked), graph.cut(op, residual, 0, looked - lag)
    both = now.valid * before.valid
    moved = graph.mean(op, graph.Masked(op.Abs(now.value - before.value) * both, both))
    moved = op.Where(op.Greater(op.ReduceSum(both, [1]), 0.0), moved, noise)
    return noise * op.Pow(moved / op.Max(noise, graph.TINY) + LEAST_UNREST, UNREST_POWER)

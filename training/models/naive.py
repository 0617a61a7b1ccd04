"""Baselines for all other models: demand stays where it is, or repeats yesterday.

    persistence     the newest known value, or the mean of the newest five steps, whichever erred less in training
    seasonal-naive  the value at the same time yesterday, or a week ago if that erred less in training; a peak is the
                    largest value of the same window yesterday. If that day is unknown: persistence
    naive           per range of leads the better of the two on held-out windows

Their spread is the rule's own errors in training, pooled over all series in units of each window: for persistence the
mean change over the lead during the history, for the season the mean change from day to day (week to week). Errors of
peaks are those of the peak itself.

Axes: N windows, T past steps, L coarse past blocks, H future steps, W window lengths, A anchor leads, Q levels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx_ir as ir

from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY
from training import graph
from training.data.windows import Past, Windows
from training.errors import ModelError
from training.graph import Masked
from training.models import Training
from training.models.empirical import (
    RECENT_STEPS,
    Mask,
    Values,
    answerable,
    batches,
    error_quantiles,
    joined,
    over,
    pinball,
    prediction,
    trailing_mean,
)
from training.progress import Progress, no_progress
from training.task import DAY_SECONDS, WEEK_SECONDS, Prediction, Task

ANCHORS = (1, 2, 5, 15, 30, 60, 120)
"""leads, in steps, at which change is measured; in between it is interpolated"""
LEAST_CHANGE = 0.01
"""of the mean demand: the least change, for series that hardly move"""
FEWEST_PAIRS = 4
"""with fewer changes over a lead, those over the lead before it grow with the square root of the lead"""
BUCKETS_SECONDS = (300, 900, 1800, 3600)
"""upper ends of the ranges of leads in which one of the rules is chosen; the last range is open"""


@dataclass(frozen=True)
class RuleForecast:
    """A rule's centre and unit of each step and peak; numpy arrays, or nodes of a graph. NaN: unknown."""

    steps_NH: Any
    peaks_NW: Any
    step_unit_NH: Any
    peak_unit_NW: Any


@dataclass(frozen=True)
class Spread:
    """Quantiles of a rule's errors, in its units."""

    steps_HQ: Values
    peaks_WQ: Values


@dataclass(frozen=True)
class NaiveParameters:
    """The parameters: the variant of each rule, their spreads, and the leads for which the season is used."""

    mean_level: bool
    weekly: bool
    spreads: tuple[Spread, Spread]
    """of persistence and of the season"""
    seasonal_H: Mask
    seasonal_W: Mask


class _NaiveModel:
    name: str
    series: tuple[str, ...] = ()

    _task: Task
    _fitted: NaiveParameters

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        """Measure both rules' errors and choose between their variants.

        Returns `weekly` and `mean_level` (whether that variant was chosen) and `seasonal_share` of the leads. Raises
        ModelError if the history does not span a day, or too few windows have both a history and a recorded future.
        """
        task, windows = training.task, training.windows
        if task.grid.fine_span_seconds < DAY_SECONDS:
            raise ModelError(f"{self.name}: the history must span a day, it spans {task.grid.fine_span_seconds} s")
        progress(self.name, 0.0)
        mean_level, weekly = _variants(task, windows)
        progress(self.name, 0.4)
        stays = _in_batches(windows.past, lambda past: persistence(task, past, mean_level))
        repeats = _in_batches(windows.past, lambda past: season(task, past, weekly))
        spreads = _spread(task, windows, stays), _spread(task, windows, repeats)
        progress(self.name, 0.7)
        fitted = NaiveParameters(mean_level, weekly, spreads, *_everywhere(task, False))
        seasonal_H, seasonal_W = self._choose(training, fitted)
        self._task, self._fitted = task, replace(fitted, seasonal_H=seasonal_H, seasonal_W=seasonal_W)
        progress(self.name, 1.0)
        share = float(np.concatenate([seasonal_H, seasonal_W]).mean())
        return {"weekly": float(weekly), "mean_level": float(mean_level), "seasonal_share": share}

    def _choose(self, training: Training, fitted: NaiveParameters) -> tuple[Mask, Mask]:
        """The steps and the window lengths for which the season is used."""
        raise NotImplementedError

    def predict_quantiles(self, past: Past) -> Prediction:
        """See `Model`. NaN for a window with too little or no recent history."""
        return joined([_predict(self._task, self._fitted, batch) for batch in batches(past)])

    def to_onnx(self) -> bytes:
        """See `Model`."""
        return _graph(self._task, self._fitted, self.name)


class Persistence(_NaiveModel):
    """Demand stays where it is."""

    name = "persistence"

    def _choose(self, training: Training, fitted: NaiveParameters) -> tuple[Mask, Mask]:
        return _everywhere(training.task, False)


class SeasonalNaive(_NaiveModel):
    """Demand repeats the same time yesterday, or a week ago."""

    name = "seasonal-naive"

    def _choose(self, training: Training, fitted: NaiveParameters) -> tuple[Mask, Mask]:
        return _everywhere(training.task, True)


class Naive(_NaiveModel):
    """Per range of leads the better of persistence and seasonal naive, by pinball loss on held-out windows."""

    name = "naive"

    def _choose(self, training: Training, fitted: NaiveParameters) -> tuple[Mask, Mask]:
        task, windows = training.task, training.held_out
        stays, repeats = (
            _losses(task, windows, replace(fitted, seasonal_H=everywhere[0], seasonal_W=everywhere[1]))
            for everywhere in (_everywhere(task, False), _everywhere(task, True))
        )
        return _better(task, _steps(task), stays[0], repeats[0]), _better(task, task.peak_steps, stays[1], repeats[1])


def _everywhere(task: Task, seasonal: bool) -> tuple[Mask, Mask]:
    return np.full(task.horizon_steps, seasonal), np.full(len(task.peak_steps), seasonal)


def _losses(task: Task, windows: Windows, fitted: NaiveParameters) -> tuple[Values, Values]:
    """Pinball losses of steps and peaks, in units of each window's changes. [N, H], [N, W]"""
    predicted = joined([_predict(task, fitted, batch) for batch in batches(windows.past)])
    units = [
        np.concatenate(unit) for unit in zip(*(_changes(task, batch) for batch in batches(windows.past)), strict=True)
    ]
    known = answerable(task, windows.past)[:, None]
    return (
        _relative(pinball(windows.truth.demand_NH, predicted.quantiles_NHQ, task.levels), units[0], known),
        _relative(pinball(windows.truth.peaks(task.peak_steps), predicted.peaks_NWQ, task.levels), units[1], known),
    )


def _better(task: Task, leads: Sequence[int], stays_NK: Values, repeats_NK: Values) -> Mask:
    """Where the second loss is smaller, decided per range of leads; False if unknown."""
    bucket_K = np.searchsorted(BUCKETS_SECONDS, np.asarray(leads) * task.grid.step_seconds)
    both = np.isfinite(stays_NK) & np.isfinite(repeats_NK)
    gain_K = np.where(both, stays_NK - repeats_NK, 0.0).sum(axis=0)
    return np.array([gain_K[bucket_K == bucket].sum() > 0 for bucket in bucket_K])


def _variants(task: Task, windows: Windows) -> tuple[bool, bool]:
    """Whether the mean level, and the weekly season, erred less on the windows where both variants are known."""
    by_newest, by_mean, daily, weekly = (
        _in_batches(windows.past, rule)
        for rule in (
            lambda past: persistence(task, past, False),
            lambda past: persistence(task, past, True),
            lambda past: season(task, past, False),
            lambda past: season(task, past, _weeks_known(task)),
        )
    )
    return _second_errs_less(windows, by_newest, by_mean), _second_errs_less(windows, daily, weekly)


def _in_batches(past: Past, rule: Callable[[Past], RuleForecast]) -> RuleForecast:
    parts = [astuple(rule(batch)) for batch in batches(past)]
    return RuleForecast(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _second_errs_less(windows: Windows, first: RuleForecast, second: RuleForecast) -> bool:
    errors = [np.abs(windows.truth.demand_NH - seen.steps_NH) for seen in (first, second)]
    gain = _relative(errors[0] - errors[1], first.step_unit_NH, np.ones((len(windows), 1), np.bool_))
    return bool(np.nansum(gain) > 0)


def _spread(task: Task, windows: Windows, rule: RuleForecast) -> Spread:
    known = answerable(task, windows.past)[:, None]
    steps_NH = _relative(windows.truth.demand_NH - rule.steps_NH, rule.step_unit_NH, known)
    peaks_NW = _relative(windows.truth.peaks(task.peak_steps) - rule.peaks_NW, rule.peak_unit_NW, known)
    no_peaks = np.zeros((0, len(task.levels)))
    return Spread(
        error_quantiles(steps_NH, _steps(task), task.levels),
        error_quantiles(peaks_NW, task.peak_steps, task.levels) if task.peak_steps else no_peaks,
    )


def _relative(error: Values, unit: Values, known_N1: Mask) -> Values:
    return np.asarray(error / np.where(known_N1 & (unit > 0), unit, np.nan), np.float64)


# --- in numpy


def persistence(task: Task, past: Past, mean_level: bool) -> RuleForecast:
    """Demand stays at its level; the unit is the change over the lead."""
    newest = past.history_NT[:, -RECENT_STEPS:].astype(np.float64)
    last = RECENT_STEPS - 1 - np.argmax(~np.isnan(newest[:, ::-1]), axis=1)
    level_N = trailing_mean(newest, RECENT_STEPS) if mean_level else newest[np.arange(len(newest)), last]
    unit_NH, unit_NW = _changes(task, past)
    level_NH, level_NW = (np.broadcast_to(level_N[:, None], unit.shape) for unit in (unit_NH, unit_NW))
    return RuleForecast(level_NH, level_NW, unit_NH, unit_NW)


def season(task: Task, past: Past, weekly: bool) -> RuleForecast:
    """Demand repeats yesterday (last week); the unit is the change since. NaN if that is unknown."""
    yesterday_NH = past.history_NT[:, _yesterday(task)].astype(np.float64)
    steps_NH, unit_N1 = yesterday_NH, _change_since(task, past, DAY_SECONDS)
    if weekly:
        steps_NH = _first_known(_week_ago(task, past), yesterday_NH)
        unit_N1 = _first_known(_change_since(task, past, WEEK_SECONDS), unit_N1)
    known_NH = ~np.isnan(yesterday_NH)
    highest_NH = np.maximum.accumulate(np.where(known_NH, yesterday_NH, -np.inf), axis=1)
    half_NH = 2 * known_NH.cumsum(axis=1) >= np.asarray(_steps(task))
    peaks_NW = np.where(half_NH, highest_NH, np.nan)[:, np.asarray(task.peak_steps, np.int64) - 1]
    return RuleForecast(steps_NH, peaks_NW, *(_first_known(unit_N1, change) for change in _changes(task, past)))


def _first_known(value: Values, otherwise: Values) -> Values:
    return np.asarray(np.where(np.isnan(value), otherwise, value), np.float64)


def _steps(task: Task) -> range:
    return range(1, task.horizon_steps + 1)


def _yesterday(task: Task) -> list[int]:
    """Position in the history of each step ahead, a day before; beyond a day ahead, the newest day again."""
    day = DAY_SECONDS // task.grid.step_seconds
    return [task.grid.steps - day + (step - 1) % day for step in _steps(task)]


def _anchors(task: Task) -> list[int]:
    longest = min(task.horizon_steps, task.grid.steps // 2)
    return [*(lead for lead in ANCHORS if lead < longest), longest]


def _changes(task: Task, past: Past) -> tuple[Values, Values]:
    """Mean absolute change of demand over each lead, at least a share of the mean demand. [N, H], [N, W]"""
    demand = past.history_NT.astype(np.float64)
    least_N = _least(task, demand)
    anchors, by_anchor = _anchors(task), [least_N]
    for before, lead in zip((1, *_anchors(task)), anchors, strict=False):
        change_N = _mean_change(demand[:, lead:], demand[:, :-lead])
        borrowed_N = by_anchor[-1] * (lead / before) ** 0.5
        by_anchor.append(np.maximum(_first_known(change_N, borrowed_N), least_N))
    unit_NA = np.stack(by_anchor[1:], axis=1)
    return unit_NA @ graph.between(anchors, _steps(task)).T, unit_NA @ graph.between(anchors, task.peak_steps).T


def _least(task: Task, demand_NT: Values) -> Values:
    return np.asarray(LEAST_CHANGE * np.nan_to_num(trailing_mean(demand_NT, task.grid.steps)))


def _mean_change(now: Values, before: Values) -> Values:
    """Mean absolute difference where both are known; NaN if there are too few. [N]"""
    change = np.abs(now - before)
    known = ~np.isnan(change)
    count = known.sum(axis=1)
    return over(np.where(known, change, 0.0).sum(axis=1), np.where(count >= FEWEST_PAIRS, count, 0))


def _change_since(task: Task, past: Past, seconds: int) -> Values:
    """Mean absolute change of the last day's blocks since `seconds` before; NaN if too few are known. [N, 1]"""
    blocks = past.long_history_NL2[:, :, 0].astype(np.float64)
    now, before = _blocks_since(task, seconds)
    least_N = _least(task, past.history_NT.astype(np.float64))
    return np.maximum(_mean_change(blocks[:, now], blocks[:, before]), least_N)[:, None]


def _blocks_since(task: Task, seconds: int) -> tuple[slice, slice]:
    """The last day's blocks that have one `seconds` before them, and those."""
    grid = task.grid
    since = seconds // grid.coarse_seconds
    first = max(grid.coarse_steps - DAY_SECONDS // grid.coarse_seconds, since)
    return slice(first, grid.coarse_steps), slice(first - since, max(first, grid.coarse_steps) - since)


def _week_ago(task: Task, past: Past) -> Values:
    """Block means a week before each step, interpolated between the centres of blocks. [N, H]"""
    blocks = past.long_history_NL2[:, :, 0].astype(np.float64)
    into_block_N1 = past.local_time_N[:, None] % task.grid.coarse_seconds
    place_NH = _half_seconds(task) + 2 * into_block_N1
    width = 2 * task.grid.coarse_seconds
    left_NH = np.clip(place_NH // width, 0, task.grid.coarse_steps - 1)
    right_NH = np.minimum(left_NH + 1, task.grid.coarse_steps - 1)
    before, after = (np.take_along_axis(blocks, index, axis=1) for index in (left_NH, right_NH))
    return np.asarray(before + (after - before) * (place_NH % width / width), np.float64)


def _half_seconds(task: Task) -> Any:
    """Half seconds from the first block's centre to the middle of each step a week before, at the end of a block. [H]

    Integers, so that every machine finds the same blocks.
    """
    grid = task.grid
    middles = (2 * np.arange(1, task.horizon_steps + 1, dtype=np.int64) - 1) * grid.step_seconds
    return (2 * grid.coarse_steps - 1) * grid.coarse_seconds + middles - 2 * WEEK_SECONDS


def _weeks_known(task: Task) -> bool:
    """Whether the long history reaches back a week."""
    return bool(_half_seconds(task)[0] >= 0)


def _predict(task: Task, fitted: NaiveParameters, past: Past) -> Prediction:
    stays, repeats = persistence(task, past, fitted.mean_level), season(task, past, fitted.weekly)
    with_spread = [_with_spread(rule, spread) for rule, spread in zip((stays, repeats), fitted.spreads, strict=True)]
    steps, peaks = (
        np.where(mask[:, None] & ~np.isnan(repeats), repeats, stays)
        for mask, stays, repeats in zip((fitted.seasonal_H, fitted.seasonal_W), *with_spread, strict=True)
    )
    return prediction(answerable(task, past), steps, peaks)


def _with_spread(rule: RuleForecast, spread: Spread) -> tuple[Values, Values]:
    return (
        rule.steps_NH[:, :, None] + rule.step_unit_NH[:, :, None] * spread.steps_HQ,
        rule.peaks_NW[:, :, None] + rule.peak_unit_NW[:, :, None] * spread.peaks_WQ,
    )


# --- the same as nodes


def _graph(task: Task, fitted: NaiveParameters, name: str) -> bytes:
    with graph.building(name) as (builder, op):
        inputs = graph.inputs(builder, task.sizes)
        demand = graph.masked(op, inputs[HISTORY.name])
        stays = _persistence_nodes(op, task, demand, fitted.mean_level)
        answers = _spread_nodes(op, stays, fitted.spreads[0])
        if fitted.seasonal_H.any() or fitted.seasonal_W.any():
            repeats = _season_nodes(op, task, demand, stays, inputs, fitted.weekly)
            answers = tuple(
                op.Where(op.And(graph.constant(op, mask[:, None]), op.Not(op.IsNaN(seasonal))), seasonal, stay)
                for mask, seasonal, stay in zip(
                    (fitted.seasonal_H, fitted.seasonal_W),
                    _spread_nodes(op, repeats, fitted.spreads[1]),
                    answers,
                    strict=True,
                )
            )
        known = op.Unsqueeze(
            graph.has_history(op, demand, task.grid.steps, task.minimum_history_steps, RECENT_STEPS), [2]
        )
        steps, peaks = (op.Where(known, answer, graph.missing(op)) for answer in answers)
        graph.give(builder, op, task.sizes, steps, peaks)
        return graph.serialised(builder, "headway")


def _spread_nodes(op: Any, rule: RuleForecast, spread: Spread) -> tuple[Any, Any]:
    steps, peaks = (
        op.Unsqueeze(centre, [2]) + op.Unsqueeze(unit, [2]) * graph.constant(op, graph.floats(quantiles))
        for centre, unit, quantiles in (
            (rule.steps_NH, rule.step_unit_NH, spread.steps_HQ),
            (rule.peaks_NW, rule.peak_unit_NW, spread.peaks_WQ),
        )
    )
    return steps, peaks


def _persistence_nodes(op: Any, task: Task, demand: Masked, mean_level: bool) -> RuleForecast:
    total = task.grid.steps
    newest = graph.cut(op, demand, total - RECENT_STEPS, total)
    level = graph.mean(op, newest) if mean_level else _newest(op, newest)
    unit_NA = _change_nodes(op, task, demand)
    steps, peaks = (
        op.MatMul(unit_NA, graph.constant(op, graph.between(_anchors(task), leads).T))
        for leads in (_steps(task), task.peak_steps)
    )
    return RuleForecast(level + steps * 0.0, level + peaks * 0.0, steps, peaks)


def _newest(op: Any, newest: Masked) -> Any:
    level = graph.part(op, newest.value, 0, 1)
    for i in range(1, RECENT_STEPS):
        known = op.Greater(graph.part(op, newest.valid, i, i + 1), 0.0)
        level = op.Where(known, graph.part(op, newest.value, i, i + 1), level)
    return level


def _change_nodes(op: Any, task: Task, demand: Masked) -> Any:
    """[N, A]"""
    total = task.grid.steps
    least = graph.mean(op, demand) * LEAST_CHANGE
    by_anchor = [least]
    for before, lead in zip((1, *_anchors(task)), _anchors(task), strict=False):
        now, then = graph.cut(op, demand, lead, total), graph.cut(op, demand, 0, total - lead)
        change = _mean_change_nodes(op, now, then, by_anchor[-1] * float((lead / before) ** 0.5))
        by_anchor.append(op.Max(change, least))
    return op.Concat(*by_anchor[1:], axis=1)


def _mean_change_nodes(op: Any, now: Masked, before: Masked, otherwise: Any) -> Any:
    both = now.valid * before.valid
    known = op.GreaterOrEqual(op.ReduceSum(both, [1]), float(FEWEST_PAIRS))
    return op.Where(known, graph.mean(op, Masked(op.Abs(now.value - before.value) * both, both)), otherwise)


def _season_nodes(
    op: Any, task: Task, demand: Masked, stays: RuleForecast, inputs: Mapping[str, Any], weekly: bool
) -> RuleForecast:
    blocks = graph.masked(op, op.Squeeze(graph.part(op, inputs[LONG_HISTORY.name], 0, 1, axis=2), [2]))
    then = Masked(*(graph.at(op, t, _yesterday(task)) for t in (demand.value, demand.valid)))
    least = graph.mean(op, demand) * LEAST_CHANGE
    steps, units = _or_nan(op, then), (stays.step_unit_NH, stays.peak_unit_NW)
    for seconds in (DAY_SECONDS, WEEK_SECONDS) if weekly else (DAY_SECONDS,):
        now, before = _blocks_since(task, seconds)
        pairs = [graph.cut(op, blocks, piece.start, piece.stop) for piece in (now, before)]
        change = _mean_change_nodes(op, pairs[0], pairs[1], graph.missing(op))
        units = tuple(op.Where(op.IsNaN(change), unit, op.Max(change, least)) for unit in units)
    if weekly:
        week_ago = _week_ago_nodes(op, task, blocks, inputs[LOCAL_TIME.name])
        steps = op.Where(op.IsNaN(week_ago), steps, week_ago)
    return RuleForecast(steps, _highest_nodes(op, task, then), *units)


def _or_nan(op: Any, tensor: Masked) -> Any:
    return op.Where(op.Greater(tensor.valid, 0.0), tensor.value, graph.missing(op))


def _highest_nodes(op: Any, task: Task, then: Masked) -> Any:
    """Largest value of each window, NaN if less than half of it is known. [N, H] → [N, W]."""
    leads = np.asarray(task.peak_steps)
    value = op.Where(op.Greater(then.valid, 0.0), then.value, -graph.HUGE)
    pieces = [op.ReduceMax(graph.part(op, value, *piece), [1]) for piece in pairwise((0, *task.peak_steps))]
    highest = graph.running_max(op, op.Concat(*pieces, axis=1), 1, len(pieces))
    within = graph.floats(np.arange(task.horizon_steps)[:, None] < leads)
    count = op.MatMul(then.valid, graph.constant(op, within))
    return op.Where(op.GreaterOrEqual(count * 2.0, graph.constant(op, graph.floats(leads))), highest, graph.missing(op))


def _week_ago_nodes(op: Any, task: Task, blocks: Masked, local_time: Any) -> Any:
    width, last = 2 * task.grid.coarse_seconds, task.grid.coarse_steps - 1
    into_block = op.Mod(op.Unsqueeze(local_time, [1]), task.grid.coarse_seconds)
    place = into_block * 2 + graph.constant(op, _half_seconds(task))
    left = op.Clip(op.Div(place, width), 0, last)
    share = op.Cast(op.Mod(place, width), to=ir.DataType.FLOAT) / float(width)
    known = _or_nan(op, blocks)
    before, after = (op.GatherElements(known, op.Min(i, last), axis=1) for i in (left, left + 1))
    return before + (after - before) * share

"""Level, restlessness, and the errors that the rule would have made during the last day. Axes: see the package."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import graph
from training.graph import Masked
from training.seasonal.choices import SeasonalModel

COMING_STEPS = 5
"""the level is to foresee the mean of this many steps"""


@dataclass(frozen=True)
class PastScaled:
    """What the rule knows, in scales: at every step [N, T], and at now and at each origin."""

    demand: Masked
    path: Any
    """of the past alone"""
    flat: Masked
    """demand without its path"""
    level: Any
    """and `known`: whether there is one. [N, 1 + S]"""
    known: Any
    unit: Any
    """what an error over each anchor lead is measured in. [N, A, 1 + S]"""


def past_of(op: Any, model: SeasonalModel, demand: Masked, path: Any, excess: Any) -> PastScaled:
    """`demand` [N, T]; `path` and `excess` [N, T + H] as `seasonal_paths` gives them."""
    path = graph.part(op, path, 0, model.steps)
    flat = Masked((demand.value - path) * demand.valid, demand.valid)
    level = _level(op, model, flat)
    moments = graph.everywhere(op, demand.value, _moments(model))
    return PastScaled(
        demand,
        path,
        flat,
        op.GatherElements(level.value, moments, axis=1),
        op.GatherElements(level.valid, moments, axis=1),
        op.Unsqueeze(_unrest(op, model, flat, level), [1]) * _burstiness(op, model, excess),
    )


def _moments(model: SeasonalModel) -> NDArray[np.int64]:
    """Now, and the origins from the newest to the oldest, as places in the past. [1 + S]."""
    return model.steps - 1 - np.array([0, *model.origin_ages(0)])


def _level(op: Any, model: SeasonalModel, flat: Masked) -> Masked:
    """Mix of trailing means, each weighted by how well it foresaw the steps that came. [N, T]."""
    until = model.steps - COMING_STEPS
    coming = graph.cut(op, graph.trailing_mean(op, flat, COMING_STEPS), COMING_STEPS, model.steps)
    weighted, weights = [], []
    for steps in model.level_steps:
        trailing = graph.trailing_mean(op, flat, steps)
        foreseen = graph.cut(op, trailing, 0, until)
        both = foreseen.valid * coming.valid
        miss = (foreseen.value - coming.value) * both
        squared = op.ReduceSumSquare(miss, [1]) / op.Max(op.ReduceSum(both, [1]), 1.0) + 1e-6
        trust = op.Reciprocal(squared * squared)
        weights.append(trailing.valid * trust)
        weighted.append(trailing.value * trust)
    return graph.over(op, op.Sum(*weighted), op.Sum(*weights))


def _unrest(op: Any, model: SeasonalModel, flat: Masked, level: Masked) -> Any:
    """How large changes were in the hour before each moment, relative to the whole day, tempered. [N, 1 + S]."""
    now, before = graph.cut(op, flat, 1, model.steps), graph.cut(op, level, 0, model.steps - 1)
    both = now.valid * before.valid
    change = graph.trailing_mean(op, Masked(op.Abs(now.value - before.value) * both, both), model.restless_steps)
    moments = graph.everywhere(op, change.value, _moments(model) - 1)
    recent = Masked(*(op.GatherElements(t, moments, axis=1) for t in (change.value, change.valid)))
    return op.Pow(_relative(op, recent.value, graph.mean(op, change), recent.valid) + 0.1, model.restless_power)


def _burstiness(op: Any, model: SeasonalModel, excess: Any) -> Any:
    """How far maxima usually rise above means, relative to the whole day, tempered: at the middle of each window.

    [N, A, 1 + S].
    """
    usual = op.ReduceMean(graph.part(op, excess, 0, model.steps), [1])
    middles = _moments(model) + np.array(model.anchors)[:, None] // 2
    there = op.GatherElements(excess, graph.everywhere(op, excess, middles), axis=1)
    power = op.Exp(op.Log(_relative(op, there, usual, usual) + 0.1) * model.excess_power)  # faster than Pow
    return op.Reshape(power, [0, *middles.shape])


def _relative(op: Any, value: Any, usual: Any, valid: Any) -> Any:
    """value / usual, 1 where either is not known or nothing ever moves."""
    known = op.And(op.Greater(valid, 0.0), op.Greater(usual, 1e-6))
    return op.Where(known, value / op.Max(usual, 1e-6), 1.0)


def error_quantiles(op: Any, model: SeasonalModel, past: PastScaled) -> Any:
    """Quantiles of the errors of step and peak to expect at each anchor lead, in scales. [N, 2, A, Q].

    A lead with too few past errors borrows those of the lead before it.
    """
    errors = _errors(op, model, past)
    found, count = graph.quantiles(op, errors, len(model.origin_ages(0)), model.levels)
    sufficient = op.GreaterOrEqual(count, float(model.fewest_errors))
    leads = len(model.anchors)
    founds, enoughs = (op.Split(t, num_outputs=leads, axis=2, _outputs=leads) for t in (found, sufficient))
    by_lead = [founds[0]]
    for i in range(1, leads):
        borrowed = by_lead[-1] * float((model.anchors[i] / model.anchors[i - 1]) ** 0.5)
        by_lead.append(op.Where(enoughs[i], founds[i], borrowed))
    return op.Concat(*by_lead, axis=2) * op.Unsqueeze(graph.part(op, past.unit, 0, 1, axis=2), [1])


def _errors(op: Any, model: SeasonalModel, past: PastScaled) -> Masked:
    """Errors of step and peak at each anchor lead and origin, in units of unrest. [N, 2, A, S].

    Where the window of an origin is not over, there is none.
    """
    ages = np.array(model.origin_ages(0))
    level, known, unit = (
        graph.part(op, t, 1, 1 + len(ages), axis=-1)
        for t in (op.Unsqueeze(past.level, [1, 2]), op.Unsqueeze(past.known, [1, 2]), op.Unsqueeze(past.unit, [1]))
    )
    over = graph.constant(op, graph.floats(ages >= np.array(model.anchors)[:, None]))
    came = _step_and_peak(op, model, past)
    return Masked((came.value - level) / unit, came.valid * (known * over))


def _step_and_peak(op: Any, model: SeasonalModel, past: PastScaled) -> Masked:
    """Demand beyond the path at the last step of the window after each origin, and at its highest. [N, 2, A, S]."""
    leads, ages = np.array(model.anchors)[:, None], np.array(model.origin_ages(0))
    last = graph.everywhere(op, past.path, np.minimum(model.steps - 1 - ages + leads, model.steps - 1))
    step = Masked(*(op.GatherElements(t, last, axis=1) for t in (past.flat.value, past.flat.valid)))
    windows = graph.everywhere(op, past.path, _windows(model))
    demand = op.Where(op.Greater(past.demand.valid, 0.0), past.demand.value, -graph.HUGE)
    highest, reach = (op.GatherElements(_window_maxima(op, model, t), windows, axis=1) for t in (demand, past.path))
    peak = Masked(highest - reach, graph.flag(op, op.Greater(highest, -graph.HUGE / 2)))
    shape = [0, 1, len(leads), len(ages)]
    return Masked(
        op.Concat(op.Reshape(step.value, shape), op.Reshape(peak.value, shape), axis=1),
        op.Concat(op.Reshape(step.valid, shape), op.Reshape(peak.valid, shape), axis=1),
    )


def _window_maxima(op: Any, model: SeasonalModel, tensor: Any) -> Any:
    """Largest entry of all windows as long as an anchor lead that begin a multiple of strides before the end.

    [N, T] → [N, windows of the first lead, then of the second, …].
    """
    stride = model.origin_stride
    by_stride = graph.window_max(op, tensor, stride, stride)
    maxima = [
        graph.window_max(op, tensor, lead, stride)
        if lead % stride
        else graph.window_max(op, by_stride, lead // stride, 1)
        for lead in model.anchors
    ]
    return op.Concat(*maxima, axis=1)


def _windows(model: SeasonalModel) -> NDArray[np.int64]:
    """Where the window after each origin is in `_window_maxima`; where it is not over, the newest that is. [A, S]."""
    counts = (model.steps - np.array(model.anchors)) // model.origin_stride + 1
    own = (model.steps - np.array(model.origin_ages(0))) // model.origin_stride
    return np.asarray(np.cumsum(counts)[:, None] - counts[:, None] + np.minimum(own, counts[:, None] - 1), np.int64)

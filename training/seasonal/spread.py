"""Level, restlessness, and the errors that the rule would have made during the last day. Axes: see the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training import graph
from training.graph import Masked
from training.seasonal.choices import SeasonalModel

COMING_STEPS = 5
"""the level is to foresee the mean of this many steps"""


@dataclass(frozen=True)
class Past:
    """What the rule knows: at every step, and (`level`, `known`, `unrest`) at now and at each origin. [N, 1 + S]."""

    demand: Masked
    path: Any
    burstiness: Any
    level: Any
    known: Any
    unrest: Any


def past_of(op: Any, model: SeasonalModel, demand: Masked, path: Any, excess: Any) -> Past:
    """`demand` [N, T]; `path` and `excess` [N, T + H] as `seasonal_paths` gives them."""
    flat = Masked((demand.value - graph.part(op, path, 0, model.steps)) * demand.valid, demand.valid)
    level = _level(op, model, flat)
    moments = _moments(model, [0, *model.origin_ages(0)])
    return Past(
        demand,
        path,
        _burstiness(op, model, excess),
        graph.at(op, level.value, moments),
        graph.at(op, level.valid, moments),
        _unrest(op, model, flat, level, moments),
    )


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
        squared = graph.mean(op, Masked(miss * miss, both)) + 1e-6
        weight = trailing.valid / (squared * squared)
        weights.append(weight)
        weighted.append(weight * trailing.value)
    return graph.over(op, op.Sum(*weighted), op.Sum(*weights))


def _unrest(op: Any, model: SeasonalModel, flat: Masked, level: Masked, moments: Sequence[int]) -> Any:
    """How large changes were in the hour before each moment, relative to the whole day, tempered. [N, 1 + S]."""
    now, before = graph.cut(op, flat, 1, model.steps), graph.cut(op, level, 0, model.steps - 1)
    both = now.valid * before.valid
    change = graph.trailing_mean(op, Masked(op.Abs(now.value - before.value) * both, both), model.restless_steps)
    recent = Masked(*(graph.at(op, t, [moment - 1 for moment in moments]) for t in (change.value, change.valid)))
    relative = _relative(op, recent.value, graph.mean(op, change), recent.valid)
    return op.Pow(relative + 0.1, model.restless_power)


def _burstiness(op: Any, model: SeasonalModel, excess: Any) -> Any:
    """How far maxima usually rise above means at each moment, relative to the whole day, tempered. [N, T + H]."""
    usual = op.ReduceMean(graph.part(op, excess, 0, model.steps), [1])
    return op.Pow(_relative(op, excess, usual, usual) + 0.1, model.excess_power)


def _relative(op: Any, value: Any, usual: Any, valid: Any) -> Any:
    """value / usual, 1 where either is not known or nothing ever moves."""
    known = op.And(op.Greater(valid, 0.0), op.Greater(usual, 1e-6))
    return op.Where(known, value / op.Max(usual, 1e-6), 1.0)


def unrest_now(op: Any, model: SeasonalModel, past: Past) -> Any:
    """What an error over each anchor lead will be measured in. [N, A]."""
    middles = [model.steps - 1 + lead // 2 for lead in model.anchors]
    return graph.part(op, past.unrest, 0, 1) * graph.at(op, past.burstiness, middles)


def error_quantiles(op: Any, model: SeasonalModel, past: Past) -> Any:
    """Quantiles of past errors of step and peak at each anchor lead, in units of unrest. [N, 2, A, Q].

    A lead with too few errors borrows those of the lead before it.
    """
    by_lead: list[Any] = []
    for i, lead in enumerate(model.anchors):
        errors = _errors(op, model, past, lead)
        found, count = graph.quantiles(op, errors, len(model.origin_ages(lead)), model.levels)
        if by_lead:
            borrowed = by_lead[-1] * float((lead / model.anchors[i - 1]) ** 0.5)
            found = op.Where(op.GreaterOrEqual(count, float(model.fewest_errors)), found, borrowed)
        by_lead.append(found)
    return op.Concat(*(op.Unsqueeze(found, [2]) for found in by_lead), axis=2)


def _errors(op: Any, model: SeasonalModel, past: Past, lead: int) -> Masked:
    """Errors of step and peak at one lead, at each origin, in units of unrest. [N, 2, S]."""
    ages = model.origin_ages(lead)
    moments = _moments(model, ages)
    everything = 1 + len(model.origin_ages(0))
    level, known, unrest = (
        graph.part(op, t, everything - len(ages), everything) for t in (past.level, past.known, past.unrest)
    )
    unrest = unrest * graph.at(op, past.burstiness, [moment + lead // 2 for moment in moments])
    steps = _step_beyond_path(op, past, [moment + lead for moment in moments])
    peaks = _peak_beyond_path(op, model, past, lead, ages)
    errors = [Masked((came.value - level) / unrest * came.valid, came.valid * known) for came in (steps, peaks)]
    return Masked(
        op.Concat(*(op.Unsqueeze(e.value, [1]) for e in errors), axis=1),
        op.Concat(*(op.Unsqueeze(e.valid, [1]) for e in errors), axis=1),
    )


def _moments(model: SeasonalModel, ages: Sequence[int]) -> list[int]:
    return [model.steps - 1 - age for age in ages]


def _step_beyond_path(op: Any, past: Past, moments: Sequence[int]) -> Masked:
    came = Masked(graph.at(op, past.demand.value, moments), graph.at(op, past.demand.valid, moments))
    return Masked(came.value - graph.at(op, past.path, moments), came.valid)


def _peak_beyond_path(op: Any, model: SeasonalModel, past: Past, lead: int, ages: Sequence[int]) -> Masked:
    """Largest demand of the window after each origin, less the path's largest value in it. [N, S]."""
    stride = model.origin_stride
    windows = [(model.steps - age) // stride for age in ages]
    demand = op.Where(op.Greater(past.demand.valid, 0.0), past.demand.value, -graph.HUGE)
    peak = graph.at(op, graph.window_max(op, demand, lead, stride), windows)
    path = graph.part(op, past.path, 0, model.steps)
    reach = graph.at(op, graph.window_max(op, path, lead, stride), windows)
    valid = op.Greater(peak, -graph.HUGE / 2)
    return Masked(op.Where(valid, peak - reach, 0.0), graph.flag(op, valid))

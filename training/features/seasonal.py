"""Columns of the seasonal model's forecast: a learned model starts from its quantiles and corrects them."""

from typing import Any

from training import graph
from training.features.columns import Columns
from training.features.scaling import Scaled
from training.seasonal.choices import SeasonalModel
from training.seasonal.model import forecast
from training.task import Task, step_leads

LEVELS_SEEN = (0.1, 0.5, 0.9, 0.99)
PEAKS_SEEN = (2, 5, 15, 30, 60, 120)
FURTHEST = 20.0
"""in asinh: a quarter of a billion scales"""
LEAST_UNIT = 0.1
"""of the changes that the series usually makes"""


def seasonal_model(task: Task) -> SeasonalModel:
    """The seasonal model on the task's grid: its default choices, in as many steps as on the default grid."""
    usual, step = SeasonalModel(), task.grid.step_seconds
    if step == usual.step_seconds and task.sizes == usual.sizes:
        return usual

    def steps(count: int) -> int:
        return max(1, round(count * usual.step_seconds / step))

    def marks(counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted({min(task.horizon_steps, steps(count)) for count in counts}))

    # an error needs a past window as long as its lead, and some of them
    furthest = min(task.horizon_steps, task.grid.steps // 2)
    return SeasonalModel(
        step_seconds=step,
        steps=task.grid.steps,
        coarse_seconds=task.grid.coarse_seconds,
        coarse_steps=task.grid.coarse_steps,
        horizon_steps=task.horizon_steps,
        levels=task.levels,
        peak_steps=task.peak_steps,
        minimum_history_steps=task.minimum_history_steps,
        anchors=tuple(sorted({*(min(mark, furthest) for mark in marks(usual.anchors)), furthest})),
        level_steps=marks(usual.level_steps),
        origin_stride=steps(usual.origin_stride),
        recent_steps=steps(usual.recent_steps),
        restless_steps=max(4, steps(usual.restless_steps)),
        strength_lags=usual.strength_lags if task.grid.coarse_seconds == usual.coarse_seconds else (1, 2),
    )


def seasonal_base(op: Any, task: Task, past: Scaled, local_time: Any) -> Any:
    """The seasonal model's peaks, then its steps at the learned leads; the level where it has no forecast.

    [N, Q, K], in demand
    """
    steps, peaks = forecast(op, seasonal_model(task), past.demand, past.weeks, local_time, step_leads(task))
    wanted = op.Concat(peaks, steps, axis=2)
    return op.Where(op.Less(op.Abs(wanted), graph.HUGE), wanted, op.Unsqueeze(past.level, [2]))


def middle_and_unit(op: Any, task: Task, past: Scaled, base: Any) -> tuple[Any, Any]:
    """(median, half the distance of the 0.9 from the 0.1 quantile) of `base` for each target. [N, K] each

    The unit is 0 if there has never been any demand: then the forecast is 0.
    """
    low, median, high = (graph.row(op, base, _nearest(task, level)) for level in (0.1, 0.5, 0.9))
    return median, op.Max((high - low) * 0.5, past.scale * LEAST_UNIT) * past.alive


def in_units(op: Any, base: Any, middle: Any, unit: Any) -> Any:
    """`base` in the units of a core: asinh((demand - middle) / unit). [N, Q, K] → [N, K, Q]"""
    above = (base - op.Unsqueeze(middle, [1])) / op.Max(op.Unsqueeze(unit, [1]), graph.TINY)
    return op.Transpose(op.Clip(graph.asinh(op, above), -FURTHEST, FURTHEST), perm=[0, 2, 1])


def add_seasonal(columns: Columns, task: Task, past: Scaled, base: Any) -> None:
    """Some quantiles of `base` as columns: asinh of scales above the level."""
    op, sizes = columns.op, task.sizes
    windows = [w for w, length in enumerate(task.peak_steps) if length in PEAKS_SEEN or w == sizes.W - 1]
    leads = [k for k, lead in enumerate(step_leads(task)) if lead in PEAKS_SEEN]
    for level in LEVELS_SEEN:
        above = (graph.row(op, base, _nearest(task, level)) - past.level) / past.scale
        found = op.Clip(graph.asinh(op, above), -FURTHEST, FURTHEST)
        peaks = graph.at(op, found, windows)
        columns.add(f"seasonal_peak_{level}_", peaks, [task.peak_steps[w] for w in windows])
        steps = graph.at(op, found, [sizes.W + k for k in leads])
        columns.add(f"seasonal_step_{level}_", steps, [step_leads(task)[k] for k in leads])


def _nearest(task: Task, level: float) -> int:
    """Which of the task's levels is nearest."""
    return min(range(len(task.levels)), key=lambda q: abs(task.levels[q] - level))

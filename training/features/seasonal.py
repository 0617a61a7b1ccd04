"""Columns that say what the seasonal model expects: a learned model starts from its quantiles and corrects them."""

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
LEAST_SPREAD = 0.1
"""in asinh: a tenth of a usual change"""


def seasonal_model(task: Task) -> SeasonalModel:
    """The seasonal model on the task's grid: its usual choices, in as many steps as they are on the usual grid."""
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


def seasonal_base(op: Any, task: Task, past: Scaled, inputs: tuple[Any, Any, Any]) -> Any:
    """The seasonal model's peaks, then its steps at the leads that are learned: asinh of scales above the level.

    [N, K, Q], 0 where it says nothing.
    """
    steps, peaks = forecast(op, seasonal_model(task), *inputs)
    wanted = op.Concat(peaks, graph.at(op, steps, [lead - 1 for lead in step_leads(task)]), axis=1)
    level, scale = op.Unsqueeze(past.level, [2]), op.Unsqueeze(past.scale, [2])
    known = op.Less(op.Abs(wanted), graph.HUGE)
    return op.Where(known, op.Clip(op.Asinh((wanted - level) / scale), -FURTHEST, FURTHEST), 0.0)


def centre_and_spread(op: Any, task: Task, base: Any) -> tuple[Any, Any]:
    """(median, distance of the 0.9 from the 0.1 quantile) of what `base` says of each target. [N, K] each"""
    low, median, high = (op.Squeeze(_at_level(op, task, base, level), [2]) for level in (0.1, 0.5, 0.9))
    return median, op.Max(high - low, LEAST_SPREAD)


def add_seasonal(columns: Columns, task: Task, base: Any) -> None:
    """Some of what `base` says, as columns."""
    op, sizes = columns.op, task.sizes
    windows = [w for w, length in enumerate(task.peak_steps) if length in PEAKS_SEEN or w == sizes.W - 1]
    leads = [k for k, lead in enumerate(step_leads(task)) if lead in PEAKS_SEEN]
    for level in LEVELS_SEEN:
        found = op.Squeeze(_at_level(op, task, base, level), [2])
        peaks = graph.at(op, found, windows)
        columns.add(f"seasonal_peak_{level}_", peaks, [task.peak_steps[w] for w in windows])
        steps = graph.at(op, found, [sizes.W + k for k in leads])
        columns.add(f"seasonal_step_{level}_", steps, [step_leads(task)[k] for k in leads])


def _at_level(op: Any, task: Task, base: Any, level: float) -> Any:
    """At the level of the task that is nearest. [N, K, 1]"""
    nearest = min(range(len(task.levels)), key=lambda q: abs(task.levels[q] - level))
    return graph.part(op, base, nearest, nearest + 1, axis=2)

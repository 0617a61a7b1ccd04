"""The units in which a learned model measures demand, and back. Axes: N windows, T past steps.

A change is measured in units of the usual changes of the series. So smooth and bursty series, of ten or of ten million
requests, look alike, and an error counts the same in each.
"""

from dataclasses import dataclass
from typing import Any

from training import graph
from training.features.columns import mean_of
from training.graph import Masked
from training.task import Task

LEVEL_SECONDS = 180
"""the level is the mean of the newest demand over this time"""
REACH_SECONDS = 900
"""without demand newer than that there is no level, and the model answers NaN"""
CHANGE_SECONDS = 300
RESTLESS_SECONDS = 6 * 3600
SHARE_OF_WEEKS = 0.1
"""of the mean demand of previous weeks: a day without demand does not make a series small"""
LEAST_CHANGE = 0.01
"""of the mean demand: the least change, for series that hardly move"""


@dataclass(frozen=True)
class Scaled:
    """`demand` as recorded; `level` and `scale` [N, 1] turn demand into units of change; `known` [N, 1]: 1.0 or 0.0."""

    demand: Masked
    weeks: tuple[Masked, Masked]
    """means and maxima of the blocks of the long history. [N, L] each"""
    mean: Any
    level: Any
    scale: Any
    restless: Any
    """mean change over the last hours, and over the whole day, as parts of the mean demand. [N, 1] each"""
    restless_day: Any
    known: Any
    ceiling: Any
    """the most that a model may forecast. [N, 1]"""
    alive: Any
    """1.0 or 0.0: whether there has been any demand in all these weeks. [N, 1]"""


def scaled(op: Any, task: Task, history: Any, long_history: Any) -> Scaled:
    """Level and scale of each window, from history [N, T] and long_history [N, L, 2]."""
    demand = graph.masked(op, history)
    weeks = graph.masked_channels(op, long_history)
    size = op.Max(graph.mean(op, demand), graph.mean(op, weeks[0]) * SHARE_OF_WEEKS)
    alive = op.Greater(size, graph.TINY)
    size = op.Where(alive, size, 1.0)
    level, near = _level(op, task, demand)
    lag, steps = steps_of(task, CHANGE_SECONDS), task.grid.steps
    changes = changes_over(op, demand, steps, lag)
    newest = min(steps, steps_of(task, RESTLESS_SECONDS)) - lag
    recent, day = graph.mean(op, graph.cut(op, changes, steps - lag - newest, steps - lag)), graph.mean(op, changes)
    scale = op.Max((recent + day) * 0.5, size * LEAST_CHANGE)
    sufficient = op.GreaterOrEqual(op.ReduceSum(demand.valid, [1]), float(task.minimum_history_steps))
    known = graph.flag(op, op.And(sufficient, op.Greater(near, 0.0)))
    return Scaled(
        demand=demand,
        weeks=weeks,
        mean=size,
        level=level,
        scale=scale,
        restless=recent / size,
        restless_day=day / size,
        known=known,
        ceiling=graph.ceiling(op, demand, weeks[1]),
        alive=graph.flag(op, alive),
    )


def _level(op: Any, task: Task, demand: Masked) -> tuple[Any, Any]:
    newest = mean_of(op, last(op, task, demand, LEVEL_SECONDS))
    near = mean_of(op, last(op, task, demand, REACH_SECONDS))
    return op.Where(op.Greater(newest.valid, 0.0), newest.value, near.value), near.valid


def changes_over(op: Any, demand: Masked, size: int, lag: int) -> Masked:
    """Absolute change of each step from the step `lag` before it. [N, size] → [N, size - lag]."""
    now, before = graph.cut(op, demand, lag, size), graph.cut(op, demand, 0, size - lag)
    both = now.valid * before.valid
    return Masked(op.Abs(now.value - before.value) * both, both)


def steps_of(task: Task, seconds: int) -> int:
    """How many steps of the task's grid, one at least."""
    return max(1, round(seconds / task.grid.step_seconds))


def last(op: Any, task: Task, demand: Masked, seconds: int) -> Masked:
    """The newest `seconds` of a tensor [N, T]."""
    steps = min(task.grid.steps, steps_of(task, seconds))
    return graph.cut(op, demand, task.grid.steps - steps, task.grid.steps)

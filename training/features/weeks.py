"""Columns about the same time on earlier days: yesterday, a week ago, and the typical day, from the long history.

Axes: N windows, L coarse blocks, B blocks a day, D days, P points ahead.
"""

from typing import Any

import numpy as np
import onnx_ir as ir

from training import graph
from training.features.columns import Columns, highest_of, joined, mean_of, relative
from training.features.scaling import Scaled
from training.graph import Masked
from training.task import DAY_SECONDS, Task

POINT_MINUTES = (0, 5, 15, 30, 60, 120)
GROUPS: dict[str, tuple[int, ...]] = {
    "1d": (1,),
    "7d": (7,),
    "14d": (14,),
    "week": tuple(range(1, 8)),
    "month": tuple(range(1, 28)),
    "weekdays": (7, 14, 21),
}
"""groups of days, as numbers of days ago"""


def add_weeks(columns: Columns, task: Task, past: Scaled, local_time: Any) -> None:
    """For each group of days: mean and block maximum around the points ahead, above demand now and demand then."""
    op = columns.op
    scale, level = op.Unsqueeze(past.scale, [2]), op.Unsqueeze(past.level, [2])
    near = _near_now(op, task, past.weeks[0].value)
    index, share = _points(op, task, local_time)
    for name, blocks in zip(("mean", "max"), past.weeks, strict=True):
        days = Masked(*(_days(op, task, t, near) for t in (blocks.value, blocks.valid)))
        typical = _by_group(op, task, _at_points(op, days, index, share))
        now = graph.cut(op, typical, 0, 1, axis=2)
        change = relative(op, Masked(typical.value, typical.valid * now.valid), now.value, scale)
        kinds = {f"ago_{name}_change": change}
        if name == "mean":
            kinds = {"ago": relative(op, typical, level, scale), **kinds}
        names = [f"{group}_{kind}_{minutes}" for group in GROUPS for kind in kinds for minutes in POINT_MINUTES]
        side_by_side = op.Concat(*(found.value * found.valid for found in kinds.values()), axis=2)
        columns.add("", op.Reshape(side_by_side, [0, len(names)]), names)
    _peaks(columns, task, past)


def _days_ago(task: Task) -> range:
    return range(1, task.grid.coarse_steps * task.grid.coarse_seconds // DAY_SECONDS)


def _near_now(op: Any, task: Task, blocks_NL: Any) -> Any:
    """Which blocks lie around the same time on each day ago, as indices for GatherElements. [N, D n]."""
    per_day = DAY_SECONDS // task.grid.coarse_seconds
    width = min(per_day, 2 + max(POINT_MINUTES) * 60 // task.grid.coarse_seconds + 1)
    first = task.grid.coarse_steps - 1 - np.array(_days_ago(task)) * per_day
    return graph.everywhere(op, blocks_NL, first[:, None] + np.arange(width + 1))


def _days(op: Any, task: Task, blocks_NL: Any, near: Any) -> Any:
    """The blocks around the same time on each day ago. [N, D, n]."""
    return op.Reshape(op.GatherElements(blocks_NL, near, axis=1), [0, len(_days_ago(task)), -1])


def _points(op: Any, task: Task, local_time: Any) -> tuple[Any, Any]:
    """After which block's centre each point ahead lies, and which part of the way to the next. [N, D, P], [N, 1, P]."""
    into = op.Cast(op.Mod(op.Unsqueeze(local_time, [1, 2]), task.grid.coarse_seconds), to=ir.DataType.FLOAT)
    points = graph.constant(op, graph.floats(np.array(POINT_MINUTES) * 60.0))
    # the centre of the last complete block lies half a block before the one that is running
    position = (into + points) / float(task.grid.coarse_seconds) + 0.5
    left = op.Floor(position)
    return op.Expand(op.Cast(left, to=ir.DataType.INT64), [1, len(_days_ago(task)), 1]), position - left


def _at_points(op: Any, days: Masked, index: Any, share: Any) -> Masked:
    """Interpolated between blocks, known where both are. [N, D, n] → [N, D, P]."""
    before, after = (
        Masked(op.GatherElements(days.value, places, axis=2), op.GatherElements(days.valid, places, axis=2))
        for places in (index, index + 1)
    )
    valid = before.valid * after.valid
    return Masked((before.value * (1.0 - share) + after.value * share) * valid, valid)


def _by_group(op: Any, task: Task, days: Masked) -> Masked:
    """Mean over the days of each group, of what is there. [N, D, P] → [N, G, P]."""
    belongs = graph.constant(op, graph.floats([[ago in group for ago in _days_ago(task)] for group in GROUPS.values()]))
    return graph.over(op, op.MatMul(belongs, days.value), op.MatMul(belongs, days.valid))


def _peaks(columns: Columns, task: Task, past: Scaled) -> None:
    """The highest demand of the last day, week and month, and how much of each is known."""
    op = columns.op
    _, highs = past.weeks
    per_day = DAY_SECONDS // task.grid.coarse_seconds
    spans = {"day": per_day, "week": 7 * per_day, "month": task.grid.coarse_steps}
    parts = [graph.cut(op, highs, task.grid.coarse_steps - n, task.grid.coarse_steps) for n in spans.values()]
    tops = joined(op, [highest_of(op, part) for part in parts])
    columns.add_known("highest_", relative(op, tops, past.level, past.scale), tuple(spans))
    usual = joined(op, [mean_of(op, part) for part in parts])
    columns.add_known("high_", relative(op, usual, past.level, past.scale), tuple(spans))
    columns.add("long_known_", op.Concat(*(op.ReduceMean(part.valid, [1]) for part in parts), axis=1), tuple(spans))

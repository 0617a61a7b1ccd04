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
"""which days are taken together: so many days ago"""


def add_weeks(columns: Columns, task: Task, past: Scaled, long_history: Any, local_time: Any) -> None:
    """For each group of days: mean and block maximum around the points ahead, above demand now and demand then."""
    op = columns.op
    for channel, name in enumerate(("mean", "max")):
        blocks = graph.masked(op, op.Squeeze(graph.part(op, long_history, channel, channel + 1, axis=2), [2]))
        days = _around_now(op, task, blocks, local_time)
        for group, ago in GROUPS.items():
            picked = [days[d] for d in ago if d in days]
            typical = _mean_over(op, picked)
            if name == "mean":
                columns.add_known(f"{group}_ago_", relative(op, typical, past.level, past.scale), POINT_MINUTES)
            now = Masked(graph.part(op, typical.value, 0, 1), graph.part(op, typical.valid, 0, 1))
            since = Masked(typical.value, typical.valid * now.valid)
            columns.add_known(f"{group}_ago_{name}_change_", relative(op, since, now.value, past.scale), POINT_MINUTES)
    _peaks(columns, task, past, long_history)


def _around_now(op: Any, task: Task, blocks: Masked, local_time: Any) -> dict[int, Masked]:
    """By days ago: demand at the points ahead of the same time on that day, interpolated between blocks. [N, P]."""
    per_day = DAY_SECONDS // task.grid.coarse_seconds
    into = op.Cast(op.Mod(op.Unsqueeze(local_time, [1]), task.grid.coarse_seconds), to=ir.DataType.FLOAT)
    points = graph.constant(op, graph.floats(np.array(POINT_MINUTES) * 60.0))
    # the centre of the last complete block lies half a block before the one that is running
    position = (into + points) / float(task.grid.coarse_seconds) + 0.5
    left = op.Floor(position)
    share, index = position - left, op.Cast(left, to=ir.DataType.INT64)
    found = {}
    for ago in range(1, task.grid.coarse_steps // per_day):
        last = task.grid.coarse_steps - 1 - ago * per_day
        width = min(per_day, 2 + max(POINT_MINUTES) * 60 // task.grid.coarse_seconds + 1)
        near = graph.cut(op, blocks, last, last + width + 1)
        before = Masked(op.GatherElements(near.value, index, axis=1), op.GatherElements(near.valid, index, axis=1))
        after = Masked(
            op.GatherElements(near.value, index + 1, axis=1), op.GatherElements(near.valid, index + 1, axis=1)
        )
        value = before.value * (1.0 - share) + after.value * share
        valid = before.valid * after.valid
        found[ago] = Masked(value * valid, valid)
    return found


def _mean_over(op: Any, days: list[Masked]) -> Masked:
    if len(days) == 1:
        return days[0]
    return graph.over(op, op.Sum(*(d.value for d in days)), op.Sum(*(d.valid for d in days)))


def _peaks(columns: Columns, task: Task, past: Scaled, long_history: Any) -> None:
    """The highest demand of the last day, week and month, and how much of each is known."""
    op = columns.op
    highs = graph.masked(op, op.Squeeze(graph.part(op, long_history, 1, 2, axis=2), [2]))
    per_day = DAY_SECONDS // task.grid.coarse_seconds
    spans = {"day": per_day, "week": 7 * per_day, "month": task.grid.coarse_steps}
    parts = [graph.cut(op, highs, task.grid.coarse_steps - n, task.grid.coarse_steps) for n in spans.values()]
    tops = joined(op, [highest_of(op, part) for part in parts])
    columns.add_known("highest_", relative(op, tops, past.level, past.scale), tuple(spans))
    usual = joined(op, [mean_of(op, part) for part in parts])
    columns.add_known("high_", relative(op, usual, past.level, past.scale), tuple(spans))
    columns.add("long_known_", op.Concat(*(op.ReduceMean(part.valid, [1]) for part in parts), axis=1), tuple(spans))

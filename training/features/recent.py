"""Columns about the last day as it was: lags, rolling statistics, slopes, the same time an hour and a day ago.

Known at the moment of the forecast: all of it is `history`. Axes: N windows, T past steps.
"""

from itertools import pairwise
from typing import Any

from training import graph
from training.features.columns import Columns, highest_of, joined, lowest_of, mean_of, relative
from training.features.scaling import Scaled, last, steps_of
from training.graph import Masked
from training.task import Task

MINUTE = 60
NEWEST_STEPS = 10
LAG_MINUTES = (10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 960, 1200, 1440)
SPAN_MINUTES = (5, 15, 30, 60, 180, 360, 1440)
SLOPE_MINUTES = (3, 5, 15, 30, 60)
AHEAD_MINUTES = (0, 2, 5, 10, 20, 40, 60, 120)
HOURS_AGO = (1, 2)


def add_recent(columns: Columns, task: Task, past: Scaled) -> None:
    """All columns of this file."""
    _lags(columns, task, past)
    _spans(columns, task, past)
    _slopes(columns, task, past)
    _again(columns, task, past)
    _character(columns, task, past)


def between(op: Any, task: Task, demand: Masked, oldest: int, newest: int) -> Masked:
    """The steps from `oldest` to `newest` (not included) before the end; [T - oldest, T - newest)."""
    return graph.cut(op, demand, task.grid.steps - oldest, task.grid.steps - newest)


def steps_at(task: Task, minutes: tuple[int, ...]) -> list[int]:
    """The marks in steps, each once, within the history."""
    marks = {steps_of(task, MINUTE * m) if m else 0 for m in minutes}
    return sorted(mark for mark in marks if mark <= task.grid.steps)


def _lags(columns: Columns, task: Task, past: Scaled) -> None:
    op = columns.op
    newest = between(op, task, past.demand, NEWEST_STEPS, 0)
    columns.add_known("lag_", relative(op, newest, past.level, past.scale), range(NEWEST_STEPS, 0, -1))
    marks = [m for m in steps_at(task, LAG_MINUTES) if m >= NEWEST_STEPS]
    means = [mean_of(op, between(op, task, past.demand, older, newer)) for newer, older in pairwise(marks)]
    columns.add_known("mean_before_", relative(op, joined(op, means), past.level, past.scale), marks[:-1])


def _spans(columns: Columns, task: Task, past: Scaled) -> None:
    op = columns.op
    spans = [s for s in steps_at(task, SPAN_MINUTES) if s > 1]
    parts = [between(op, task, past.demand, span, 0) for span in spans]
    for name, statistic in (("mean_", mean_of), ("max_", highest_of), ("min_", lowest_of)):
        found = joined(op, [statistic(op, part) for part in parts])
        columns.add_known(name, relative(op, found, past.level, past.scale), spans)
    spread = op.Concat(*(_deviation(op, part) for part in parts), axis=1)
    columns.add("deviation_", op.Log(spread / past.scale + 0.01), spans)
    columns.add("known_", op.Concat(*(op.ReduceMean(part.valid, [1]) for part in parts), axis=1), spans)


def _deviation(op: Any, part: Masked) -> Any:
    centred = (part.value - graph.mean(op, part)) * part.valid
    return op.Sqrt(graph.mean(op, Masked(centred * centred, part.valid)))


def _slopes(columns: Columns, task: Task, past: Scaled) -> None:
    """Mean of the last steps less the mean of as many before them."""
    op = columns.op
    for steps in steps_at(task, SLOPE_MINUTES):
        now, before = between(op, task, past.demand, steps, 0), between(op, task, past.demand, 2 * steps, steps)
        now, before = mean_of(op, now), mean_of(op, before)
        change = Masked(op.Asinh((now.value - before.value) / past.scale), now.valid * before.valid)
        columns.add_known(f"slope_{steps}", change)


def _again(columns: Columns, task: Task, past: Scaled) -> None:
    """What followed the same moment an hour, two hours and a day ago: mean and peak, above the demand then and now."""
    op = columns.op
    for hours in (*HOURS_AGO, 24):
        ago = min(task.grid.steps, steps_of(task, 3600 * hours))
        marks = [m for m in steps_at(task, AHEAD_MINUTES) if m <= ago]
        buckets = list(pairwise(marks))
        if not buckets:
            continue
        width = steps_of(task, 180)
        then = mean_of(op, between(op, task, past.demand, min(task.grid.steps, ago + width), ago - 1))
        for name, statistic in (("mean", mean_of), ("max", highest_of)):
            found = joined(op, [statistic(op, between(op, task, past.demand, ago - a, ago - b)) for a, b in buckets])
            ends = [b for _, b in buckets]
            columns.add_known(f"{hours}h_ago_{name}_", relative(op, found, past.level, past.scale), ends)
            since = relative(op, Masked(found.value, found.valid * then.valid), then.value, past.scale)
            columns.add_known(f"{hours}h_ago_{name}_change_", since, ends)


def _character(columns: Columns, task: Task, past: Scaled) -> None:
    """What kind of series it is: how large its changes are, and whether it rests at nothing."""
    op = columns.op
    columns.add("restless", op.Log(past.restless + 1e-4))
    columns.add("restless_day", op.Log(past.restless_day + 1e-4))
    columns.add("level_over_mean", op.Asinh(past.level / past.mean))
    columns.add("scale_over_mean", op.Log(past.scale / past.mean))
    columns.add("changes_lately", op.Log((past.restless + 1e-4) / (past.restless_day + 1e-4)))
    for minutes in (60, 1440):
        part = last(op, task, past.demand, MINUTE * minutes)
        zero = graph.flag(op, op.LessOrEqual(op.Abs(part.value), graph.TINY)) * part.valid
        columns.add(f"zeros_{minutes}", graph.mean(op, Masked(zero, part.valid)))
    for steps in steps_at(task, (15, 60, 360)):
        part = between(op, task, past.demand, min(task.grid.steps, steps + 1), 0)
        size = min(task.grid.steps, steps + 1)
        now, before = graph.cut(op, part, 1, size), graph.cut(op, part, 0, size - 1)
        both = now.valid * before.valid
        change = graph.mean(op, Masked(op.Abs(now.value - before.value) * both, both))
        columns.add(f"flicker_{steps}", op.Log(change / past.scale + 0.01))

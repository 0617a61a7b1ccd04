"""Columns about the last day: lags, rolling statistics, slopes, the same time an hour and a day ago.

Known at the moment of the forecast: all of it is `history`. Axes: N windows, T past steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from training import graph
from training.features.columns import Columns, relative
from training.features.scaling import Scaled, changes_over, last, steps_of
from training.graph import Masked
from training.task import Task

MINUTE = 60
NEWEST_STEPS = 10
LAG_MINUTES = (10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 960, 1200, 1440)
SPAN_MINUTES = (5, 15, 30, 60, 180, 360, 1440)
SLOPE_MINUTES = (3, 5, 15, 30, 60)
AHEAD_MINUTES = (0, 2, 5, 10, 20, 40, 60, 120)
HOURS_AGO = (1, 2)

Range: TypeAlias = tuple[int, int]
"""steps before the end: from the older one to the newer one, which is not included"""


@dataclass(frozen=True)
class DayStatistics:
    """Statistics of the last day over ranges of its steps: [N, ranges], in the order asked for."""

    op: Any
    task: Task
    demand: Masked
    ranges: Sequence[Range]
    """ranges of the means, which are computed in one multiplication"""

    def count(self, ranges: Sequence[Range]) -> Any:
        """The number of known steps."""
        return self._of(ranges, self._sums.valid)

    def mean(self, ranges: Sequence[Range]) -> Masked:
        return Masked(self._of(ranges, self._means.value), self._of(ranges, self._means.valid))

    def highest(self, ranges: Sequence[Range]) -> Masked:
        op, parts = self.op, (graph.part(self.op, self._or_low, *self._steps(r)) for r in ranges)
        return Masked(
            op.Concat(*(op.ReduceMax(part, [1]) for part in parts), axis=1), self._of(ranges, self._means.valid)
        )

    def lowest(self, ranges: Sequence[Range]) -> Masked:
        op, parts = self.op, (graph.part(self.op, self._or_high, *self._steps(r)) for r in ranges)
        return Masked(
            op.Concat(*(op.ReduceMin(part, [1]) for part in parts), axis=1), self._of(ranges, self._means.valid)
        )

    def deviation(self, ranges: Sequence[Range]) -> Any:
        """Standard deviation of the known values."""
        op, squares = self.op, []
        for wanted in ranges:
            part = graph.cut(op, self.demand, *self._steps(wanted))
            centred = (part.value - self._of([wanted], self._means.value)) * part.valid
            squares.append(op.ReduceSumSquare(centred, [1]))
        return op.Sqrt(op.Concat(*squares, axis=1) / op.Max(self.count(ranges), 1.0))

    @cached_property
    def _sums(self) -> Masked:
        place = np.arange(self.task.grid.steps, 0, -1)[:, None]
        older, newer = np.array(self.ranges).T
        belongs = graph.constant(self.op, graph.floats((place <= older) & (place > newer)))
        return Masked(self.op.MatMul(self.demand.value, belongs), self.op.MatMul(self.demand.valid, belongs))

    @cached_property
    def _means(self) -> Masked:
        return graph.over(self.op, self._sums.value, self._sums.valid)

    @cached_property
    def _or_low(self) -> Any:
        return self._or(-graph.HUGE)

    @cached_property
    def _or_high(self) -> Any:
        return self._or(graph.HUGE)

    def _or(self, otherwise: float) -> Any:
        return self.op.Where(self.op.Greater(self.demand.valid, 0.0), self.demand.value, otherwise)

    def _of(self, ranges: Sequence[Range], found: Any) -> Any:
        return graph.at(self.op, found, [self.ranges.index(r) for r in ranges])

    def _steps(self, wanted: Range) -> Range:
        older, newer = wanted
        return self.task.grid.steps - older, self.task.grid.steps - newer


def add_recent(columns: Columns, task: Task, past: Scaled) -> None:
    """All columns of this file."""
    again = [wanted for hours in (*HOURS_AGO, 24) for wanted in (*_after(task, hours), _then(task, hours))]
    now, before = _slope_ranges(task)
    day = DayStatistics(columns.op, task, past.demand, [*_lag_ranges(task), *_span_ranges(task), *now, *before, *again])
    columns.subject = "newest values"
    _lags(columns, task, past, day)
    columns.subject = "mean, maximum and spread of the last minutes to a day"
    _spans(columns, task, past, day)
    columns.subject = "slopes"
    _slopes(columns, task, past, day)
    columns.subject = "an hour, two hours and a day ago"
    _again(columns, task, past, day)
    columns.subject = "kind of series: restlessness, size, zeros"
    _character(columns, task, past)


def steps_at(task: Task, minutes: tuple[int, ...]) -> list[int]:
    """The marks in steps, each once, within the history."""
    marks = {steps_of(task, MINUTE * m) if m else 0 for m in minutes}
    return sorted(mark for mark in marks if mark <= task.grid.steps)


def _lag_ranges(task: Task) -> list[Range]:
    marks = [m for m in steps_at(task, LAG_MINUTES) if m >= NEWEST_STEPS]
    return [(older, newer) for newer, older in pairwise(marks)]


def _lags(columns: Columns, task: Task, past: Scaled, day: DayStatistics) -> None:
    op, ranges = columns.op, _lag_ranges(task)
    newest = graph.cut(op, past.demand, task.grid.steps - NEWEST_STEPS, task.grid.steps)
    columns.add_known("lag_", relative(op, newest, past.level, past.scale), range(NEWEST_STEPS, 0, -1))
    means = relative(op, day.mean(ranges), past.level, past.scale)
    columns.add_known("mean_before_", means, [newer for _, newer in ranges])


def _span_ranges(task: Task) -> list[Range]:
    return [(span, 0) for span in steps_at(task, SPAN_MINUTES) if span > 1]


def _spans(columns: Columns, task: Task, past: Scaled, day: DayStatistics) -> None:
    op, ranges = columns.op, _span_ranges(task)
    spans = [span for span, _ in ranges]
    for name, statistic in (("mean_", day.mean), ("max_", day.highest), ("min_", day.lowest)):
        columns.add_known(name, relative(op, statistic(ranges), past.level, past.scale), spans)
    columns.add("deviation_", op.Log(day.deviation(ranges) / past.scale + 0.01), spans)
    columns.add("known_", day.count(ranges) / graph.constant(op, graph.floats(spans)), spans)


def _slope_ranges(task: Task) -> tuple[list[Range], list[Range]]:
    lengths = steps_at(task, SLOPE_MINUTES)
    return [(steps, 0) for steps in lengths], [(2 * steps, steps) for steps in lengths]


def _slopes(columns: Columns, task: Task, past: Scaled, day: DayStatistics) -> None:
    """Mean of the last steps less the mean of as many before them."""
    op = columns.op
    now, before = (day.mean(ranges) for ranges in _slope_ranges(task))
    change = Masked(graph.asinh(op, (now.value - before.value) / past.scale), now.valid * before.valid)
    columns.add_known("slope_", change, steps_at(task, SLOPE_MINUTES))


def _ago(task: Task, hours: int) -> int:
    return min(task.grid.steps, steps_of(task, 3600 * hours))


def _after(task: Task, hours: int) -> list[Range]:
    """Demand after the same moment some hours ago, between two marks each."""
    ago = _ago(task, hours)
    marks = [m for m in steps_at(task, AHEAD_MINUTES) if m <= ago]
    return [(ago - start, ago - end) for start, end in pairwise(marks)]


def _then(task: Task, hours: int) -> Range:
    """The steps up to that moment."""
    ago = _ago(task, hours)
    return min(task.grid.steps, ago + steps_of(task, 180)), ago - 1


def _again(columns: Columns, task: Task, past: Scaled, day: DayStatistics) -> None:
    """What followed the same moment an hour, two hours and a day ago: mean and peak, above the demand then and now."""
    op = columns.op
    for hours in (*HOURS_AGO, 24):
        ranges, ago = _after(task, hours), _ago(task, hours)
        if not ranges:
            continue
        then = day.mean([_then(task, hours)])
        for name, statistic in (("mean", day.mean), ("max", day.highest)):
            found = statistic(ranges)
            ends = [ago - newer for _, newer in ranges]
            columns.add_known(f"{hours}h_ago_{name}_", relative(op, found, past.level, past.scale), ends)
            since = relative(op, Masked(found.value, found.valid * then.valid), then.value, past.scale)
            columns.add_known(f"{hours}h_ago_{name}_change_", since, ends)


def _character(columns: Columns, task: Task, past: Scaled) -> None:
    """The kind of series: the size of its changes, and whether it rests at zero."""
    op = columns.op
    columns.add("restless", op.Log(past.restless + 1e-4))
    columns.add("restless_day", op.Log(past.restless_day + 1e-4))
    columns.add("level_over_mean", graph.asinh(op, past.level / past.mean))
    columns.add("scale_over_mean", op.Log(past.scale / past.mean))
    columns.add("changes_lately", op.Log((past.restless + 1e-4) / (past.restless_day + 1e-4)))
    for minutes in (60, 1440):
        part = last(op, task, past.demand, MINUTE * minutes)
        zero = graph.flag(op, op.LessOrEqual(op.Abs(part.value), graph.TINY)) * part.valid
        columns.add(f"zeros_{minutes}", graph.mean(op, Masked(zero, part.valid)))
    lengths = steps_at(task, (15, 60, 360))
    longest, total = lengths[-1], task.grid.steps
    changes = changes_over(op, graph.cut(op, past.demand, total - longest - 1, total), longest + 1, 1)
    for steps in lengths:
        change = graph.mean(op, graph.cut(op, changes, longest - steps, longest))
        columns.add(f"flicker_{steps}", op.Log(change / past.scale + 0.01))

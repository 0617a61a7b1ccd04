"""The typical day, and the path on which it takes demand. Axes: see the package."""

from typing import Any

import numpy as np
import onnx_ir as ir

from training import graph
from training.graph import Masked
from training.seasonal.choices import DAY_SECONDS, SeasonalModel


def seasonal_paths(op: Any, model: SeasonalModel, long_history: Any, local_time: Any) -> tuple[Any, Any]:
    """(path, excess), each [N, T + H]: where the season takes demand, and how far maxima then rise above means.

    `long_history` is relative to the scale of the series. Both are 0 where the past days do not cover a whole day.
    """
    means, highs = _days(op, model, long_history)
    past, today = _past(op, model, means), graph.cut(op, means, model.past_days, model.past_days + 1)
    weight, ratio = _day_weights(op, model, past, today, local_time)
    total = _weighted(op, weight, past.valid)
    typical = graph.over(op, _weighted(op, weight * ratio, past.value), total)
    high = graph.over(op, _weighted(op, weight * ratio, _with_next(op, model, highs)), total)
    complete = op.ReduceMin(typical.valid, [1])
    strength = complete * _strength(op, model, graph.squeezed(op, today, 1), typical.value)
    excess = op.Max(high.value - typical.value, 0.0) * complete
    return (
        _between_blocks(op, model, typical.value, local_time) * strength,
        _between_blocks(op, model, excess, local_time),
    )


def _days(op: Any, model: SeasonalModel, long_history: Any) -> tuple[Masked, Any]:
    """Block means [N, D + 1, B] with their mask, and block maxima; the last row is the last 24 hours ("today")."""
    blocks = graph.masked(op, long_history)
    by_day = [0, model.past_days + 1, model.blocks]
    valid = op.Reshape(op.ReduceMin(blocks.valid, [2], keepdims=0), by_day)
    mean, high = (
        op.Reshape(op.Clip(graph.part(op, blocks.value, i, i + 1, axis=2), 0.0, 1e6), by_day) * valid for i in (0, 1)
    )
    return Masked(mean, valid), high


def _past(op: Any, model: SeasonalModel, days: Masked) -> Masked:
    return Masked(_with_next(op, model, days.value), _with_next(op, model, days.valid))


def _with_next(op: Any, model: SeasonalModel, days: Any) -> Any:
    """Each past day and the first E blocks after it: what lay behind and ahead of the same time. [N, D, B + E].

    Where E reaches beyond a day, the day after is taken to repeat.
    """
    ahead = [min(model.blocks, model.blocks_ahead - i) for i in range(0, model.blocks_ahead, model.blocks)]
    following = [op.Slice(days, [1, 0], [model.past_days + 1, blocks], [1, 2]) for blocks in ahead]
    return op.Concat(graph.part(op, days, 0, model.past_days), *following, axis=2)


def _weighted(op: Any, weight_ND1: Any, rows: Any) -> Any:
    """Weighted sum over days. [N, D, B + E] → [N, B + E]."""
    return op.Squeeze(op.MatMul(op.Transpose(weight_ND1, perm=[0, 2, 1]), rows), [1])


def _day_weights(op: Any, model: SeasonalModel, past: Masked, today: Masked, local_time: Any) -> tuple[Any, Any]:
    """(weight, ratio), each [N, D, 1]: how much each past day counts, and what brings it to today's demand."""
    past = graph.cut(op, past, 0, model.blocks, axis=2)
    both = past.valid * today.valid
    now, then = today.value * both, past.value * both
    ratio = op.Clip((_sum(op, now) + 1e-6) / (_sum(op, then) + 1e-6), 0.2, 5.0)
    miss = then * ratio - now
    unlike = _sum(op, miss * miss) / (_sum(op, now * now) + 1e-6)
    comparable = op.GreaterOrEqual(_sum(op, both), model.blocks / 2)
    ages = np.arange(model.past_days, 0, -1)[:, None]
    recent = graph.constant(op, graph.floats(model.day_memory**ages))
    weight = recent * _kind_weight(op, model, ages, local_time) / (unlike + 1e-3)
    return op.Where(comparable, weight, 0.0), ratio


def _sum(op: Any, rows: Any) -> Any:
    return op.ReduceSum(rows, [2])


def _kind_weight(op: Any, model: SeasonalModel, ages: Any, local_time: Any) -> Any:
    """1 for past days of today's kind (weekday, weekend), less for the others. [N, D, 1]."""
    since_monday = op.Mod(op.Div(op.Unsqueeze(local_time, [1, 2]), DAY_SECONDS) + 3, 7)
    then = op.Mod(since_monday + graph.constant(op, 6 * ages), 7)  # 6 ages = minus one age, modulo a week
    same = op.Equal(op.GreaterOrEqual(since_monday, 5), op.GreaterOrEqual(then, 5))
    return op.Where(same, 1.0, model.other_kind)


def _strength(op: Any, model: SeasonalModel, today: Masked, typical: Any) -> Any:
    """Regression of today's changes on the typical day's, within 0 and 1. [N, 1]."""
    explained, possible = [], []
    for lag in model.strength_lags:
        now, before = graph.cut(op, today, lag, model.blocks), graph.cut(op, today, 0, model.blocks - lag)
        usual = graph.part(op, typical, lag, model.blocks) - graph.part(op, typical, 0, model.blocks - lag)
        usual = usual * now.valid * before.valid
        explained.append(op.ReduceSum((now.value - before.value) * usual, [1]))
        possible.append(op.ReduceSum(usual * usual, [1]))
    return op.Clip(op.Sum(*explained) / (op.Sum(*possible) + 1e-9), 0.0, 1.0)


def _between_blocks(op: Any, model: SeasonalModel, blocks: Any, local_time: Any) -> Any:
    """Values at block centres, interpolated to the fine steps behind and ahead. [N, B + E] → [N, T + H]."""
    into_block = op.Cast(op.Mod(op.Unsqueeze(local_time, [1]), model.coarse_seconds), to=ir.DataType.FLOAT)
    steps = (np.arange(model.steps + model.horizon_steps) - (model.steps - 1)) * model.step_seconds
    if_just_complete = graph.constant(op, graph.floats(model.blocks - 0.5 + steps / model.coarse_seconds))
    last = model.blocks + model.blocks_ahead - 1
    position = op.Clip(if_just_complete + into_block / float(model.coarse_seconds), 0.0, last - 0.001)
    left = op.Floor(position)
    index = op.Cast(left, to=ir.DataType.INT64)
    before, after = op.GatherElements(blocks, index, axis=1), op.GatherElements(blocks, index + 1, axis=1)
    return before + (after - before) * (position - left)

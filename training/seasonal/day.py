"""The typical day, and the path on which it takes demand. Axes: see the package."""

from typing import Any

import numpy as np
import onnx_ir as ir

from training import graph
from training.graph import Masked
from training.seasonal.choices import DAY_SECONDS, SeasonalModel


def seasonal_paths(op: Any, model: SeasonalModel, days: tuple[Masked, Any], local_time: Any) -> tuple[Any, Any]:
    """(path, excess), each [N, T + H]: where the season takes demand, and how far maxima then rise above means.

    `days` as `by_day` gives them. Both are 0 where the past days do not cover a whole day.
    """
    means, highs = days
    today = Masked(*(graph.row(op, t, model.past_days) for t in (means.value, means.valid)))
    weight, ratio = _day_weights(op, model, means, today, local_time)
    weights, scaled = _behind_and_ahead(op, model, weight), _behind_and_ahead(op, model, weight * ratio)
    total = _over_days(op, model, weights, means.valid)
    typical = graph.over(op, _over_days(op, model, scaled, means.value), total)
    high = graph.over(op, _over_days(op, model, scaled, highs), total)
    complete = op.ReduceMin(typical.valid, [1])
    strength = complete * _strength(op, model, today, typical.value)
    excess = op.Max(high.value - typical.value, 0.0) * complete
    index, share = _places(op, model, local_time)
    return _between_blocks(op, model, typical.value * strength, index, share), _between_blocks(
        op, model, excess, index, share
    )


def by_day(op: Any, model: SeasonalModel, weeks: tuple[Masked, Masked], scale: Any) -> tuple[Masked, Any]:
    """Block means [N, D + 1, B] with their mask, and block maxima, in scales; the last row is the last 24 hours.

    `weeks`: means and maxima [N, L] in demand.
    """
    shape = [0, model.past_days + 1, model.blocks]
    means, highs = weeks
    valid = means.valid * highs.valid
    mean, high = (op.Clip(channel.value * (valid / scale), 0.0, 1e6) for channel in weeks)
    return Masked(op.Reshape(mean, shape), op.Reshape(valid, shape)), op.Reshape(high, shape)


def _day_weights(op: Any, model: SeasonalModel, days: Masked, today: Masked, local_time: Any) -> tuple[Any, Any]:
    """(weight, ratio), each [N, D + 1, 1]: how much each past day counts, and what brings it to today's demand.

    Today itself, the last row, does not count.
    """
    value, valid = (op.Unsqueeze(t, [2]) for t in (today.value, today.valid))
    then = op.MatMul(days.value, valid)
    both = op.MatMul(days.valid, op.Concat(valid, value, value * value, axis=2))
    count, now, now_squared = op.Split(both, num_outputs=3, axis=2, _outputs=3)
    ratio = op.Clip((now + 1e-6) / (then + 1e-6), 0.2, 5.0)
    value, valid = (op.Unsqueeze(t, [1]) for t in (today.value, today.valid))
    miss = days.value * valid * ratio - days.valid * value
    unlike = op.ReduceSumSquare(miss, [2]) / (now_squared + 1e-6)
    ages = np.arange(model.past_days, -1, -1)[:, None]
    recent = graph.constant(op, graph.floats(np.where(ages > 0, model.day_memory**ages, 0.0)))
    weight = recent * _kind_weight(op, model, ages, local_time) / (unlike + 1e-3)
    return op.Where(op.GreaterOrEqual(count, model.blocks / 2), weight, 0.0), ratio


def _kind_weight(op: Any, model: SeasonalModel, ages: Any, local_time: Any) -> Any:
    """1 for past days of today's kind (weekday, weekend), less for the others. [N, D + 1, 1]."""
    since_monday = op.Mod(op.Div(op.Unsqueeze(local_time, [1, 2]), DAY_SECONDS) + 3, 7)
    then = op.Mod(since_monday + graph.constant(op, 6 * ages), 7)  # 6 ages = minus one age, modulo a week
    same = op.Equal(op.GreaterOrEqual(since_monday, 5), op.GreaterOrEqual(then, 5))
    return op.Where(same, 1.0, model.other_kind)


def _behind_and_ahead(op: Any, model: SeasonalModel, weight: Any) -> Any:
    """Weights of the days, and the same moved to the day after each. [N, D + 1, 1] → [N, 2, D + 1]."""
    past, today = (
        graph.part(op, weight, 0, model.past_days),
        graph.part(op, weight, model.past_days, model.past_days + 1),
    )
    return op.Transpose(op.Concat(weight, op.Concat(today, past, axis=1), axis=2), perm=[0, 2, 1])


def _over_days(op: Any, model: SeasonalModel, weights: Any, days: Any) -> Any:
    """Weighted sum of the past days and of the E blocks after each: [N, 2, D + 1], [N, D + 1, B] → [N, B + E].

    Where E reaches beyond a day, the day after is taken to repeat.
    """
    behind, ahead = op.Split(op.MatMul(weights, days), num_outputs=2, axis=1, _outputs=2)
    behind, ahead = op.Squeeze(behind, [1]), op.Squeeze(ahead, [1])
    lengths = [min(model.blocks, model.blocks_ahead - i) for i in range(0, model.blocks_ahead, model.blocks)]
    return op.Concat(behind, *(graph.part(op, ahead, 0, blocks) for blocks in lengths), axis=1)


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


def _places(op: Any, model: SeasonalModel, local_time: Any) -> tuple[Any, Any]:
    """Where the fine steps behind and ahead lie: after which block's centre, and which part of the way to the next.

    [N, T + H] each.
    """
    into_block = op.Cast(op.Mod(op.Unsqueeze(local_time, [1]), model.coarse_seconds), to=ir.DataType.FLOAT)
    steps = (np.arange(model.steps + model.horizon_steps) - (model.steps - 1)) * model.step_seconds
    if_just_complete = graph.constant(op, graph.floats(model.blocks - 0.5 + steps / model.coarse_seconds))
    last = model.blocks + model.blocks_ahead - 1
    position = op.Clip(if_just_complete + into_block / float(model.coarse_seconds), 0.0, last - 0.001)
    left = op.Floor(position)
    return op.Cast(left, to=ir.DataType.INT64), position - left


def _between_blocks(op: Any, model: SeasonalModel, blocks: Any, index: Any, share: Any) -> Any:
    """Values at block centres, interpolated. [N, B + E] → [N, T + H]."""
    last = model.blocks + model.blocks_ahead - 1
    rise = graph.part(op, blocks, 1, last + 1) - graph.part(op, blocks, 0, last)
    return op.GatherElements(blocks, index, axis=1) + op.GatherElements(rise, index, axis=1) * share

"""The whole graph: from the tensors of the contract to the tensors of the contract. Axes: see the package."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, PEAKS, QUANTILES, Tensor, shape_of
from training import graph
from training.graph import Masked
from training.seasonal.choices import SeasonalModel
from training.seasonal.day import by_day, seasonal_paths
from training.seasonal.spread import error_quantiles, past_of


def build(model: SeasonalModel) -> bytes:
    """The graph of the bundle contract as the bytes of an ONNX model: the same bytes for the same choices."""
    with graph.building("seasonal") as (builder, op):
        history, long_history, local_time = (
            builder.input(tensor.name, _type(tensor), shape_of(tensor, model.sizes))
            for tensor in (HISTORY, LONG_HISTORY, LOCAL_TIME)
        )
        demand, weeks = graph.masked(op, history), graph.masked_channels(op, long_history)
        answers = forecast(op, model, demand, weeks, local_time, range(1, model.horizon_steps + 1))
        for tensor, answer in zip((QUANTILES, PEAKS), answers, strict=True):
            value = op.Transpose(answer, perm=[0, 2, 1])
            value.shape, value.dtype = ir.Shape(shape_of(tensor, model.sizes)), _type(tensor)
            builder.add_output(value, tensor.name)
        return graph.serialised(builder, "headway")


def _type(tensor: Tensor) -> ir.DataType:
    return {"float32": ir.DataType.FLOAT, "int64": ir.DataType.INT64}[tensor.dtype]


def forecast(
    op: Any, model: SeasonalModel, demand: Masked, weeks: tuple[Masked, Masked], local_time: Any, leads: Sequence[int]
) -> tuple[Any, Any]:
    """(quantiles [N, Q, leads], peaks [N, Q, W]), NaN without enough or without recent history. `leads` ascend.

    demand: [N, T]; weeks: block means and maxima, [N, L] each. Everything between is relative to the mean of `demand`.
    """
    scale, ceiling = _scale(op, demand), graph.ceiling(op, demand, weeks[1])
    sufficient = op.GreaterOrEqual(op.ReduceSum(demand.valid, [1]), float(model.minimum_history_steps))
    demand = Masked(demand.value / scale, demand.valid)
    path, excess = seasonal_paths(op, model, by_day(op, model, weeks, scale), local_time)
    past = past_of(op, model, demand, path, excess)
    known = op.And(sufficient, op.Greater(graph.part(op, past.known, 0, 1), 0.0))
    level, ahead = (
        graph.part(op, past.level, 0, 1),
        graph.part(op, path, model.steps, model.steps + model.horizon_steps),
    )
    errors = op.Transpose(error_quantiles(op, model, past), perm=[0, 1, 3, 2])
    peaks = _peaks(op, model, level, ahead, graph.row(op, errors, 1))
    steps = _within_peaks(op, model, _steps(op, model, level, ahead, graph.row(op, errors, 0), leads), peaks, leads)
    limit = ceiling / scale
    capped_steps, capped_peaks = (op.Min(found, op.Unsqueeze(limit, [2])) for found in (steps, peaks))
    return _answer(op, model, capped_steps, scale, known), _answer(op, model, capped_peaks, scale, known)


def _scale(op: Any, demand: Masked) -> Any:
    """Mean of the history, 1 where that is (all but) nothing. [N, 1]."""
    mean = graph.mean(op, demand)
    return op.Where(op.Greater(mean, graph.TINY), mean, 1.0)


def _steps(op: Any, model: SeasonalModel, level: Any, ahead: Any, errors_NQA: Any, leads: Sequence[int]) -> Any:
    """Quantiles of the step at each lead. [N, Q, leads]."""
    spread = op.MatMul(errors_NQA, graph.constant(op, graph.between(model.anchors, leads).T))
    centre = level + op.GatherElements(ahead, graph.everywhere(op, ahead, np.array(leads) - 1), axis=1)
    return op.Max(op.Unsqueeze(centre, [1]) + spread, 0.0)


def _peaks(op: Any, model: SeasonalModel, level: Any, ahead: Any, errors_NQA: Any) -> Any:
    """Quantiles of the running maximum at each window length. [N, Q, W]."""
    spread = op.MatMul(errors_NQA, graph.constant(op, graph.between(model.anchors, model.peak_steps).T))
    highest = op.Squeeze(graph.highest_so_far(op, op.Unsqueeze(ahead, [1]), model.horizon_steps), [1])
    reach = graph.at(op, highest, np.array(model.peak_steps) - 1)
    peaks = op.Max(op.Unsqueeze(level + reach, [1]) + spread, 0.0)
    return graph.highest_so_far(op, peaks, len(model.peak_steps))


def _within_peaks(op: Any, model: SeasonalModel, steps: Any, peaks: Any, leads: Sequence[int]) -> Any:
    """No step above the peak of the shortest window that holds it: peaks are measured as such, so they win."""
    covered = [lead for lead in leads if lead <= model.peak_steps[-1]]
    window = np.searchsorted(model.peak_steps, covered)
    of_window = op.MatMul(peaks, graph.constant(op, graph.floats(np.eye(len(model.peak_steps))[:, window])))
    capped = op.Min(graph.part(op, steps, 0, len(covered), axis=2), of_window)
    return op.Concat(capped, graph.part(op, steps, len(covered), len(leads), axis=2), axis=2)


def _answer(op: Any, model: SeasonalModel, found: Any, scale: Any, known: Any) -> Any:
    """In demand, NaN where not `known`, and sorted along Q, which rounding may have disturbed. [N, Q, …]."""
    ascending = graph.running_max(op, found, 1, len(model.levels))
    return op.Where(op.Unsqueeze(known, [2]), ascending * op.Unsqueeze(scale, [2]), graph.missing(op))

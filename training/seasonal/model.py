"""The whole graph: from the tensors of the contract to the tensors of the contract. Axes: see the package."""

from itertools import pairwise
from typing import Any

import numpy as np
import onnx_ir as ir

from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, PEAKS, QUANTILES, Tensor, shape_of
from training import graph
from training.graph import Masked
from training.seasonal.choices import SeasonalModel
from training.seasonal.day import seasonal_paths
from training.seasonal.spread import Past, error_quantiles, past_of, unrest_now


def build(model: SeasonalModel) -> bytes:
    """The graph of the bundle contract as the bytes of an ONNX model: the same bytes for the same choices."""
    with graph.building("seasonal") as (builder, op):
        inputs = [
            builder.input(tensor.name, _type(tensor), shape_of(tensor, model.sizes))
            for tensor in (HISTORY, LONG_HISTORY, LOCAL_TIME)
        ]
        for tensor, value in zip((QUANTILES, PEAKS), forecast(op, model, *inputs), strict=True):
            value.shape, value.dtype = ir.Shape(shape_of(tensor, model.sizes)), _type(tensor)
            builder.add_output(value, tensor.name)
        return graph.serialised(builder, "headway")


def _type(tensor: Tensor) -> ir.DataType:
    return {"float32": ir.DataType.FLOAT, "int64": ir.DataType.INT64}[tensor.dtype]


def forecast(op: Any, model: SeasonalModel, history: Any, long_history: Any, local_time: Any) -> tuple[Any, Any]:
    """(quantiles, peaks): everything between is relative to the mean of `history`."""
    demand = graph.masked(op, history)
    scale = _scale(op, demand)
    demand = Masked(demand.value / scale, demand.valid)
    path, excess = seasonal_paths(op, model, long_history / op.Unsqueeze(scale, [2]), local_time)
    past = past_of(op, model, demand, path, excess)
    level = _level_now(op, model, past)
    errors = error_quantiles(op, model, past) * op.Unsqueeze(unrest_now(op, model, past), [1, 3])
    peaks = _peaks(op, model, level, path, graph.row(op, errors, 1))
    steps = _within_peaks(op, model, _steps(op, model, level, path, graph.row(op, errors, 0)), peaks)
    size = op.Unsqueeze(scale, [2])
    return _ascending(op, model, steps) * size, _ascending(op, model, peaks) * size


def _scale(op: Any, demand: Masked) -> Any:
    """Mean of the history, 1 where that is (all but) nothing. [N, 1]."""
    mean = graph.mean(op, demand)
    return op.Where(op.Greater(mean, graph.TINY), mean, 1.0)


def _level_now(op: Any, model: SeasonalModel, past: Past) -> Any:
    """Level at the last step; NaN without recent or without enough history. [N, 1]."""
    enough = op.GreaterOrEqual(op.ReduceSum(past.demand.valid, [1]), float(model.minimum_history_steps))
    recent = op.Greater(graph.part(op, past.known, 0, 1), 0.0)
    return op.Where(op.And(enough, recent), graph.part(op, past.level, 0, 1), float("nan"))


def _steps(op: Any, model: SeasonalModel, level: Any, path: Any, errors_NAQ: Any) -> Any:
    """Quantiles of each step. [N, H, Q]."""
    leads = range(1, model.horizon_steps + 1)
    spread = op.MatMul(graph.constant(op, graph.between(model.anchors, leads)), errors_NAQ)
    centre = level + graph.part(op, path, model.steps, model.steps + model.horizon_steps)
    return op.Max(op.Unsqueeze(centre, [2]) + spread, 0.0)


def _peaks(op: Any, model: SeasonalModel, level: Any, path: Any, errors_NAQ: Any) -> Any:
    """Quantiles of the running maximum at each window length. [N, W, Q]."""
    spread = op.MatMul(graph.constant(op, graph.between(model.anchors, model.peak_steps)), errors_NAQ)
    pieces = [
        graph.part(op, path, model.steps + start, model.steps + stop)
        for start, stop in pairwise((0, *model.peak_steps))
    ]
    highest = op.Concat(*(op.ReduceMax(piece, [1]) for piece in pieces), axis=1)
    reach = graph.running_max(op, highest, 1, len(pieces))
    peaks = op.Max(op.Unsqueeze(level + reach, [2]) + spread, 0.0)
    return graph.running_max(op, peaks, 1, len(pieces))


def _within_peaks(op: Any, model: SeasonalModel, steps: Any, peaks: Any) -> Any:
    """No step above the peak of the shortest window that holds it: peaks are measured as such, so they win."""
    covered = model.peak_steps[-1]
    window = np.searchsorted(model.peak_steps, np.arange(1, covered + 1))
    capped = op.Min(graph.part(op, steps, 0, covered), graph.at(op, peaks, window))
    return op.Concat(capped, graph.part(op, steps, covered, model.horizon_steps), axis=1)


def _ascending(op: Any, model: SeasonalModel, quantiles: Any) -> Any:
    """Sorted along Q, which rounding may have disturbed."""
    return graph.running_max(op, quantiles, 2, len(model.levels))

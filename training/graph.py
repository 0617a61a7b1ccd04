"""NaN-aware building blocks as ONNX nodes. Axes: N series; the last axis is time unless a function says otherwise.

ONNX has no nanmean and no nanquantile, and comparisons with NaN are false. So a tensor with gaps travels as `Masked`:
its values with 0 in the gaps, and a float mask with 1 where there is a value.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript import GraphBuilder

from scaler.bundle.signature import PEAKS, QUANTILES, Sizes, Tensor, expected, shape_of

OPSET = 21
IR_VERSION = 10
HUGE = 3e38
"""stands for "missing" where values are sorted or compared; near the largest float32"""
TINY = 1e-30


@contextmanager
def building(name: str) -> Iterator[tuple[GraphBuilder, Any]]:
    """(builder, op) of an empty graph. Inside, `+ - * /` between values make nodes of this graph."""
    builder = GraphBuilder(ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name))
    before = ir.set_value_magic_handler(builder.op)
    try:
        yield builder, builder.op
    finally:
        ir.set_value_magic_handler(before)


def serialised(builder: GraphBuilder, producer: str) -> bytes:
    """The finished graph as the bytes of an ONNX model; the same bytes for the same graph."""
    for node in builder.graph:
        node.metadata_props.clear()
    model = ir.Model(builder.graph, ir_version=IR_VERSION, producer_name=producer)
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    return bytes(proto.SerializeToString(deterministic=True))


def floats(array: Any) -> Any:
    return np.asarray(array, np.float32)


def constant(op: Any, array: Any) -> Any:
    return op.Constant(value=ir.tensor(np.asarray(array)))


@dataclass(frozen=True)
class Masked:
    """`value` (0 where missing) and `valid` (1.0 or 0.0), of equal shape."""

    value: Any
    valid: Any


def masked(op: Any, tensor: Any) -> Masked:
    """Splits a tensor with NaN (or infinite) gaps into values and mask."""
    known = op.Less(op.Abs(tensor), HUGE)
    return Masked(op.Where(known, tensor, 0.0), op.Cast(known, to=ir.DataType.FLOAT))


def over(op: Any, value: Any, valid: Any) -> Masked:
    """value / valid where valid > 0: a mean from a sum and a count (or sum of weights)."""
    known = op.Greater(valid, 0.0)
    return Masked(op.Where(known, value / op.Max(valid, TINY), 0.0), op.Cast(known, to=ir.DataType.FLOAT))


def mean(op: Any, tensor: Masked, axis: int = 1) -> Any:
    """Mean of what is there along `axis`, which stays with size 1; 0 where nothing is."""
    return op.ReduceSum(tensor.value, [axis]) / op.Max(op.ReduceSum(tensor.valid, [axis]), 1.0)


def part(op: Any, tensor: Any, start: int, stop: int, axis: int = 1) -> Any:
    return op.Slice(tensor, [start], [stop], [axis])


def cut(op: Any, tensor: Masked, start: int, stop: int, axis: int = 1) -> Masked:
    return Masked(part(op, tensor.value, start, stop, axis), part(op, tensor.valid, start, stop, axis))


def at(op: Any, tensor: Any, positions: Any) -> Any:
    """The given positions along axis 1."""
    return op.Gather(tensor, constant(op, np.asarray(positions, np.int64)), axis=1)


def trailing_mean(op: Any, tensor: Masked, steps: int) -> Masked:
    """Mean over each step and the `steps - 1` before it, of what is there. [N, T] → [N, T]."""
    return over(op, _trailing_sum(op, tensor.value, steps), _trailing_sum(op, tensor.valid, steps))


def _trailing_sum(op: Any, tensor: Any, steps: int) -> Any:
    """A convolution with ones: in onnxruntime ten times as fast as AveragePool."""
    ones = constant(op, np.ones((1, 1, steps), np.float32))
    return op.Squeeze(op.Conv(op.Unsqueeze(tensor, [1]), ones, pads=[steps - 1, 0]), [1])


def window_max(op: Any, tensor: Any, steps: int, stride: int) -> Any:
    """Max over [0, steps), [stride, stride + steps), … along the last axis. [N, T] → [N, (T - steps) // stride + 1]."""
    return op.Squeeze(op.MaxPool(op.Unsqueeze(tensor, [1]), kernel_shape=[steps], strides=[stride]), [1])


def running_max(op: Any, tensor: Any, axis: int, size: int) -> Any:
    """Each entry along `axis` (of length `size`) raised to the largest before it."""
    rows = [part(op, tensor, 0, 1, axis)]
    for i in range(1, size):
        rows.append(op.Max(rows[-1], part(op, tensor, i, i + 1, axis)))
    return op.Concat(*rows, axis=axis)


def quantiles(op: Any, tensor: Masked, size: int, levels: Sequence[float]) -> tuple[Any, Any]:
    """(quantiles [..., Q], count [..., 1]) of what is there along the last axis, which has `size` entries.

    Level p of n values is read at rank p (n + 1), as split conformal prediction does: a small sample answers with its
    extremes. Where nothing is there the quantiles are `HUGE`.
    """
    everything = op.Where(op.Greater(tensor.valid, 0.0), tensor.value, HUGE)
    ascending, _ = op.TopK(everything, [size], axis=-1, largest=0, sorted=1, _outputs=2)
    count = op.ReduceSum(tensor.valid, [-1])
    last = op.Max(count - 1.0, 0.0)
    rank = op.Max(op.Min(constant(op, floats(levels)) * (count + 1.0) - 1.0, last), 0.0)
    below = op.Floor(rank)
    low = op.GatherElements(ascending, op.Cast(below, to=ir.DataType.INT64), axis=-1)
    high = op.GatherElements(ascending, op.Cast(op.Min(below + 1.0, last), to=ir.DataType.INT64), axis=-1)
    return low + (high - low) * (rank - below), count


def between(knots: Sequence[int], points: Sequence[int]) -> Any:
    """Matrix [points, knots] that interpolates linearly between values at `knots`, constant outside them."""
    return floats(np.stack([np.interp(points, knots, unit) for unit in np.eye(len(knots))], axis=1))


def flag(op: Any, condition: Any) -> Any:
    """A condition as 1.0 or 0.0."""
    return op.Cast(condition, to=ir.DataType.FLOAT)


def row(op: Any, tensor: Any, index: int) -> Any:
    """One entry along axis 1, which is dropped."""
    return op.Gather(tensor, index, axis=1)


def squeezed(op: Any, tensor: Masked, axis: int) -> Masked:
    return Masked(op.Squeeze(tensor.value, [axis]), op.Squeeze(tensor.valid, [axis]))


def inputs(builder: GraphBuilder, sizes: Sizes, per_series: bool = False) -> dict[str, Any]:
    """The inputs of the bundle contract by name, declared in `builder`; `series` only where `per_series`."""
    wanted, _ = expected(sizes, per_series)
    return {tensor.name: builder.input(tensor.name, _type(tensor), shape_of(tensor, sizes)) for tensor in wanted}


def give(builder: GraphBuilder, op: Any, sizes: Sizes, steps: Any, peaks: Any) -> None:
    """Declares steps [N, H, Q] and peaks [N, W, Q] as the outputs of the contract; without W only the steps.

    Raised to 0 and ascending along Q, peaks along W too. NaN stays.
    """
    values = [running_max(op, op.Max(steps, 0.0), 2, sizes.Q)]
    if sizes.W:
        values.append(running_max(op, running_max(op, op.Max(peaks, 0.0), 2, sizes.Q), 1, sizes.W))
    for tensor, value in zip((QUANTILES, PEAKS), values, strict=False):
        value.shape, value.dtype = ir.Shape(shape_of(tensor, sizes)), _type(tensor)
        builder.add_output(value, tensor.name)


def _type(tensor: Tensor) -> ir.DataType:
    return {"float32": ir.DataType.FLOAT, "int64": ir.DataType.INT64}[tensor.dtype]


def enough(op: Any, demand: Masked, steps: int, minimum: int, recent: int) -> Any:
    """Whether a history [N, T] of `steps` has `minimum` samples, and one of its newest `recent`. [N, 1]."""
    many = op.GreaterOrEqual(op.ReduceSum(demand.valid, [1]), float(minimum))
    return op.And(many, op.Greater(op.ReduceMax(part(op, demand.valid, steps - recent, steps), [1]), 0.0))


def rows(op: Any, table: Any, positions_N: Any) -> Any:
    """The rows of a constant table that integer positions pick. [S, ...] → [N, ...]."""
    return op.Gather(constant(op, table), positions_N, axis=0)


def missing(op: Any) -> Any:
    """NaN as a node; a plain float("nan") can be used but once in a graph."""
    return constant(op, np.float32(np.nan))

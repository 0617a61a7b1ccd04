"""NaN-aware building blocks as ONNX nodes. Axes: N series; the last axis is time unless a function says otherwise.

ONNX has no nanmean and no nanquantile, and comparisons with NaN are false. So a tensor with gaps is passed as `Masked`:
its values with 0 in the gaps, and a float mask with 1 where there is a value.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript import GraphBuilder

from scaler.bundle.signature import PEAKS, QUANTILES, Sizes, Tensor, expected, shape_of

OPSET = 21
IR_VERSION = 10
HUGE = 3e38
"""stands for "missing" where values are sorted or compared; near the largest float32"""
TINY = 1e-30
FURTHEST_ABOVE = 4.0
"""times the largest recorded demand: upper bound of quantiles, as a step in a short history suggests no more"""


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


def masked_channels(op: Any, tensor: Any) -> tuple[Masked, Masked]:
    """The two channels of long_history, each with its own gaps. [N, L, 2] → [N, L] twice."""
    first, second = op.Split(op.Transpose(tensor, perm=[0, 2, 1]), num_outputs=2, axis=1, _outputs=2)
    return masked(op, op.Squeeze(first, [1])), masked(op, op.Squeeze(second, [1]))


def ceiling(op: Any, demand: Masked, weeks_max: Masked) -> Any:
    """The most that a model may forecast, from demand [N, T] and the block maxima of the weeks [N, L]. [N, 1]"""
    return op.Max(*(op.ReduceMax(seen.value, [1]) for seen in (demand, weeks_max))) * FURTHEST_ABOVE


def over(op: Any, value: Any, valid: Any) -> Masked:
    """value / valid: a mean from a sum and a count (or sum of weights). `value` must be 0 where `valid` is."""
    return Masked(value / op.Max(valid, TINY), flag(op, op.Greater(valid, 0.0)))


def mean(op: Any, tensor: Masked, axis: int = 1) -> Any:
    """Mean of the known values along `axis`, which stays with size 1; 0 without any."""
    return op.ReduceSum(tensor.value, [axis]) / op.Max(op.ReduceSum(tensor.valid, [axis]), 1.0)


def part(op: Any, tensor: Any, start: int, stop: int, axis: int = 1) -> Any:
    return op.Slice(tensor, [start], [stop], [axis])


def cut(op: Any, tensor: Masked, start: int, stop: int, axis: int = 1) -> Masked:
    return Masked(part(op, tensor.value, start, stop, axis), part(op, tensor.valid, start, stop, axis))


def at(op: Any, tensor: Any, positions: Any) -> Any:
    """The given positions along axis 1."""
    return op.Gather(tensor, constant(op, np.asarray(positions, np.int64)), axis=1)


def everywhere(op: Any, tensor: Any, positions: Any) -> Any:
    """The same positions for every series: indices [N, n] for GatherElements along axis 1 of a tensor [N, T].

    In onnxruntime several times as fast as Gather if the indices serve several tensors.
    """
    flat = np.asarray(positions, np.int64).reshape(1, -1)
    return op.Expand(constant(op, flat), op.Concat(op.Shape(tensor, start=0, end=1), [flat.size], axis=0))


def trailing_mean(op: Any, tensor: Masked, steps: int) -> Masked:
    """Mean over each step and the `steps - 1` before it, of the known values. [N, T] → [N, T]."""
    if steps == 1:
        return tensor
    count = _trailing_sum(op, tensor.valid, steps)
    return Masked(_trailing_sum(op, tensor.value, steps) / op.Max(count, 1.0), op.Min(count, 1.0))


def _trailing_sum(op: Any, tensor: Any, steps: int) -> Any:
    """Convolutions with ones (ten times as fast as AveragePool in onnxruntime): of few steps, then of these sums."""
    few = max(size for size in range(1, isqrt(steps) + 1) if steps % size == 0)
    return op.Squeeze(_convolved(op, _convolved(op, op.Unsqueeze(tensor, [1]), few, 1), steps // few, few), [1])


def _convolved(op: Any, tensor: Any, count: int, apart: int) -> Any:
    """Sum of the entry at each step and of `count - 1` before it, each `apart` from the next. [N, 1, T]."""
    if count == 1:
        return tensor
    ones = constant(op, np.ones((1, 1, count), np.float32))
    return op.Conv(tensor, ones, pads=[(count - 1) * apart, 0], dilations=[apart])


def asinh(op: Any, tensor: Any) -> Any:
    """Linear around 0, logarithmic far out: a thousandfold jump stays learnable.

    In onnxruntime four times as fast as Asinh, with an error of 1e-7; values beyond 1e18 count as 1e18.
    """
    size = op.Min(op.Abs(tensor), 1e18)
    grown = op.Log(size + op.Sqrt(size * size + 1.0))
    return op.Where(op.Less(tensor, 0.0), op.Neg(grown), grown)


def window_max(op: Any, tensor: Any, steps: int, stride: int) -> Any:
    """Max over [0, steps), [stride, stride + steps), … along the last axis. [N, T] → [N, (T - steps) // stride + 1]."""
    return op.Squeeze(op.MaxPool(op.Unsqueeze(tensor, [1]), kernel_shape=[steps], strides=[stride]), [1])


def highest_so_far(op: Any, tensor: Any, size: int) -> Any:
    """Each entry along the last axis (of length `size`) raised to the largest before it; no NaN. [N, C, size]."""
    return op.MaxPool(tensor, kernel_shape=[size], pads=[size - 1, 0])


def running_max(op: Any, tensor: Any, axis: int, size: int) -> Any:
    """Each entry along `axis` (of length `size`) raised to the largest before it."""
    rows = [part(op, tensor, 0, 1, axis)]
    for i in range(1, size):
        rows.append(op.Max(rows[-1], part(op, tensor, i, i + 1, axis)))
    return op.Concat(*rows, axis=axis)


def quantiles(op: Any, tensor: Masked, size: int, levels: Sequence[float]) -> tuple[Any, Any]:
    """(quantiles [..., Q], count [..., 1]) of the known values along the last axis, which has `size` entries.

    Level p of n values is read at rank p (n + 1), as split conformal prediction does: a small sample yields its
    extremes. Without known values the quantiles are `HUGE`. The content of `value` in gaps does not matter.
    """
    everything = op.Where(op.Greater(tensor.valid, 0.0), tensor.value, HUGE)
    ascending = op.Reshape(_ascending(op, op.Reshape(everything, [-1, size]), size), op.Shape(everything))
    count = op.ReduceSum(tensor.valid, [-1])
    last = op.Max(count - 1.0, 0.0)
    rank = op.Max(op.Min(constant(op, floats(levels)) * (count + 1.0) - 1.0, last), 0.0)
    below = op.Floor(rank)
    low = op.GatherElements(ascending, op.Cast(below, to=ir.DataType.INT64), axis=-1)
    high = op.GatherElements(ascending, op.Cast(op.Min(below + 1.0, last), to=ir.DataType.INT64), axis=-1)
    return low + (high - low) * (rank - below), count


def _ascending(op: Any, tensor: Any, size: int) -> Any:
    """Sorted along the last axis, of length `size`; no NaN. [M, S] → [M, S].

    All rows go through the same rounds of comparisons: in onnxruntime three times as fast as TopK.
    """
    tensor, place = op.Transpose(tensor, perm=[1, 0]), np.arange(size)
    for first, second in _rounds(size):
        one, other = (op.Gather(tensor, constant(op, place[pairs]), axis=0) for pairs in (first, second))
        rest = np.setdiff1d(np.arange(size), [first, second])
        kept = op.Gather(tensor, constant(op, place[rest]), axis=0)
        tensor = op.Concat(op.Min(one, other), op.Max(one, other), kept, axis=0)
        place = np.argsort(np.concatenate([first, second, rest]))
    return op.Transpose(op.Gather(tensor, constant(op, place), axis=0), perm=[1, 0])


def _rounds(size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batcher's merge exchange: which places to compare with which, round by round, to sort `size` entries.

    Knuth, "The Art of Computer Programming" 3, section 5.2.2, algorithm M.
    """
    half = 1 << ((size - 1).bit_length() - 1) if size > 1 else 0
    block = half
    while block:
        distance, remainder, following = block, 0, half
        while True:
            first = np.arange(size - distance)
            first = first[first & block == remainder]
            yield first, first + distance
            if following == block:
                break
            distance, remainder, following = following - block, block, following // 2
        block //= 2


def between(knots: Sequence[int], points: Sequence[int]) -> Any:
    """Matrix [points, knots] that interpolates linearly between values at `knots`, constant outside them."""
    return floats(np.stack([np.interp(points, knots, unit) for unit in np.eye(len(knots))], axis=1))


def flag(op: Any, condition: Any) -> Any:
    """A condition as 1.0 or 0.0."""
    return op.Cast(condition, to=ir.DataType.FLOAT)


def row(op: Any, tensor: Any, index: int) -> Any:
    """One entry along axis 1, which is dropped."""
    return op.Gather(tensor, index, axis=1)


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


def has_history(op: Any, demand: Masked, steps: int, minimum: int, recent: int) -> Any:
    """Whether a history [N, T] of `steps` has `minimum` samples, and one of its newest `recent`. [N, 1]."""
    many = op.GreaterOrEqual(op.ReduceSum(demand.valid, [1]), float(minimum))
    return op.And(many, op.Greater(op.ReduceMax(part(op, demand.valid, steps - recent, steps), [1]), 0.0))


def rows(op: Any, table: Any, positions_N: Any) -> Any:
    """The rows of a constant table that integer positions pick. [S, ...] → [N, ...]."""
    return op.Gather(constant(op, table), positions_N, axis=0)


def missing(op: Any) -> Any:
    """NaN as a node; a plain float("nan") can be used only once in a graph."""
    return constant(op, np.float32(np.nan))

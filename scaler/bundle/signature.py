"""Names, types and axes of the tensors of every bundle's graph: the one place where they are written down.

Axes: N series (any number), T fine past steps, L coarse past blocks, H future steps, W window lengths, Q levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph. `axes`: a letter per dimension, or a number where the size is fixed."""

    name: str
    dtype: str
    """numpy's name of the type: float32 or int64"""
    axes: tuple[str | int, ...]


HISTORY = Tensor("history", "float32", ("N", "T"))
LONG_HISTORY = Tensor("long_history", "float32", ("N", "L", 2))
LOCAL_TIME = Tensor("local_time", "int64", ("N",))
SERIES = Tensor("series", "int64", ("N",))
INPUTS = (HISTORY, LONG_HISTORY, LOCAL_TIME, SERIES)

QUANTILES = Tensor("quantiles", "float32", ("N", "H", "Q"))
PEAKS = Tensor("peaks", "float32", ("N", "W", "Q"))
OUTPUTS = (QUANTILES, PEAKS)


class Sizes(NamedTuple):
    """The sizes of the axes in a bundle's manifest; N is free."""

    T: int
    L: int
    H: int
    Q: int
    W: int


class Found(NamedTuple):
    """One tensor as a graph declares it. `shape`: a number per fixed dimension, anything else per free one."""

    name: str
    dtype: str
    shape: Sequence[object]


def shape_of(tensor: Tensor, sizes: Sizes, series: int | str = "N") -> tuple[int | str, ...]:
    """The tensor's shape for `sizes`; the N axis is `series`."""
    known: dict[str | int, int | str] = {"N": series}
    known.update(sizes._asdict())
    return tuple(known.get(axis, axis) for axis in tensor.axes)


def expected(sizes: Sizes, per_series: bool) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """(inputs, outputs) that a graph must have: `series` only where parameters are per series, `peaks` where W > 0."""
    inputs = tuple(t for t in INPUTS if t is not SERIES or per_series)
    outputs = tuple(t for t in OUTPUTS if t is not PEAKS or sizes.W > 0)
    return inputs, outputs


def differences(kind: str, wanted: Sequence[Tensor], found: Sequence[Found], sizes: Sizes) -> list[str]:
    """One sentence per difference between the declared tensors and the contract; empty when they agree."""
    declared = {tensor.name: tensor for tensor in found}
    known = {tensor.name for tensor in wanted}
    problems = [f"{kind} {name}: not in the contract" for name in declared if name not in known]
    for tensor in wanted:
        if tensor.name in declared:
            problems += _differs(kind, tensor, declared[tensor.name], sizes)
        else:
            problems.append(f"{kind} {tensor.name}: missing")
    return problems


def _differs(kind: str, tensor: Tensor, found: Found, sizes: Sizes) -> list[str]:
    problems = []
    if found.dtype != tensor.dtype:
        problems.append(f"{kind} {tensor.name}: type is {found.dtype}, must be {tensor.dtype}")
    wanted, shape = shape_of(tensor, sizes), tuple(found.shape)
    if len(shape) != len(wanted):
        problems.append(f"{kind} {tensor.name}: has {len(shape)} axes, must have {len(wanted)} {_text(wanted)}")
    elif isinstance(shape[0], int) or any(isinstance(a, int) and a != b for a, b in zip(shape, wanted, strict=True)):
        problems.append(f"{kind} {tensor.name}: shape is {_text(shape)}, must be {_text(wanted)}")
    return problems


def _text(shape: Sequence[object]) -> str:
    return "[" + ", ".join(str(axis) if isinstance(axis, int | str) else "?" for axis in shape) + "]"

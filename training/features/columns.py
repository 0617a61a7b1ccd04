"""Named columns of a feature tensor [N, F], gathered one by one."""

from collections.abc import Sequence
from typing import Any

from training import graph
from training.graph import Masked


class Columns:
    """Collects [N, n] tensors under names; `joined` is their tensor [N, F], in the order in which they were added.

    Each column belongs to the `subject` at the time: what it is about, for readers of a report.
    """

    def __init__(self, op: Any) -> None:
        self.op = op
        self.names: list[str] = []
        self.subject = ""
        self.subjects: list[str] = []
        self._parts: list[Any] = []

    def add(self, name: str, tensor: Any, members: Sequence[object] = ("",)) -> None:
        """`tensor` [N, n] as n columns, named after `members`."""
        self.names += [f"{name}{member}" for member in members]
        self.subjects += [self.subject] * len(members)
        self._parts.append(tensor)

    def add_known(self, name: str, tensor: Masked, members: Sequence[object] = ("",)) -> None:
        """As `add`, with 0 where the value is missing."""
        self.add(name, tensor.value * tensor.valid, members)

    def joined(self) -> Any:
        """Every value within ±1e6, none NaN."""
        everything = self.op.Concat(*self._parts, axis=1)
        return self.op.Clip(self.op.Where(self.op.IsNaN(everything), 0.0, everything), -1e6, 1e6)


def relative(op: Any, tensor: Masked, level: Any, scale: Any) -> Masked:
    """asinh of how many `scale` a value lies above `level`."""
    return Masked(graph.asinh(op, (tensor.value - level) / scale) * tensor.valid, tensor.valid)


def joined(op: Any, parts: Sequence[Masked]) -> Masked:
    """[N, 1] tensors side by side."""
    return Masked(op.Concat(*(p.value for p in parts), axis=1), op.Concat(*(p.valid for p in parts), axis=1))


def mean_of(op: Any, tensor: Masked) -> Masked:
    """Mean of what is there. [N, n] → [N, 1]."""
    return graph.over(op, op.ReduceSum(tensor.value, [1]), op.ReduceSum(tensor.valid, [1]))


def highest_of(op: Any, tensor: Masked) -> Masked:
    """Largest of what is there. [N, n] → [N, 1]."""
    highest = op.ReduceMax(op.Where(op.Greater(tensor.valid, 0.0), tensor.value, -graph.HUGE), [1])
    valid = op.ReduceMax(tensor.valid, [1])
    return Masked(op.Where(op.Greater(valid, 0.0), highest, 0.0), valid)

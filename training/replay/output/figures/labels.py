"""Places for the labels of a plot, so that they cover nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from training.replay.policies.registry import RIVALS
from training.replay.simulation.demand import Moments

WIDE, NARROW = (1080.0, 400.0), (310.0, 400.0)
"""pixels of the plot of cost and service, within its axes"""
_SIDES = tuple(
    f"{vertical} {horizontal}"
    for vertical, horizontal in (
        ("bottom", "left"), ("top", "right"), ("middle", "left"), ("middle", "right"),
        ("bottom", "right"), ("top", "left"), ("bottom", "center"), ("top", "center"),
    )
)  # fmt: skip
LETTER = 7.0
"""pixels of one in a label, on average"""
CROSSING = 0.3
"""a covered pixel of a line is as bad as one of a label"""
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """A policy in the plot of cost and service. y: its unserved share, or the least that is drawn."""

    name: str
    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The range of the axes (y: powers of ten) and their size in pixels."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size: tuple[float, float]

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """In pixels from the lower left corner."""
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (np.log10(y) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return across * self.size[0], up * self.size[1]


def placed(points: Sequence[Point], lines: Sequence[tuple[Moments, Moments]], frame: Frame) -> dict[str, str]:
    """Each label in turn on the side where it covers the least of points, lines, earlier labels and the edge."""
    marks = {one.label: _box(frame.at(one.x, one.y), 20, "middle center") for one in points if one.name != "gap"}
    crossed = [_box(at, 8, "middle center") for line in lines for at in _along(*frame.at(*line))]
    taken: list[Box] = []
    found: dict[str, str] = {}
    for one in (one for one in points if one.name not in RIVALS):
        others = [*taken, *(box for label, box in marks.items() if label != one.label)]
        boxes = {side: _box(frame.at(one.x, one.y), LETTER * len(one.label), side) for side in _SIDES}
        costs = {
            side: _covered(box, others) + CROSSING * _covered(box, crossed) + 100 * _beyond(box, frame.size)
            for side, box in boxes.items()
        }
        found[one.label] = min(_SIDES, key=costs.__getitem__)
        taken.append(boxes[found[one.label]])
    return found


def _along(x_P: Moments, y_P: Moments) -> list[tuple[float, float]]:
    """Points on a line, some 8 pixels from each other."""
    walked_P = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x_P), np.diff(y_P)))])
    at = np.arange(0, walked_P[-1], 8)
    return list(zip(np.interp(at, walked_P, x_P).tolist(), np.interp(at, walked_P, y_P).tolist(), strict=True))


def _box(at: tuple[float, float], width: float, side: str) -> Box:
    """(left, low, right, high) of a label of this width next to, or of a mark upon, a point."""
    vertical, horizontal = side.split()
    left = at[0] + {"left": -12 - width, "center": -width / 2, "right": 12}[horizontal]
    low = at[1] + {"bottom": -26, "middle": -9, "top": 8}[vertical]
    return left, low, left + width, low + 18


def _covered(box: Box, others: Sequence[Box]) -> float:
    """Overlap with others in pixels."""
    return sum(
        max(0.0, min(box[2], one[2]) - max(box[0], one[0])) * max(0.0, min(box[3], one[3]) - max(box[1], one[1]))
        for one in others
    )


def _beyond(box: Box, size: tuple[float, float]) -> float:
    """Pixels beyond the edges."""
    return max(0.0, -box[0]) + max(0.0, box[2] - size[0]) + max(0.0, -box[1]) + max(0.0, box[3] - size[1])

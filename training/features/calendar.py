"""Columns from integer local time alone, known for any moment, future ones included."""

from typing import Any

import numpy as np
import onnx_ir as ir

from training import graph
from training.features.columns import Columns
from training.task import DAY_SECONDS, WEEK_SECONDS

HARMONICS = {"hour": (3600, 2), "day": (DAY_SECONDS, 3), "week": (WEEK_SECONDS, 2)}
"""period in seconds, and how many waves of it"""
MONDAY = 4 * DAY_SECONDS
"""the epoch began on a Thursday; seconds until the first Monday"""


def add_calendar(columns: Columns, local_time: Any) -> None:
    """Waves of hour, day and week, and whether today, and the time a few hours ahead, is on a weekend."""
    op = columns.op
    now = op.Unsqueeze(local_time, [1])
    for name, (period, waves) in HARMONICS.items():
        angle = phase(op, now, period) * graph.constant(op, graph.floats(2 * np.pi * np.arange(1, waves + 1)))
        columns.add(f"{name}_sin_", op.Sin(angle), range(1, waves + 1))
        columns.add(f"{name}_cos_", op.Cos(angle), range(1, waves + 1))
    columns.add("minute_of_hour", phase(op, now, 3600))
    columns.add("minute_of_quarter", phase(op, now, 900))
    for hours in (0, 1, 2):
        columns.add(f"weekend_in_{hours}h", weekend(op, now + 3600 * hours))


def phase(op: Any, local_time: Any, period: int) -> Any:
    """Which part of the period is over, in [0, 1). The remainder is taken in integers: float32 cannot hold a time."""
    return op.Cast(op.Mod(local_time - MONDAY, period), to=ir.DataType.FLOAT) / float(period)


def weekend(op: Any, local_time: Any) -> Any:
    """1.0 on Saturday and Sunday."""
    return graph.flag(op, op.GreaterOrEqual(phase(op, local_time, WEEK_SECONDS), 5 / 7))

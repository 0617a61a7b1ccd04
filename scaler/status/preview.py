"""What a trigger that is tried would have asked for, over the last day of a watched trigger with the same query.

Plans are those of the watched trigger, with its lead time, quantile and policy; replicas follow with the threshold of
the one that is tried.

Axes: M minutes, B points.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from scaler.registry import Registration
from scaler.status.exposition import Turn
from scaler.status.records import Record
from scaler.status.schemas import Schema, array, nullable, real, record, text, whole
from scaler.status.timeline import TimelineRoute
from scaler.trigger import Trigger

DAY_SECONDS = 86_400.0
MINUTES_OF_A_POINT = 10
OF_THE_PLAN: Final = {
    "lead_time_seconds": "leadTime",
    "quantile": "quantile",
    "policy": "policy",
    "model": "model",
    "mode": "mode",
}
"""what plans follow from beside the query: fields of a trigger, and the keys that name them"""
_POINTS = array(nullable(real()))
_REPLICAS = nullable(whole())
PREVIEW: Final[Schema] = record(
    "Preview",
    {
        "since": real("begin of the day, seconds since the epoch"),
        "until": real("its end"),
        "every_seconds": real("from one point to the next"),
        "observed": {**_POINTS, "description": "the largest demand of each"},
        "planned": {**_POINTS, "description": "the largest planned value of each, by the watched trigger"},
        "most_replicas": {**_REPLICAS, "description": "of an HPA without limits that reads what was planned"},
        "most_reactive_replicas": {**_REPLICAS, "description": "of one that reads the demand"},
        "replica_hours": real("of the first, where both are known"),
        "reactive_replica_hours": real("of the second, for the same minutes"),
        "known_minutes": whole("of the day: both are known"),
        "differs": array(text(), "keys in which the watched trigger differs; its plans follow its own values"),
    },
)


async def preview(timeline: TimelineRoute, watched: Registration, tried: Trigger, now: float, turn: Turn) -> Record:
    """The record of PREVIEW."""
    since = now - DAY_SECONDS
    line = await timeline.lines(watched, since, now, now, turn, tried.threshold)
    count = sum(at <= now for at in line["times"])
    plan, reactive = (line[name][:count] for name in ("planned_replicas", "reactive_replicas"))
    both = [(ours, theirs) for ours, theirs in zip(plan, reactive, strict=True) if ours is not None is not theirs]
    return {
        "since": since,
        "until": now,
        "every_seconds": 60.0 * MINUTES_OF_A_POINT,
        "observed": _largest(line["observed"][:count]),
        "planned": _largest(line["planned"][:count]),
        "most_replicas": max((ours for ours, _ in both), default=None),
        "most_reactive_replicas": max((theirs for _, theirs in both), default=None),
        "replica_hours": sum(ours for ours, _ in both) / 60,
        "reactive_replica_hours": sum(theirs for _, theirs in both) / 60,
        "known_minutes": len(both),
        "differs": [key for name, key in OF_THE_PLAN.items() if getattr(watched.trigger, name) != getattr(tried, name)],
    }


def _largest(values_M: Sequence[float | None]) -> list[float | None]:
    """Of each MINUTES_OF_A_POINT minutes. [B]"""
    pieces: list[Any] = [values_M[at : at + MINUTES_OF_A_POINT] for at in range(0, len(values_M), MINUTES_OF_A_POINT)]
    return [max((one for one in piece if one is not None and math.isfinite(one)), default=None) for piece in pieces]

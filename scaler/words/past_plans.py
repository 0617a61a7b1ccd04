"""What was planned at a moment, line by line, from a plan of `/api/v1/plans/NAMESPACE/NAME`. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, NamedTuple

from scaler.words.numbers import figure

NOTHING_THEN = (
    "nothing is kept of this time. A plan is kept for a week, when it changes, and once an hour otherwise; none "
    "where no replica ran or no database is set"
)


class Weight(StrEnum):
    """How a line stands out."""

    PLAIN = "plain"
    STRONG = "strong"
    WARNING = "warning"


class Line(NamedTuple):
    text: str
    weight: Weight = Weight.PLAIN


def past_plan_lines(plan: Mapping[str, Any], zone: tzinfo) -> Iterator[Line]:
    """When it was planned, what KEDA got, and what that rested on; its reasons are not part of it. Times are those of
    `zone`. Raises KeyError or TypeError where the record is none."""
    until = "" if plan["until"] is None else f", until {clock(plan['until'], zone)}"
    yield Line(f"planned {clock(plan['at'], zone)}{until}")
    rung = plan["rung"].replace("_", " ")
    if plan["metric"] is None:
        yield Line(f"KEDA got an error · {rung}", Weight.STRONG)
    else:
        yield Line(
            f"metric {figure(plan['metric'])}, {'active' if plan['active'] else 'inactive'} · {rung}", Weight.STRONG
        )
        yield Line(f"→ {_replicas(plan['replicas'])} (metric / threshold), before the HPA's tolerance and limits")
    if plan["planned"] is not None and plan["planned"] != plan["metric"]:
        yield Line(f"predictive mode would have answered {figure(plan['planned'])}")
    if plan["observed"] is not None:
        yield Line(f"observed {figure(plan['observed'])}")
    if plan["need"] is not None and plan["quantile"] is not None:
        yield Line(f"forecast of {plan['model']}; p{100 * plan['quantile']:.3g} of the peak was read")
    if plan["error"]:
        yield Line(plan["error"], Weight.WARNING)


def clock(at: float, zone: tzinfo) -> str:
    """`2026-11-29 02:31:00`"""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M:%S}"


def _replicas(count: int | None) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"

"""The first page: all triggers, sorted, filtered and searched, a page at a time."""

import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault, StoreUnavailable
from scaler.page.asking import Refused, with_query
from scaler.registry import Registration
from scaler.series import Forecast
from scaler.status.overview import MODES, RUNGS, OverviewAsked, answer_of, overview, overview_asked, row
from scaler.status.shown import Shown

PAST_SECONDS, AHEAD_SECONDS, POINT_SECONDS = 3 * 3600, 3600, 300
CORRECTIONS = ("coverage", "calibration")
"""rules that raise a quantile which demand exceeds too often"""
COLUMNS = (
    ("name", "Workload", ""),
    ("demand", "Demand", "newest observation, in the unit of the query"),
    ("planned", "Planned", "what replicas are planned for: the metric that KEDA reads in predictive mode"),
    ("replicas", "Replicas", "now, as the HPA is estimated: after its stabilisation, before its limits"),
    ("replicas_soon", "Asked", "planned / threshold, before the HPA's stabilisation and limits"),
    ("rung", "Answer", "what answers rest on"),
    ("skill", "Skill", "how much smaller the loss of the forecast is than that of the newest observation"),
    ("coverage", "Coverage", "share of peaks within the trigger's quantile, beside what is promised"),
    ("saved_replica_hours", "± hours", "replica-hours next to a reactive trigger, since the start; below 0: fewer"),
    ("saved_short_minutes", "± short min", "minutes with too few ready replicas, next to that trigger; below 0: fewer"),
    ("model", "Model", ""),
)
"""name to sort by, heading, what it is"""


async def overview_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """The rows of one page, and links to the others."""
    faults: list[Fault] = []
    query = {name: value for name, value in request.query_params.items() if value}
    asked = overview_asked(query, faults)
    if faults:
        raise Refused(faults)
    now, turn = shown.now(), shown.turn_of(request)
    found = await overview(shown.registry, asked, now, turn)
    rows = []
    for one in found.found:
        await turn()
        rows.append(await _row(shown, one, now))
    return {
        "rows": rows,
        "asked": asked,
        "count": found.count,
        "total": len(shown.registry),
        "pages": max(1, math.ceil(found.count / asked.rows)),
        "columns": [_column(asked, query, *one) for one in COLUMNS],
        "rungs": RUNGS,
        "modes": MODES,
        "missing": shown.missing(),
        "link": lambda **changed: with_query(query, **changed),
    }


async def _row(shown: Shown, one: Registration, now: float) -> Mapping[str, Any]:
    """A row of the API, with what only the page shows."""
    answer = answer_of(shown.registry, one, now)
    reasons = answer.plan.reasons if answer is not None else ()
    corrections = [reason for reason in reasons if reason.rule in CORRECTIONS]
    return row(shown.registry, one, now) | {"spark": await _spark(shown, one, now), "corrections": corrections}


def _column(asked: OverviewAsked, query: Mapping[str, str], name: str, heading: str, what: str) -> Mapping[str, Any]:
    """A heading, and where it leads: sorted by it, or the other way round."""
    is_sorted = asked.sort == name
    order = ("asc" if asked.descending else "desc") if is_sorted else ""
    state = ("descending" if asked.descending else "ascending") if is_sorted else "none"
    href = with_query(query, sort=name, order=order, page="")
    return {"name": name, "heading": heading, "what": what, "href": href, "sorted": state}


async def _spark(shown: Shown, one: Registration, now: float) -> Mapping[str, list[float | None]]:
    """Demand of three hours, and what is expected of the next one, every five minutes."""
    current = one.current
    forecast = current.outlook.forecast if current is not None else None
    return {"past": await _past(shown, one, now), **_expected(forecast, one.trigger.quantile, now)}


async def _past(shown: Shown, one: Registration, now: float) -> list[float | None]:
    if shown.reads.demand is None:
        return []
    try:
        values = await shown.reads.demand(one.trigger, now - PAST_SECONDS + 60, now)
    except StoreUnavailable:
        return []
    width = POINT_SECONDS // 60
    pieces = [values[first : first + width] for first in range(0, len(values), width)]
    return [max((float(v) for v in piece if math.isfinite(v)), default=None) for piece in pieces]


def _expected(forecast: Forecast | None, quantile: float, now: float) -> Mapping[str, list[float | None]]:
    if forecast is None:
        return {"median": [], "upper": []}
    first = max(0, round((now - forecast.start) / forecast.step_seconds))
    steps = range(first, min(len(forecast.quantiles_HQ), first + round(AHEAD_SECONDS / forecast.step_seconds)))
    chosen = steps[:: max(1, round(POINT_SECONDS / forecast.step_seconds))]
    places = {name: _nearest(forecast.levels, level) for name, level in (("median", 0.5), ("upper", quantile))}
    return {name: [float(forecast.quantiles_HQ[step, at]) for step in chosen] for name, at in places.items()}


def _nearest(levels: tuple[float, ...], level: float) -> int:
    return min(range(len(levels)), key=lambda place: abs(levels[place] - level))

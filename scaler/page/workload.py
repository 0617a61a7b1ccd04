"""The page of one ScaledObject: its demand on a time line, what is planned and why, and what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page import workload_sections as sections
from scaler.page.asking import Moved, Refused, with_query
from scaler.page.bounded import Answer, BoundedReads
from scaler.page.workload_asked import DAYS, SPANS, WorkloadAsked, workload_asked
from scaler.page.workload_table import TABLE_AFTER, headings, table_of
from scaler.past_plans import PastPlan
from scaler.registry import MOST_OF_ONE_OBJECT, Registration
from scaler.scored import DAY_HOURS, HOUR_SECONDS, ScoresAsked
from scaler.status.events import RESTS_ON
from scaler.status.exposition import Turn
from scaler.status.overview import row
from scaler.status.parameters import unprintable
from scaler.status.records import why_record
from scaler.status.scores import StoredWeeks
from scaler.status.shown import Shown
from scaler.status.stored import unknown_trigger
from scaler.status.timeline import TimelineRoute

TABLE_SECONDS = 1800.0
"""read for it"""
NO_TRIGGER = "no trigger of this ScaledObject has this hash, and nothing is kept of one"
NOBODY = (
    "no trigger of this name is watched here, and no plan or score of one is kept: KEDA has not called for it, or not "
    "for a long time"
)


async def workload_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """One trigger of the object in full, and links to its others; also of one that is watched no longer, as long as the
    store knows something of it."""
    own = request.path_params["namespace"], request.path_params["name"]
    if faults := unprintable(request.path_params):
        raise Refused(faults)
    watched = shown.registry.page(MOST_OF_ONE_OBJECT, namespace=own[0], name=own[1])
    now, zone = shown.now(), ZoneInfo(watched[0].trigger.timezone if watched else "UTC")
    asked = workload_asked(request.query_params, now, zone, faults)
    if faults:
        raise Refused(faults)
    if asked.at is not None and asked.is_relative:
        raise Moved(with_query(request.query_params, at=f"{int(asked.at):06d}"))
    ask = BoundedReads()
    newest = await sections.newest(shown.reads, ask, own, now)
    one = next((one for one in watched if asked.trigger in ("", one.trigger.short_key)), None)
    hashes = [one.trigger.short_key for one in watched]
    earlier = [other for other in await _known(shown, ask, own, newest, one is None) if other not in hashes]
    trigger = one.trigger.short_key if one is not None else asked.trigger or next(iter(earlier), "")
    if one is None and trigger not in earlier:
        if watched:
            raise Refused([Fault("trigger", trigger, NO_TRIGGER)], HTTPStatus.NOT_FOUND)
        raise Refused(*_nobody(shown, own, newest.notice))
    scope = sections.Scope(shown.reads, ask, own, trigger, asked, zone, now)
    query = {name: value for name, value in request.query_params.items() if value} | {"trigger": trigger}
    return {
        "namespace": own[0],
        "name": own[1],
        "trigger": trigger,
        "asked": asked,
        "zone": zone,
        "example": f"{datetime.fromtimestamp(now - DAY_HOURS * HOUR_SECONDS, zone):%Y-%m-%dT%H:%M}",
        "link": lambda **changed: with_query(query, **changed),
        "others": [other for other in hashes if other != trigger],
        "earlier": [other for other in earlier if other != trigger],
        "spans": SPANS,
        "day_counts": [(days, f"{days} days") for days in DAYS],
        "rests_on": RESTS_ON,
        **(await _present(shown, request, one, asked, now) if one is not None else {"row": None, "why": None}),
        **await _past(scope, newest, shown.turn_of(request)),
    }


async def _present(
    shown: Shown, request: Request, one: Registration, asked: WorkloadAsked, now: float
) -> Mapping[str, Any]:
    """Out of memory: what it does now."""
    turn = shown.turn_of(request)
    stored = await StoredWeeks(shown.now, shown.reads.weeks).of([one])
    await turn()
    why = why_record(shown.registry, one, now, shown.explain, stored)
    await turn()
    around = now if asked.at is None else asked.at
    until = min(around + TABLE_AFTER * 60, now)
    timeline = TimelineRoute(shown.registry, shown.now, shown.reads)
    line = await timeline.lines(one, until - TABLE_SECONDS, until, now, turn)
    table = table_of(line, around, one.trigger.quantile)
    return {
        "row": row(shown.registry, one, now),
        "why": why,
        "table": table,
        "headings": headings(table, one.trigger.quantile),
        "timeline": asked.timeline(one.trigger.short_key, now),
    }


async def _past(scope: sections.Scope, newest: Answer[list[PastPlan]], turn: Turn) -> Mapping[str, Any]:
    """Out of the store: what it did. A part that cannot be read says so."""
    found: dict[str, Any] = {"then": None, "recent": sections.recent(newest, scope.trigger)}
    if scope.asked.at is not None:
        found["then"] = await sections.then(scope, scope.asked.at)
    for name, read in PARTS.items():
        await turn()
        found[name] = await read(scope)
    await turn()
    return found | {"log": await sections.log(scope, newest)}


PARTS: Mapping[str, Callable[[sections.Scope], Awaitable[sections.Section]]] = {
    "scores": sections.scores,
    "savings": sections.savings,
    "decisions": sections.decisions,
    "anomalies": sections.anomalies,
}


async def _known(
    shown: Shown, ask: BoundedReads, own: tuple[str, str], newest: Answer[list[PastPlan]], with_scores: bool
) -> list[str]:
    """The hashes of triggers of this object of which plans, or scores, are kept, the newest first."""
    known = [one.trigger for one in newest.found or ()]
    if with_scores:
        last = int(shown.now() // HOUR_SECONDS) + 1
        asked = ScoresAsked(*own, "peak", (last - max(DAYS) * DAY_HOURS, last))
        scored = (await ask(shown.reads.scores, asked)).found or ()
        known += [one.trigger for one in sorted(scored, key=lambda one: one.day, reverse=True)]
    return list(dict.fromkeys(known))


def _nobody(shown: Shown, own: tuple[str, str], notice: str) -> tuple[list[Fault], HTTPStatus]:
    faults, status = unknown_trigger(shown.registry, *own, NOBODY)
    if notice:
        faults.append(Fault("database", "", f"what it keeps could not be read: {notice}"))
    return faults, status

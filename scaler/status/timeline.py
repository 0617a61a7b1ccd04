"""One trigger on one time line: what was demanded and planned, and what is expected. The path /api/v1/timeline.

Axes: M minutes from the first to the last that is shown, those to come included; Q quantile levels.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from scaler.anomalies import AnomaliesAsked
from scaler.errors import Fault, StoreUnavailable
from scaler.past_plans import RENEWED_SECONDS, PastPlan, PastPlansAsked
from scaler.registry import MOST_OF_ONE_OBJECT, Registration, Registry
from scaler.series import Floats
from scaler.status.described import MOMENT, ApiPath, query
from scaler.status.events import changes_in, decisions_about, promotions
from scaler.status.exposition import Turn
from scaler.status.moments import RULE, moment_in
from scaler.status.overview import answer_of
from scaler.status.parameters import unknown, unprintable
from scaler.status.reads import Reads
from scaler.status.record_schemas import ANOMALY, TRIGGER_HASH, WHOSE
from scaler.status.records import Record, anomaly_record
from scaler.status.replica_lines import followed_from, followed_replicas
from scaler.status.replies import faulty, kept_json
from scaler.status.schemas import AT, array, choice, mapping, moment, nullable, real, record, text, whole
from scaler.status.stored import nobody
from scaler.status.timeline_columns import columns, minutes, stepped
from scaler.telemetry.redaction import excerpt

DEFAULT_SECONDS = 6 * 3600.0
MOST_SECONDS = 14 * 86400.0
PLANS, MOST_PAGES = 500, 4
"""of one read, and reads of one time line"""
MOST_ANOMALIES = 200
FOLLOWED: Final[Mapping[str, str]] = {"planned_replicas": "planned", "reactive_replicas": "observed"}
"""lines of replicas, and what their HPA reads"""

_COLUMN, _REPLICAS = array(nullable(real())), array(nullable(whole()))
_EVENT = record(
    "Event",
    {
        "at": moment("when"),
        "kind": choice(("rung", "model", "champion"), "what changed"),
        "text": text("what it means, as a sentence"),
    },
)
DESCRIBED = ApiPath(
    "/api/v1/timeline/{namespace}/{name}",
    "demand, plans and forecast of one trigger on one time line",
    record(
        "Timeline",
        {
            **WHOSE,
            "trigger": TRIGGER_HASH,
            "at": AT,
            "timezone": text("the trigger's"),
            "threshold": real("demand that one replica carries"),
            "quantile": real("the quantile of the peak that is planned for"),
            "lead_time_seconds": real("how long a new replica takes until it serves"),
            "missing": array(text(), "what could not be read, and why"),
            "times": array(real(), "seconds since the epoch"),
            "observed": {**_COLUMN, "description": "demand"},
            "planned": {**_COLUMN, "description": "what was planned then"},
            "metric": {**_COLUMN, "description": "what KEDA read then"},
            "quantiles": mapping(_COLUMN, "the forecast that counts now, by level"),
            "planned_replicas": {
                **_REPLICAS,
                "description": "of an HPA without limits that reads `planned`, with its stabilisation window",
            },
            "reactive_replicas": {**_REPLICAS, "description": "of the same that reads `observed`"},
            "anomalies": array(ANOMALY, "that lie in this time"),
            "events": array(_EVENT, "changes in this time"),
        },
    ),
    (
        query("since", text("from when; by default 6 hours before `until`", pattern=MOMENT)),
        query("until", text("until when; by default now", pattern=MOMENT)),
        query("trigger", text("the hash of one of several triggers")),
    ),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    keeps=True,
)

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class TimelineRoute:
    """Answers from memory, and from the store where it answers: what it lacks is named in `missing`."""

    def __init__(self, registry: Registry, now: Callable[[], float], reads: Reads) -> None:
        self._registry = registry
        self._now = now
        self._reads = reads

    async def answer(self, request: Request, turn: Turn) -> Response:
        """The time line of one trigger; of several of one ScaledObject, the one that `trigger` names, or the first."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        faults = unknown(request.query_params, DESCRIBED.names) + unprintable(request.path_params)
        watched = self._registry.page(MOST_OF_ONE_OBJECT, namespace=namespace, name=name)
        wanted = request.query_params.get("trigger", "")
        found = [one for one in watched if wanted in ("", one.trigger.short_key)]
        if not found:
            return nobody(self._registry, namespace, name, "nothing is shown")
        now, zone = self._now(), ZoneInfo(found[0].trigger.timezone)
        since, until = window_asked(request.query_params, now, zone, faults)
        if faults:
            return faulty(faults, HTTPStatus.BAD_REQUEST)
        return kept_json(request, await self.record(found[0], since, until, now, turn))

    async def record(self, one: Registration, since: float, until: float, now: float, turn: Turn) -> Record:
        """Columns of equal length, what is marked on them, and what could not be read."""
        missing: list[str] = []
        plans = await self._plans(one, since, until, missing)
        lines = await self._lines(one, plans, (since, until, now), missing, turn)
        return {
            "namespace": one.trigger.namespace,
            "name": one.trigger.name,
            "trigger": one.trigger.short_key,
            "at": now,
            "timezone": one.trigger.timezone,
            "threshold": one.trigger.threshold,
            "quantile": one.trigger.quantile,
            "lead_time_seconds": one.trigger.lead_time_seconds,
            **lines,
            "anomalies": await self._anomalies(one, since, until, missing),
            "events": changes_in([plan for plan in plans if plan.at >= since])
            + [event for event in await self._promotions(one, missing) if since <= event["at"] <= until],
            "missing": missing,
        }

    async def lines(
        self, one: Registration, since: float, until: float, now: float, turn: Turn, threshold: float | None = None
    ) -> Record:
        """The columns alone; what could not be read is null. threshold: for the replicas, in place of the trigger's."""
        missing: list[str] = []
        plans = await self._plans(one, since, until, missing)
        return await self._lines(one, plans, (since, until, now), missing, turn, threshold)

    async def _lines(
        self,
        one: Registration,
        plans: Sequence[PastPlan],
        window: tuple[float, float, float],
        missing: list[str],
        turn: Turn,
        threshold: float | None = None,
    ) -> Record:
        since, until, now = window
        begin = followed_from(since)
        observed_M = await self._observed(one, begin, min(until, now), missing)
        await turn()
        time_M = minutes(begin, len(observed_M))
        lines: dict[str, Any] = {"observed": observed_M}
        for name in ("planned", "metric"):
            lines[name] = stepped(plans, time_M, name)
        for name, read in FOLLOWED.items():
            lines[name] = await followed_replicas(time_M, lines[read], threshold or one.trigger.threshold, turn)
        answer = answer_of(self._registry, one, now)
        forecast = answer.outlook.forecast if answer is not None and until >= now else None
        first = int(np.searchsorted(time_M, since))
        found = columns(time_M[first:], {name: line[first:] for name, line in lines.items()}, forecast)
        return found | {name: [None if value is None else int(value) for value in found[name]] for name in FOLLOWED}

    async def _observed(self, one: Registration, since: float, until: float, missing: list[str]) -> Floats:
        try:
            if self._reads.demand is None:
                raise StoreUnavailable("this process keeps no history")
            return await self._reads.demand(one.trigger, since, until)
        except StoreUnavailable as error:
            missing.append(f"demand by the minute: {error}")
            return np.full(max(0, math.floor(until / 60) - math.ceil(since / 60) + 1), np.nan, np.float32)

    async def _plans(self, one: Registration, since: float, until: float, missing: list[str]) -> list[PastPlan]:
        """Those that count in this time, and those that its replicas follow from; the oldest first."""
        own = one.trigger.namespace, one.trigger.name
        begin = followed_from(since) - RENEWED_SECONDS
        found: list[PastPlan] = []
        after: tuple[int, str] | None = None
        try:
            for _ in range(MOST_PAGES):
                page = await _read(self._reads.plans, PastPlansAsked(*own, begin, until, PLANS, after))
                found += page
                if len(page) < PLANS:
                    break
                after = page[-1].minute, page[-1].trigger
            else:
                if found[-1].at > since:
                    missing.append(f"plans: only the newest {len(found)} of this time are shown")
        except StoreUnavailable as error:
            missing.append(f"plans: {error}")
        return [plan for plan in reversed(found) if plan.trigger == one.trigger.short_key]

    async def _anomalies(self, one: Registration, since: float, until: float, missing: list[str]) -> list[Record]:
        asked = AnomaliesAsked(since, MOST_ANOMALIES, None, one.trigger.namespace, one.trigger.name)
        try:
            found = await _read(self._reads.anomalies, asked)
        except StoreUnavailable as error:
            missing.append(f"anomalies: {error}")
            return []
        return [anomaly_record(a) for a in found if a.trigger == one.trigger.short_key and a.since < until]

    async def _promotions(self, one: Registration, missing: list[str]) -> list[Record]:
        if self._reads.models is None:
            return []
        try:
            return promotions(await decisions_about(self._reads.models(), one.trigger.namespace, one.trigger.name))
        except StoreUnavailable as error:
            missing.append(f"decisions about models: {error}")
            return []


async def _read(read: Callable[[Asked], Awaitable[Found]] | None, asked: Asked) -> Found:
    if read is None:
        raise StoreUnavailable("this process reads no database")
    return await read(asked)


def window_asked(query: Mapping[str, str], now: float, zone: ZoneInfo, faults: list[Fault]) -> tuple[float, float]:
    """From when until when; what is wrong with them is added to `faults`."""
    until = moment_asked(query, "until", now, now, zone, faults)
    since = moment_asked(query, "since", until - DEFAULT_SECONDS, now, zone, faults)
    if not faults and not 0 < until - since <= MOST_SECONDS:
        faults.append(Fault("since", excerpt(query.get("since", "")), "must be up to 14 days before until"))
    return since, until


def moment_asked(
    query: Mapping[str, str], name: str, default: float, now: float, zone: ZoneInfo, faults: list[Fault]
) -> float:
    """The moment that a parameter names."""
    text = query.get(name)
    try:
        return default if text is None else moment_in(text, now, zone)
    except ValueError:
        faults.append(Fault(name, excerpt(text or ""), RULE))
        return default

"""One trigger on one time line: what was demanded and planned, and what is expected. The path /api/v1/timeline.

Axes: M minutes from the first to the last that is shown, those to come included; Q quantile levels.
"""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.registry import Registration, Registry
from scaler.series import Floats, Forecast
from scaler.status.described import MOMENT, ApiPath, query
from scaler.status.moments import RULE, moment_in
from scaler.status.overview import answer_of
from scaler.status.parameters import unknown, unprintable
from scaler.status.reads import Reads
from scaler.status.record_schemas import TRIGGER_HASH, WHOSE
from scaler.status.records import Record
from scaler.status.replies import faulty, kept_json
from scaler.status.schemas import AT, array, mapping, nullable, real, record, text
from scaler.status.stored import nobody
from scaler.telemetry.redaction import excerpt

DEFAULT_SECONDS = 6 * 3600.0
MOST_SECONDS = 14 * 86400.0
MOST_POINTS = 1500
"""of a line: beyond, the largest demand of some minutes stands for them"""
MOST_PLANS = 500
_COLUMN = array(nullable(real()))
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
        },
    ),
    (
        query("since", text("from when; by default 6 hours before `until`", pattern=MOMENT)),
        query("until", text("until when; by default now", pattern=MOMENT)),
        query("trigger", text("the hash of one of several triggers")),
    ),
    (HTTPStatus.NOT_FOUND,),
    keeps=True,
)


class TimelineRoute:
    """Answers from memory, and from the store where it answers: what it lacks is named in `missing`."""

    def __init__(self, registry: Registry, now: Any, reads: Reads) -> None:
        self._registry = registry
        self._now = now
        self._reads = reads

    async def answer(self, request: Request) -> Response:
        """The time line of one trigger; of several of one ScaledObject, the one that `trigger` names, or the first."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        faults = unknown(request.query_params, DESCRIBED.names) + unprintable(request.path_params)
        watched = self._registry.page(32, namespace=namespace, name=name)
        wanted = request.query_params.get("trigger", "")
        found = [one for one in watched if wanted in ("", one.trigger.short_key)]
        if not found:
            return nobody(namespace, name, "nothing is shown")
        now, zone = self._now(), ZoneInfo(found[0].trigger.timezone)
        until = _moment(request, "until", now, now, zone, faults)
        since = _moment(request, "since", until - DEFAULT_SECONDS, now, zone, faults)
        if not faults and not 0 < until - since <= MOST_SECONDS:
            faults.append(
                Fault("since", excerpt(request.query_params.get("since", "")), "must be up to 14 days earlier")
            )
        if faults:
            return faulty(faults, HTTPStatus.BAD_REQUEST)
        return kept_json(request, await self.record(found[0], since, until, now))

    async def record(self, one: Registration, since: float, until: float, now: float) -> Record:
        """Columns of equal length, and what could not be read."""
        missing: list[str] = []
        observed = await self._observed(one, since, min(until, now), missing)
        plans = await self._plans(one, since, until, missing)
        answer = answer_of(self._registry, one, now)
        forecast = answer.outlook.forecast if answer is not None and until >= now else None
        return {
            "namespace": one.trigger.namespace,
            "name": one.trigger.name,
            "trigger": one.trigger.short_key,
            "at": now,
            "timezone": one.trigger.timezone,
            "threshold": one.trigger.threshold,
            "quantile": one.trigger.quantile,
            "lead_time_seconds": one.trigger.lead_time_seconds,
            "missing": missing,
            **columns(observed, plans, forecast, since, min(until, now), now),
        }

    async def _observed(self, one: Registration, since: float, until: float, missing: list[str]) -> Floats:
        try:
            if self._reads.demand is None:
                raise StoreUnavailable("this process keeps no history")
            return await self._reads.demand(one.trigger, since, until)
        except StoreUnavailable as error:
            missing.append(f"demand by the minute: {error}")
            return np.full(max(0, math.floor(until / 60) - math.ceil(since / 60) + 1), np.nan, np.float32)

    async def _plans(self, one: Registration, since: float, until: float, missing: list[str]) -> list[PastPlan]:
        asked = PastPlansAsked(one.trigger.namespace, one.trigger.name, since - 3600, until, MOST_PLANS)
        try:
            if self._reads.plans is None:
                raise StoreUnavailable("this process reads no database")
            found = await self._reads.plans(asked)
        except StoreUnavailable as error:
            missing.append(f"plans: {error}")
            return []
        return [plan for plan in reversed(found) if plan.trigger == one.trigger.short_key]


def _moment(request: Request, name: str, default: float, now: float, zone: ZoneInfo, faults: list[Fault]) -> float:
    text = request.query_params.get(name)
    try:
        return default if text is None else moment_in(text, now, zone)
    except ValueError:
        faults.append(Fault(name, excerpt(text or ""), RULE))
        return default


def columns(
    observed_M: Floats, plans: Sequence[PastPlan], forecast: Forecast | None, since: float, until: float, now: float
) -> Record:
    """Times, and a value or null for each in every other column."""
    width = max(1, math.ceil(len(observed_M) / MOST_POINTS))
    time_M = 60.0 * (math.ceil(since / 60) + np.arange(len(observed_M)))
    time_B, observed_B = _thinned(time_M, observed_M, width)
    ahead = (
        np.empty(0)
        if forecast is None
        else forecast.start + forecast.step_seconds * (1 + np.arange(len(forecast.quantiles_HQ)))
    )
    later = ahead > (time_B[-1] if len(time_B) else 0)
    times = np.concatenate([time_B, ahead[later]])
    nothing, before = np.full(int(later.sum()), np.nan), np.full(len(time_B), np.nan)
    found: dict[str, Any] = {
        "times": times.tolist(),
        "observed": _numbers(np.concatenate([observed_B, nothing])),
        "planned": _numbers(np.concatenate([_stepped(plans, time_B, "planned"), nothing])),
        "metric": _numbers(np.concatenate([_stepped(plans, time_B, "metric"), nothing])),
        "quantiles": {},
    }
    if forecast is not None:
        for place, level in enumerate(forecast.levels):
            values = np.concatenate([before, forecast.quantiles_HQ[later, place]])
            found["quantiles"][f"{level:g}"] = _numbers(values)
    return found


def _thinned(time_M: Any, value_M: Floats, width: int) -> tuple[Any, Any]:
    """Of every `width` minutes the last moment and the largest value."""
    if width == 1:
        return time_M, value_M.astype(np.float64)
    starts = np.arange(0, len(value_M), width)
    largest = np.fmax.reduceat(value_M.astype(np.float64), starts)
    return time_M[np.minimum(starts + width - 1, len(time_M) - 1)], largest


def _stepped(plans: Sequence[PastPlan], time_B: Any, name: str) -> Any:
    """What counted at each moment: the newest plan before it, for an hour at most."""
    known = [(plan.at, value) for plan in plans if (value := getattr(plan, name)) is not None]
    if not known:
        return np.full(len(time_B), np.nan)
    at_P, value_P = np.array(known, np.float64).T
    place_B = np.searchsorted(at_P, time_B, side="right") - 1
    found = np.where(place_B >= 0, value_P[np.maximum(place_B, 0)], np.nan)
    return np.where(time_B - at_P[np.maximum(place_B, 0)] <= 3600 + 60, found, np.nan)


def _numbers(values: Any) -> list[float | None]:
    return [None if not math.isfinite(value) else float(f"{value:.6g}") for value in values.tolist()]

"""What demand will be, as far ahead as a person asks: the path /api/v1/forecast. No answer to KEDA rests on it.

As far as the trigger's own forecast reaches, that is shown. Further ahead each step is one or more hours, which come
from history by the hour; an hour that the trigger's own forecast reaches is the mean of its steps.

Axes: S steps shown; H steps or hours of a forecast; Q levels.
"""

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.registry import Registration, Registry
from scaler.series import Forecast, HoursAhead
from scaler.status.described import ApiPath, query
from scaler.status.overview import answer_of
from scaler.status.parameters import unknown, unprintable
from scaler.status.reads import ReadHours
from scaler.status.record_schemas import TRIGGER_HASH, WHOSE
from scaler.status.records import Record
from scaler.status.replies import as_json, faulty
from scaler.status.schemas import AT, array, choice, mapping, moment, real, record, text, whole
from scaler.status.stored import nobody, unavailable
from scaler.telemetry.redaction import excerpt
from scaler.trigger.values import Refused, duration

LEVELS = (0.1, 0.5, 0.9, 0.95)
HOUR, DAY = 3600.0, 86400.0
LEAST_SECONDS, MOST_SECONDS = 60.0, 7 * DAY
DEFAULT_AHEAD = "1d"
BEYOND_HOURS = 3 * 24
"""how much longer than the look ahead the history must be"""
MOST_WAITING = 8
"""requests that wait while one is computed"""

DESCRIBED = ApiPath(
    "/api/v1/forecast/{namespace}/{name}",
    "demand of the next hours, up to a week, for people",
    record(
        "Ahead",
        {
            **WHOSE,
            "trigger": TRIGGER_HASH,
            "at": AT,
            "timezone": text("the trigger's"),
            "threshold": real("demand that one replica carries"),
            "ahead_seconds": real("how far ahead was asked for"),
            "step_seconds": real("how long a step is"),
            "rests_on": array(
                record(
                    "AheadPart",
                    {
                        "of": choice(("outlook", "hours"), "the forecast that plans rest on, or history by the hour"),
                        "model": text("what forecasts it"),
                        "until": moment("up to when"),
                        "issued": moment("when the outlook was made"),
                        "history": text("which history the hours are made from"),
                        "reach_hours": whole("how far back it goes"),
                        "known_hours": whole("how many of these hours are known"),
                    },
                    optional=("issued", "history", "reach_hours", "known_hours"),
                ),
                "what it rests on, the nearest part first",
            ),
            "times": array(real(), "when each step ends, in seconds since the epoch"),
            "quantiles": mapping(array(real()), "demand of each step, by level"),
            "replicas": mapping(array(whole()), "replicas that carry it, before the HPA's limits, by level"),
        },
    ),
    (
        query("ahead", text("how far ahead: 1m to 7d; by default 1d")),
        query("step", text("how long a step is, as 1h; by default what the forecast is made in")),
        query("trigger", text("the hash of one of several triggers")),
    ),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)

Quantiles = NDArray[np.floating[Any]]

_ahead = duration(LEAST_SECONDS, MOST_SECONDS)


class AheadRoute:
    """One look ahead is computed at a time: it takes a tenth of a second of a core that has other work.

    hours: None in a process that keeps no history.
    """

    def __init__(self, registry: Registry, now: Callable[[], float], hours: ReadHours | None) -> None:
        self._registry = registry
        self._now = now
        self._hours = hours
        self._one = asyncio.Lock()
        self._waiting = 0

    async def answer(self, request: Request) -> Response:
        """The quantiles of each step, and what they rest on."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        asked = request.query_params
        faults = unknown(asked, DESCRIBED.names) + unprintable(request.path_params)
        wanted = asked.get("trigger", "")
        watched = self._registry.page(32, namespace=namespace, name=name)
        found = [one for one in watched if wanted in ("", one.trigger.short_key)]
        if not found:
            return nobody(self._registry, namespace, name, "nothing is forecast")
        now = self._now()
        forecast = _own_forecast(self._registry, found[0], now)
        ahead = ahead_seconds(asked.get("ahead", DEFAULT_AHEAD), faults)
        grid = HOUR if forecast is None or now + ahead > forecast.end else forecast.step_seconds
        step = step_seconds(asked.get("step", ""), grid, ahead, faults)
        if faults:
            return faulty(faults)
        if forecast is not None and grid < HOUR:
            shown = _of_outlook(forecast, now, steps_in(ahead, step, grid))
            return as_json(_record(found[0], now, ahead, step, *shown, [_rests(forecast)]))
        return await self._by_the_hour(found[0], forecast, now, ahead, step)

    async def _by_the_hour(
        self, one: Registration, forecast: Forecast | None, now: float, ahead: float, step: float
    ) -> Response:
        try:
            made = await self._read(one, steps_in(ahead, step, HOUR))
        except StoreUnavailable as error:
            return unavailable(error)
        if made.quantiles_HQ is None:
            return faulty([too_short(made, ahead)], HTTPStatus.NOT_FOUND)
        end_H = made.start + HOUR * (1.0 + np.arange(len(made.quantiles_HQ)))
        value_HQ = np.asarray(made.quantiles_HQ, np.float64)
        near = 0 if forecast is None else _put_own(forecast, now, end_H, value_HQ)
        later = {"of": "hours", "model": made.basis, "until": float(end_H[-1]), "history": made.source}
        later |= {"reach_hours": made.reach_hours, "known_hours": made.known_hours}
        parts = [_rests(forecast) | {"until": float(end_H[near - 1])}] if forecast is not None and near else []
        return as_json(_record(one, now, ahead, step, end_H, value_HQ, [*parts, later]))

    async def _read(self, one: Registration, hours: int) -> HoursAhead:
        if self._hours is None:
            raise StoreUnavailable("this process keeps no history")
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable(f"{MOST_WAITING} forecasts are waited for already; ask again in some seconds")
        self._waiting += 1
        try:
            async with self._one:
                return await self._hours(one.trigger, hours)
        finally:
            self._waiting -= 1


def ahead_seconds(text: str, faults: list[Fault]) -> float:
    """The look ahead; what is wrong with it is added to `faults`."""
    try:
        return _ahead(text)
    except Refused:
        faults.append(Fault("ahead", excerpt(text), "must be a duration from 1m to 7d, such as 90m, 24h or 7d"))
        return HOUR


def step_seconds(text: str, grid: float, ahead: float, faults: list[Fault]) -> float:
    """A multiple of what the forecast is made in; that itself where nothing is said."""
    if not text:
        return grid
    try:
        seconds = duration(grid, max(grid, ahead))(text)
    except Refused:
        seconds = math.nan
    if seconds % grid != 0:
        what = f"{grid / HOUR:.0f}h" if grid >= HOUR else f"{grid:.0f}s"
        faults.append(Fault("step", excerpt(text), f"must be a multiple of {what}, and no longer than `ahead`"))
        return grid
    return seconds


def steps_in(ahead: float, step: float, grid: float) -> int:
    """How many steps of the grid whole steps of the answer have."""
    return math.ceil(ahead / step) * round(step / grid)


def too_short(made: HoursAhead, ahead: float) -> Fault:
    """How long the history is, and how long it must be."""
    found = f"{made.reach_hours} h, {made.known_hours} of them known"
    needed = math.ceil(ahead / HOUR) + BEYOND_HOURS
    rule = f"must reach back {needed} h for this look ahead, with half of its hours and of the last day known"
    return Fault("history", found, rule)


def _own_forecast(registry: Registry, one: Registration, now: float) -> Forecast | None:
    answer = answer_of(registry, one, now)
    forecast = answer.outlook.forecast if answer is not None else None
    return forecast if forecast is not None and forecast.end > now else None


def _of_outlook(forecast: Forecast, now: float, steps: int) -> tuple[Quantiles, Quantiles]:
    """(ends [S], quantiles [S, Q]) of the first of its steps that end after now."""
    end_H = forecast.start + forecast.step_seconds * (1.0 + np.arange(len(forecast.quantiles_HQ)))
    first = int((end_H <= now).sum())
    return end_H[first : first + steps], at_levels(forecast)[first : first + steps]


def at_levels(forecast: Forecast) -> Quantiles:
    """Its quantiles at LEVELS [H, Q], between its own levels as on a line."""
    return np.stack([np.interp(LEVELS, forecast.levels, row) for row in forecast.quantiles_HQ.astype(np.float64)])


def _put_own(forecast: Forecast, now: float, end_H: Quantiles, value_HQ: Quantiles) -> int:
    """Replace hours that the trigger's own forecast reaches by its mean; how many."""
    own_end, own_HQ = (
        forecast.start + forecast.step_seconds * (1.0 + np.arange(len(forecast.quantiles_HQ))),
        at_levels(forecast),
    )
    reached = int((end_H <= forecast.end).sum())
    for hour in range(reached):
        own = (own_end > max(now, end_H[hour] - HOUR)) & (own_end <= end_H[hour])
        if own.any():
            value_HQ[hour] = own_HQ[own].mean(axis=0)
    return reached


def _rests(forecast: Forecast) -> dict[str, Any]:
    return {"of": "outlook", "model": forecast.basis, "until": forecast.end, "issued": forecast.start}


def _record(
    one: Registration, now: float, ahead: float, step: float, end_H: Quantiles, value_HQ: Quantiles, parts: list[Any]
) -> Record:
    """Of each step the largest of what it is made of."""
    grid = end_H[1] - end_H[0] if len(end_H) > 1 else step
    first_S = np.arange(0, len(end_H), max(1, round(step / grid)))
    value_SQ = np.maximum.reduceat(value_HQ, first_S, axis=0)
    end_S = np.append(end_H[first_S[1:] - 1], end_H[-1])
    columns = {f"{level:g}": [float(f"{v:.6g}") for v in value_SQ[:, q]] for q, level in enumerate(LEVELS)}
    threshold = one.trigger.threshold
    return {
        "namespace": one.trigger.namespace,
        "name": one.trigger.name,
        "trigger": one.trigger.short_key,
        "at": now,
        "timezone": one.trigger.timezone,
        "threshold": threshold,
        "ahead_seconds": ahead,
        "step_seconds": step,
        "rests_on": parts,
        "times": end_S.tolist(),
        "quantiles": columns,
        "replicas": {level: [math.ceil(v / threshold) for v in column] for level, column in columns.items()},
    }

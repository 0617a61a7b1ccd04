"""Scores out of the store: the path /api/v1/scores, and the week of triggers that another replica refreshes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.registry import Registration, Registry
from scaler.scored import DAY_HOURS, HOUR_SECONDS, Owner, ScoredDay, ScoresAsked, WeekAsked
from scaler.scoring import BucketScores, Scores
from scaler.scoring.losses import Figure
from scaler.scoring.pending import BUCKETS
from scaler.scoring.scores import sums_BF
from scaler.status.described import ApiPath, last_days, query
from scaler.status.exposition import Turn
from scaler.status.parameters import LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.reads import ReadScores, ReadWeeks
from scaler.status.record_schemas import DAY, SCORE_KEYS, TRIGGER_HASH, WHOSE
from scaler.status.records import Record, WeekOf
from scaler.status.replies import faulty, with_list
from scaler.status.savings import DEFAULT_DAYS, MOST_DAYS, date_of
from scaler.status.schemas import AT, array, choice, flag, real, record, whole
from scaler.status.stored import OneAtATime, nobody, unavailable
from scaler.telemetry.redaction import excerpt
from scaler.trigger import Mode

LEADS: Mapping[str, str] = {lead.removesuffix(" min"): lead for lead in reversed(BUCKETS)}
"""as a request names them → as they are kept"""
WEEK_SECONDS = 1.0
"""that reading the weeks of one request may take"""
_MINUTES = {"minutes": whole("in which forecasts were looked at")}
_TRIGGER = record(
    "ScoredTrigger",
    {
        "trigger": TRIGGER_HASH,
        "watched": flag("whether it is watched now, or was edited or removed"),
        "quantile": real("its quantile"),
        "days": array(record("ScoredDay", {"day": DAY, **_MINUTES, **SCORE_KEYS})),
        "all": record("ScoredDays", {**_MINUTES, **SCORE_KEYS}, "of all forecasts of these days together"),
    },
)
DESCRIBED = ApiPath(
    "/api/v1/scores/{namespace}/{name}",
    "how good the forecasts of one ScaledObject turned out, by the day",
    record(
        "Scores",
        {
            **WHOSE,
            "at": AT,
            "days": whole("that are looked at"),
            "lead": choice(tuple(LEADS.values()), "how far ahead"),
            "triggers": array(_TRIGGER),
        },
    ),
    (
        last_days(DEFAULT_DAYS, MOST_DAYS),
        query("lead", choice(tuple(LEADS), "minutes ahead, or the peak over the time that plans look", default="peak")),
    ),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)


class ScoresRoute:
    """Answers from the store."""

    def __init__(self, registry: Registry, now: Callable[[], float], read: ReadScores | None) -> None:
        self._registry = registry
        self._now = now
        self._read = OneAtATime(read)

    async def answer(self, request: Request, turn: Turn) -> Response:
        """The days of each trigger of one ScaledObject, and the sums over all of them."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        faults = unknown(request.query_params, DESCRIBED.names) + unprintable(request.path_params)
        days = whole_number(request.query_params, "days", DEFAULT_DAYS, MOST_DAYS, faults)
        lead = request.query_params.get("lead", "peak")
        if lead not in LEADS:
            faults.append(Fault("lead", excerpt(lead), f"must be one of {', '.join(LEADS)} (minutes ahead)"))
        if faults:
            return faulty(faults)
        last = int(self._now() // HOUR_SECONDS) + 1
        asked = ScoresAsked(namespace, name, LEADS[lead], (last - days * DAY_HOURS, last))
        try:
            found = await self._read(asked)
        except StoreUnavailable as error:
            return unavailable(error)
        watched = {one.trigger.short_key for one in self._registry.page(LARGEST_LIMIT, "", namespace, name)}
        if not found and not watched:
            return nobody(self._registry, namespace, name, "nothing was scored")
        head = {"namespace": namespace, "name": name, "at": self._now(), "days": days, "lead": LEADS[lead]}
        return with_list(head, "triggers", _in_turns(found, watched, turn))


class StoredWeeks:
    """Reads the scores of triggers that this replica does not refresh, in bounded time."""

    def __init__(self, now: Callable[[], float], read: ReadWeeks | None) -> None:
        self._now = now
        self._read = read
        self._one = asyncio.Lock()

    async def of(self, registrations: Sequence[Registration]) -> WeekOf:
        """The scores of those of which this process has none, and why there are none where there are none."""
        wanted = {
            one.trigger.key: Owner(one.trigger.namespace, one.trigger.name, one.trigger.short_key)
            for one in registrations
            if one.trigger.mode is not Mode.REACTIVE and one.scores() is None
        }
        if not wanted or self._read is None:
            return WeekOf()
        hour = int(self._now() // HOUR_SECONDS)
        try:
            async with asyncio.timeout(WEEK_SECONDS), self._one:
                found = await self._read([WeekAsked(owner, hour) for owner in wanted.values()])
        except TimeoutError:
            return WeekOf(error="the database has not answered in time")
        except StoreUnavailable as error:
            return WeekOf(error=str(error))
        return WeekOf({key: Scores(sums_BF(found[owner])) for key, owner in wanted.items() if owner in found})


def trigger_record(days: Sequence[ScoredDay], is_watched: bool) -> Record:
    """The days of one trigger, and all of them together."""
    first = days[0]
    return {
        "trigger": first.trigger,
        "watched": is_watched,
        "quantile": days[-1].quantile,
        "days": [{"day": date_of(one.day), **figures_of([one])} for one in days],
        "all": figures_of(days),
    }


def figures_of(days: Sequence[ScoredDay]) -> dict[str, Any]:
    """Of all forecasts of these days together."""
    sums = [sum(values) for values in zip(*(one.sums for one in days), strict=True)]
    return {"minutes": round(sum(one.minutes for one in days)), **BucketScores(sums).record()}


async def _in_turns(found: Sequence[ScoredDay], watched: set[str], turn: Turn) -> AsyncIterator[str]:
    for trigger, days in groupby(found, key=lambda one: one.trigger):
        await turn()
        scored = [one for one in days if one.sums[Figure.COUNT] > 0]
        if scored:
            yield json.dumps(trigger_record(scored, trigger in watched), ensure_ascii=False)

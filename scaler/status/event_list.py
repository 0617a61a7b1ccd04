"""What happened, the newest first: anomalies, decisions about models, and of one ScaledObject what its answers rested
on. The path /api/v1/events."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from operator import itemgetter
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.errors import Fault, StoreUnavailable
from scaler.models import ModelDecision, scopes_of
from scaler.past_plans import PastPlansAsked
from scaler.status.described import MOMENT, NAME, NAMESPACE, ApiPath, last_days, page_limit, query
from scaler.status.events import changes_in, decision_words
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.records import Record
from scaler.status.replies import as_json, faulty
from scaler.status.schemas import AT, array, choice, moment, nullable, record, text, whole
from scaler.status.shown import Shown
from scaler.status.timeline import moment_asked
from scaler.telemetry.redaction import excerpt
from scaler.words.anomalies import far_from

DEFAULT_DAYS, MOST_DAYS = 7, 366
DAY_SECONDS = 86_400.0
KINDS: Final = ("anomaly", "model", "rung")
DESCRIBED = ApiPath(
    "/api/v1/events",
    "what happened, the newest first: anomalies, decisions about models, what answers rested on",
    record(
        "EventsPage",
        {
            "at": AT,
            "next": nullable(whole("the `before` of the following page; null on the last")),
            "missing": array(text(), "what could not be read, and why"),
            "events": array(
                record(
                    "AnyEvent",
                    {
                        "at": moment("when"),
                        "kind": choice(KINDS, "what it is about"),
                        "scope": text("NAMESPACE/NAME, or NAMESPACE; empty for all triggers"),
                        "text": text("what happened, as a sentence"),
                    },
                )
            ),
        },
    ),
    (
        NAMESPACE,
        NAME,
        last_days(DEFAULT_DAYS, MOST_DAYS),
        page_limit("events"),
        query("before", text("only earlier ones: a moment, or the `next` of the page before", pattern=MOMENT)),
    ),
)


@dataclass(frozen=True, slots=True)
class EventsAsked:
    """Which events somebody wants to read. Moments are seconds since the epoch; empty names stand for all."""

    since: float
    before: float
    limit: int
    namespace: str = ""
    name: str = ""


def events_asked(given: Mapping[str, str], now: float, faults: list[Fault]) -> EventsAsked:
    """What the parameters ask for; what is wrong with them is added to `faults`."""
    faults += unknown(given, DESCRIBED.names) + unprintable(given)
    days = whole_number(given, "days", DEFAULT_DAYS, MOST_DAYS, faults)
    limit = whole_number(given, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
    before = moment_asked(given, "before", now + DAY_SECONDS, now, ZoneInfo("UTC"), faults)
    namespace, name = given.get("namespace", ""), given.get("name", "")
    if name and not namespace:
        faults.append(Fault("namespace", excerpt(namespace), "is needed with name"))
    return EventsAsked(now - days * DAY_SECONDS, before, limit, namespace, name)


class EventsRoute:
    """Answers from the store, as far as it answers."""

    def __init__(self, shown: Shown) -> None:
        self._now = shown.now
        self._reads = shown.reads

    async def answer(self, request: Request) -> Response:
        """A page."""
        faults: list[Fault] = []
        now = self._now()
        asked = events_asked(request.query_params, now, faults)
        if faults:
            return faulty(faults, HTTPStatus.BAD_REQUEST)
        return as_json({"at": now, **await self.record(asked)})

    async def record(self, asked: EventsAsked) -> Record:
        """The newest events of all kinds, and what could not be read."""
        found: list[Record] = []
        missing: list[str] = []
        for name, read in (("anomalies", self._anomalies), ("models", self._decisions), ("plans", self._rungs)):
            try:
                found += await read(asked)
            except StoreUnavailable as error:
                missing.append(f"{name}: {error}")
        return {**page_of(found, asked), "missing": missing}

    async def _anomalies(self, asked: EventsAsked) -> list[Record]:
        if self._reads.anomalies is None:
            raise StoreUnavailable("this process reads no database")
        after = (asked.before, "", "", "")
        wanted = AnomaliesAsked(asked.since, asked.limit + 1, after, asked.namespace, asked.name)
        return [_anomaly_event(one) for one in await self._reads.anomalies(wanted)]

    async def _decisions(self, asked: EventsAsked) -> list[Record]:
        """Of the log's newest entries; all of it is at /api/v1/models/log."""
        if self._reads.models is None:
            raise StoreUnavailable("this process reads no database")
        index, found = self._reads.models(), list[ModelDecision]()
        for scope in scopes_of(asked.namespace, asked.name) if asked.name else (asked.namespace or None,):
            found += await index.decisions(LARGEST_LIMIT, scope=scope)
        return [{"at": one.at, "kind": "model", "scope": one.scope, "text": decision_words(one)} for one in found]

    async def _rungs(self, asked: EventsAsked) -> list[Record]:
        """Of one ScaledObject: what its answers rested on, and which model served."""
        if not asked.name or self._reads.plans is None:
            return []
        wanted = PastPlansAsked(asked.namespace, asked.name, asked.since, asked.before, LARGEST_LIMIT)
        plans = list(reversed(await self._reads.plans(wanted)))
        scope = f"{asked.namespace}/{asked.name}"
        return [
            {"at": event["at"], "kind": event["kind"], "scope": scope, "text": event["text"]}
            for trigger in dict.fromkeys(plan.trigger for plan in plans)
            for event in changes_in([plan for plan in plans if plan.trigger == trigger])
        ]


def page_of(found: Iterable[Record], asked: EventsAsked) -> Record:
    """The newest `limit` of those in the time that is asked for, and where the next page begins.

    All events of a second are on one page, so that the next one begins with an earlier second.
    """
    within = [one for one in found if asked.since <= one["at"] < asked.before]
    within.sort(key=itemgetter("at"), reverse=True)
    last = math.floor(within[: asked.limit][-1]["at"]) if within else 0
    page = [one for one in within if one["at"] >= last]
    return {"next": last if len(page) < len(within) else None, "events": page}


def _anomaly_event(one: Anomaly) -> Record:
    kept = "" if one.is_over else ", and still is"
    text = f"demand was {far_from(one.largest, one.expected)}, outside the band of its forecast{kept}"
    return {"at": one.since, "kind": "anomaly", "scope": f"{one.namespace}/{one.name}", "text": text}

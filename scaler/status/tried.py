"""A ScaledObject that somebody wants to try: what `headway check` finds in it. The path /api/v1/check.

Nothing is kept, and no server is asked: what is shown of demand comes from a trigger that is watched already.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from scaler.checks import Level
from scaler.errors import Fault
from scaler.manifest import ManifestError
from scaler.registry import Registration
from scaler.status.described import ApiPath
from scaler.status.inspecting import CannotInspect, Inspected, Tried, inspected_apart
from scaler.status.overview import LOOKED_AT
from scaler.status.parameters import unknown
from scaler.status.preview import PREVIEW, preview
from scaler.status.record_schemas import CURRENT, SETTINGS_KEYS, WHOSE
from scaler.status.records import Record, fault_records, plan_record, settings_record
from scaler.status.replies import as_json, faulty
from scaler.status.requests import BODY_REFUSALS, LARGEST_BODY, RequestRefused, body_of, closing, from_this_port
from scaler.status.schemas import AT, FAULT, array, choice, nullable, record, text, whole
from scaler.status.shown import Shown, client_of
from scaler.status.timeline import TimelineRoute
from scaler.telemetry.redaction import excerpt
from scaler.trigger import Trigger

MOST_PREVIEWS = 3
MOST_OF_A_CLIENT, MOST_WAITING = 4, 16
"""texts that wait, of one address and in all"""
_FINDING = record(
    "Finding",
    {
        "level": choice(tuple(Level), "how bad it is"),
        "rule": text("name of the rule"),
        "line": nullable(whole(), "of the text, where it is known"),
        "field": text("where in the object"),
        "text": text("what is wrong, and why it matters"),
        "fix": text("what to write instead"),
        "example": text("lines of YAML to copy, or empty"),
    },
)
_TRIGGER = record(
    "TriedTrigger",
    {
        "index": whole("in the object's list of triggers, from 0"),
        "type": text("as KEDA names it"),
        "faults": array(FAULT, "all that is wrong with its metadata"),
        "settings": nullable(record("TriggerSettings", SETTINGS_KEYS), "defaults included; null with faults"),
        "watched": nullable(CURRENT, "a trigger with the same server and query that is watched here"),
        "preview": nullable(PREVIEW, "the last day of that trigger, with this threshold; of the first few triggers"),
    },
)
_OBJECT = record(
    "TriedObject",
    {
        "kind": text("ScaledObject or ScaledJob"),
        **WHOSE,
        "findings": array(_FINDING, "errors first"),
        "triggers": array(_TRIGGER, "those that Headway or KEDA's prometheus scaler reads"),
    },
)
DESCRIBED = ApiPath(
    "/api/v1/check",
    "what `headway check` finds in ScaledObjects; nothing is kept, and no server is asked",
    record("Tried", {"at": AT, "objects": array(_OBJECT), "skipped": array(text(), "kinds of other documents")}),
    refusals=(*BODY_REFUSALS, HTTPStatus.SERVICE_UNAVAILABLE),
    method="POST",
    body={"application/yaml": text("ScaledObjects, and what belongs to them", maxLength=LARGEST_BODY)},
)


class NotNow(Exception):
    """The text is not looked at; another time it may be."""

    def __init__(self, status: HTTPStatus, fault: Fault) -> None:
        super().__init__(str(fault))
        self.status = status
        self.fault = fault


class TriedRoute:
    """Reads one text after the other, in a process of its own."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._one = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """What is found in the body."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        try:
            from_this_port(request)
            body = await body_of(request)
        except RequestRefused as refused:
            return closing(faulty([refused.fault], refused.status))
        faults = []
        try:
            found = await self.record(request, body.decode(errors="replace"), faults)
        except NotNow as refusal:
            return faulty([refusal.fault], refusal.status)
        return faulty(faults) if faults else as_json(found)

    async def record(self, request: Request, manifest: str, faults: list[Fault]) -> Record:
        """What is found in the text; what keeps it from being read is added to `faults`. Raises NotNow."""
        shown = self._shown
        try:
            inspected, skipped = await self._inspected(request, manifest)
        except ManifestError as error:
            faults.append(Fault("body", "", excerpt(str(error))))
            return {}
        except CannotInspect as error:
            raise NotNow(HTTPStatus.SERVICE_UNAVAILABLE, Fault("body", "", str(error))) from None
        if not inspected:
            faults.append(Fault("body", "", "must have a ScaledObject, and has none"))
            return {}
        watched = await self._watched(request, inspected)
        now = shown.now()
        plans = {key: plan_record(shown.registry, one, now) for key, one in watched.items()}
        previews = await self._previews(request, inspected, watched, now)
        objects = [_object(one, plans, previews) for one in inspected]
        return {"at": now, "objects": objects, "skipped": skipped}

    async def _inspected(self, request: Request, manifest: str) -> tuple[list[Inspected], list[str]]:
        client = client_of(request.scope)
        if self._waiting[client] >= MOST_OF_A_CLIENT:
            rule = f"{MOST_OF_A_CLIENT} texts of this address wait already"
            raise NotNow(HTTPStatus.TOO_MANY_REQUESTS, Fault("body", "", rule))
        if self._waiting.total() >= MOST_WAITING:
            rule = f"{MOST_WAITING} texts wait already: try again in a minute"
            raise NotNow(HTTPStatus.SERVICE_UNAVAILABLE, Fault("body", "", rule))
        self._waiting[client] += 1
        try:
            async with self._one:
                if await request.is_disconnected():
                    raise NotNow(HTTPStatus.BAD_REQUEST, Fault("body", "", "its client has gone"))
                return await inspected_apart(manifest, self._shown.registry.rules)
        finally:
            self._waiting[client] -= 1
            self._waiting += Counter()  # drops those with nothing

    async def _watched(self, request: Request, inspected: Sequence[Inspected]) -> dict[tuple[str, str], Registration]:
        """By server and query, a trigger that has both; one of an object of the text before any other."""
        wanted = {_source(tried.read) for one in inspected for tried in one.triggers if isinstance(tried.read, Trigger)}
        own = {(one.namespace, one.name) for one in inspected}
        turn, found = self._shown.turn_of(request), dict[tuple[str, str], Registration]()
        for position, one in enumerate(self._shown.registry.page(len(self._shown.registry))):
            if position % LOOKED_AT == 0:
                await turn()
            key = _source(one.trigger)
            is_own = (one.trigger.namespace, one.trigger.name) in own
            if key in wanted and (key not in found or is_own):
                found[key] = one
        return found

    async def _previews(
        self,
        request: Request,
        inspected: Sequence[Inspected],
        watched: Mapping[tuple[str, str], Registration],
        now: float,
    ) -> dict[Trigger, Record]:
        """Of the first triggers whose query is watched."""
        timeline = TimelineRoute(self._shown.registry, self._shown.now, self._shown.reads)
        read = (tried.read for one in inspected for tried in one.triggers)
        wanted = dict.fromkeys(one for one in read if isinstance(one, Trigger) and _source(one) in watched)
        turn = self._shown.turn_of(request)
        return {
            one: await preview(timeline, watched[_source(one)], one, now, turn) for one in list(wanted)[:MOST_PREVIEWS]
        }


def _source(trigger: Trigger) -> tuple[str, str]:
    return trigger.server_address, trigger.query


def _object(one: Inspected, watched: Mapping[tuple[str, str], Record], previews: Mapping[Trigger, Record]) -> Record:
    return {
        "kind": one.kind,
        "namespace": one.namespace,
        "name": one.name,
        "findings": one.findings,
        "triggers": [_trigger(tried, watched, previews) for tried in one.triggers],
    }


def _trigger(tried: Tried, watched: Mapping[tuple[str, str], Record], previews: Mapping[Trigger, Record]) -> Record:
    read, head = tried.read, {"index": tried.index, "type": tried.kind}
    if not isinstance(read, Trigger):
        return {**head, "faults": fault_records(read), "settings": None, "watched": None, "preview": None}
    plan, seen = watched.get(_source(read)), previews.get(read)
    return {**head, "faults": [], "settings": settings_record(read), "watched": plan, "preview": seen}

"""The paths of the HTTP port. Wrong input gets JSON that names field, value and rule."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import cache, partial
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from scaler.errors import Fault
from scaler.registry import Registration
from scaler.status import ahead as ahead_path
from scaler.status import anomalies as anomalies_path
from scaler.status import event_list as events_path
from scaler.status import models as models_path
from scaler.status import overview as overview_path
from scaler.status import past_plans as past_plans_path
from scaler.status import savings as savings_path
from scaler.status import scores as scores_path
from scaler.status import system as system_path
from scaler.status import timeline as timeline_path
from scaler.status import tried as tried_path
from scaler.status.access import WITHOUT_TOKEN
from scaler.status.ahead import AheadRoute
from scaler.status.anomalies import AnomaliesRoute
from scaler.status.application import NO_PAGES, Pages, application
from scaler.status.described import AFTER, NAME, NAMESPACE, ApiPath, page_limit
from scaler.status.event_list import EventsRoute
from scaler.status.exposition import CONTENT_TYPE, exposition
from scaler.status.model_changes import ACTIONS, answer, change_path
from scaler.status.models import ModelsRoute
from scaler.status.openapi import document
from scaler.status.overview import overview, overview_asked, row
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, whole_number
from scaler.status.past_plans import PastPlansRoute
from scaler.status.record_schemas import CURRENT, DISCOVERY, WHOSE, WHY
from scaler.status.records import Record, discovery_record, fault_records, plan_record, why_record
from scaler.status.replies import faulty, kept_json, with_list
from scaler.status.savings import SavingsRoute
from scaler.status.schemas import AT, FAULT, NEXT, array, nullable, record
from scaler.status.scores import ScoresRoute, StoredWeeks
from scaler.status.shown import Shown
from scaler.status.stored import unknown_trigger
from scaler.status.system import SystemRoute
from scaler.status.timeline import TimelineRoute
from scaler.status.tried import TriedRoute

RECORDS_AT_A_TIME = 3
"""made before the event loop may answer KEDA: about half a millisecond's work"""


class StatusRoutes:
    """The answers of the HTTP port, over one registry."""

    def __init__(self, shown: Shown) -> None:
        registry, now, reads = shown.registry, shown.now, shown.reads
        self.shown = shown
        self._registry = registry
        self._now = now
        self._savings = SavingsRoute(registry, now, reads.savings)
        self._scores = ScoresRoute(registry, now, reads.scores)
        self._weeks = StoredWeeks(now, reads.weeks)
        self._past_plans = PastPlansRoute(registry, now, reads.plans)
        self._anomalies = AnomaliesRoute(registry, now, reads.anomalies)
        self._events = EventsRoute(shown)
        self._ahead = AheadRoute(registry, now, reads.hours)
        self.system_route = SystemRoute(shown)
        self.tried_route = TriedRoute(shown)
        """these two do one thing at a time, for the page and the API together"""
        self._timeline = TimelineRoute(registry, now, reads)
        self._models = ModelsRoute(now, reads.models)

    def app(self, pages: Pages = NO_PAGES) -> Starlette:
        """All paths, with those of `pages` for browsers."""
        own = (Route(one.path, partial(answer, self), methods=[one.method]) for one, answer in API)
        return application(PATHS, (*self._open(), *pages.routes, *own), pages.fault)

    def probe_app(self) -> Starlette:
        """The paths of `probe-address` alone."""
        return application(WITHOUT_TOKEN, self._open())

    def _open(self) -> list[Route]:
        return [Route("/livez", self.livez), Route("/readyz", self.readyz), Route("/metrics", self.metrics)]

    async def livez(self, request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(self, request: Request) -> Response:
        missing = dict(self.shown.missing())
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def metrics(self, request: Request) -> Response:
        written = exposition(self.shown.telemetry, self._registry, self._now(), self.shown.turn_of(request))
        return StreamingResponse(written, media_type=CONTENT_TYPE)

    async def events(self, request: Request) -> Response:
        """What happened, the newest first."""
        return await self._events.answer(request)

    async def system(self, request: Request) -> Response:
        """Replicas, refreshes, and what this process works with."""
        return await self.system_route.answer(request)

    async def tried(self, request: Request) -> Response:
        """What is found in a ScaledObject; nothing is kept, and no server is asked."""
        return await self.tried_route.answer(request)

    async def openapi(self, request: Request) -> Response:
        """The description of this API."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        return kept_json(request, openapi_document())

    async def plans(self, request: Request) -> Response:
        """One page of plans by key; `next` is the `after` of the following page, null on the last."""
        faults = unknown(request.query_params, PLANS.names)
        limit = whole_number(request.query_params, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
        if faults:
            return faulty(faults)
        wanted = request.query_params
        page = self._registry.page(limit + 1, wanted.get("after", ""), wanted.get("namespace"), wanted.get("name"))
        now = self._now()
        following = page[limit - 1].trigger.key if len(page) > limit else None
        records = self._in_turns(request, page[:limit], lambda one: plan_record(self._registry, one, now))
        return with_list({"at": now, "next": following}, "plans", records)

    async def why(self, request: Request) -> Response:
        """Every trigger of one ScaledObject, each with its plan or its readiness report."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        found = self._registry.page(LARGEST_LIMIT, namespace=namespace, name=name)
        refusal = self.shown.discoveries.refusal(namespace, name) if self.shown.discoveries is not None else None
        if not found and refusal is None:
            rule = "no trigger of this name is watched here: KEDA has not called for it, or not for a long time"
            return faulty(*unknown_trigger(self._registry, namespace, name, rule))
        now = self._now()
        stored = await self._weeks.of(found)
        records = self._in_turns(
            request, found, lambda one: why_record(self._registry, one, now, self.shown.explain, stored)
        )
        refused = None if refusal is None else fault_records(refusal.faults)
        return with_list({"namespace": namespace, "name": name, "at": now, "refused": refused}, "triggers", records)

    async def savings(self, request: Request) -> Response:
        """What workloads were worth, by the day."""
        return await self._savings.answer(request, self.shown.turn_of(request))

    async def scores(self, request: Request) -> Response:
        """How good the forecasts of one ScaledObject turned out, by the day."""
        return await self._scores.answer(request, self.shown.turn_of(request))

    async def past_plans(self, request: Request) -> Response:
        """What was planned for one ScaledObject."""
        return await self._past_plans.answer(request, self.shown.turn_of(request))

    async def triggers(self, request: Request) -> Response:
        """A page of all triggers at a glance, sorted and filtered."""
        faults: list[Fault] = []
        asked = overview_asked(request.query_params, faults)
        if faults:
            return faulty(faults)
        now = self._now()
        found = await overview(self._registry, asked, now, self.shown.turn_of(request))
        records = self._in_turns(request, found.found, lambda one: row(self._registry, one, now))
        head = {"at": now, "count": found.count, "page": asked.page, "limit": asked.rows}
        return with_list(head, "triggers", records)

    async def timeline(self, request: Request) -> Response:
        """What was demanded, planned and is expected of one trigger, on one time line."""
        return await self._timeline.answer(request, self.shown.turn_of(request))

    async def forecast(self, request: Request) -> Response:
        """Demand of the next hours, for people."""
        return await self._ahead.answer(request)

    async def anomalies(self, request: Request) -> Response:
        """Where demand left the band of its forecast."""
        return await self._anomalies.answer(request, self.shown.turn_of(request))

    async def models(self, request: Request) -> Response:
        """Versions of models, and who serves whom."""
        return await self._models.all(request, self.shown.turn_of(request))

    async def model(self, request: Request) -> Response:
        """All about one version."""
        return await self._models.one(request)

    async def retrainings(self, request: Request) -> Response:
        """Which retraining runs, which are asked for, and how the last ones ended."""
        return await self._models.retrainings(request)

    async def model_log(self, request: Request) -> Response:
        """What was decided about models."""
        return await self._models.log(request, self.shown.turn_of(request))

    async def discovery(self, request: Request) -> Response:
        """The watched namespaces, and the annotated objects that are refused."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        if self.shown.discoveries is None:
            rule = "is off: discover-namespaces of the settings names no namespace"
            return faulty([Fault("discovery", "", rule)], HTTPStatus.NOT_FOUND)
        return kept_json(request, {"at": self._now(), **discovery_record(self.shown.discoveries)})

    async def _in_turns(
        self, request: Request, found: Iterable[Registration], make: Callable[[Registration], Record]
    ) -> AsyncIterator[str]:
        """The records as JSON texts, a few at a time."""
        turn = self.shown.turn_of(request)
        for position, registration in enumerate(found):
            if position % RECORDS_AT_A_TIME == 0:
                await turn()
            yield json.dumps(make(registration), ensure_ascii=False)


@cache
def openapi_document() -> dict[str, Any]:
    """The paths of `API`, as OpenAPI describes them."""
    return document(one for one, _ in API)


PLANS = ApiPath(
    "/api/v1/plans",
    "the current plans with their reasons, ordered by namespace, name and trigger",
    record("CurrentPlans", {"at": AT, "next": NEXT, "plans": array(CURRENT)}),
    (NAMESPACE, NAME, page_limit("plans"), AFTER),
)
WHY_ONE = ApiPath(
    "/api/v1/why/{namespace}/{name}",
    "all about one ScaledObject: what `headway why` shows",
    record(
        "WhyOne",
        {
            **WHOSE,
            "at": AT,
            "refused": nullable(array(FAULT), "faults of an annotated object that is not forecast; else null"),
            "triggers": array(WHY),
        },
    ),
    refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
WATCHED_NAMESPACES = ApiPath(
    "/api/v1/discovery",
    "which namespaces are watched for annotated ScaledObjects, and which objects are refused",
    record("Discovery", {"at": AT, **DISCOVERY}),
    refusals=(HTTPStatus.NOT_FOUND,),
    keeps=True,
)
OPENAPI = ApiPath(
    "/api/v1/openapi.json",
    "this description, as OpenAPI 3.1",
    {"type": "object", "required": ["openapi", "info", "paths"]},
    keeps=True,
)
Answer: TypeAlias = Callable[[StatusRoutes, Request], Awaitable[Response]]


def _changing(action: str) -> Answer:
    """Answers a request for a change of models."""

    async def changed(routes: StatusRoutes, request: Request) -> Response:
        return await answer(routes.shown, action, request)

    return changed


API: Sequence[tuple[ApiPath, Answer]] = (
    (overview_path.DESCRIBED, StatusRoutes.triggers),
    (timeline_path.DESCRIBED, StatusRoutes.timeline),
    (ahead_path.DESCRIBED, StatusRoutes.forecast),
    (PLANS, StatusRoutes.plans),
    (past_plans_path.DESCRIBED, StatusRoutes.past_plans),
    (WHY_ONE, StatusRoutes.why),
    (savings_path.DESCRIBED, StatusRoutes.savings),
    (scores_path.DESCRIBED, StatusRoutes.scores),
    (anomalies_path.DESCRIBED, StatusRoutes.anomalies),
    (events_path.DESCRIBED, StatusRoutes.events),
    (system_path.DESCRIBED, StatusRoutes.system),
    (tried_path.DESCRIBED, StatusRoutes.tried),
    (models_path.ALL, StatusRoutes.models),
    (models_path.LOG, StatusRoutes.model_log),
    (models_path.RETRAININGS, StatusRoutes.retrainings),
    *((change_path(action), _changing(action)) for action in ACTIONS),
    (models_path.ONE, StatusRoutes.model),
    (WATCHED_NAMESPACES, StatusRoutes.discovery),
    (OPENAPI, StatusRoutes.openapi),
)
"""each path of the JSON API, and what answers it"""
PATHS = {
    "/": "all workloads, as a page for browsers",
    "/livez": "200 while the process answers",
    "/readyz": "200 once it can give good answers; until then 503 and what is missing",
    "/metrics": "telemetry, for Prometheus",
} | {one.path: one.summary for one, _ in API}

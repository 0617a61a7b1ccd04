"""The paths of the HTTP port. Wrong input gets JSON that names field, value and rule."""

import difflib
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from scaler.errors import Fault
from scaler.registry import Registration
from scaler.status.access import WITHOUT_TOKEN
from scaler.status.anomalies import AnomaliesRoute
from scaler.status.exposition import CONTENT_TYPE, exposition
from scaler.status.overview import overview, overview_asked, row
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, whole_number
from scaler.status.past_plans import PastPlansRoute
from scaler.status.records import Record, discovery_record, fault_records, plan_record, why_record
from scaler.status.replies import as_json, faulty, with_list
from scaler.status.savings import SavingsRoute
from scaler.status.scores import ScoresRoute, StoredWeeks
from scaler.status.shares import Turns
from scaler.status.shown import Shown, client_of
from scaler.status.timeline import TimelineRoute
from scaler.telemetry import logs
from scaler.telemetry.redaction import excerpt

RECORDS_AT_A_TIME = 3
"""made before the event loop may answer KEDA: about half a millisecond's work"""

PATHS = {
    "/": "all workloads, as a page for browsers",
    "/livez": "200 while the process answers",
    "/readyz": "200 once it can give good answers; until then 503 and what is missing",
    "/metrics": "telemetry, for Prometheus",
    "/api/v1/triggers": "all triggers at a glance; ?q= ?namespace= ?rung= ?mode= ?sort= ?order= ?page= ?limit=",
    "/api/v1/plans": "the current plans with their reasons; ?namespace= ?name= ?limit= ?after=",
    "/api/v1/savings": "what each workload was worth, by the day; ?namespace= ?name= ?days= ?limit= ?after=",
    "/api/v1/anomalies": "demand outside the band of its forecast; ?namespace= ?name= ?days= ?limit= ?after=",
    "/api/v1/discovery": "which namespaces are watched for annotated ScaledObjects, and which objects are refused",
    "/api/v1/scores/{namespace}/{name}": "how good forecasts turned out, by the day; ?days= ?lead=",
    "/api/v1/plans/{namespace}/{name}": "what was planned for one ScaledObject; ?since= ?until= ?at= ?limit= ?after=",
    "/api/v1/timeline/{namespace}/{name}": "demand, plans and forecast on one time line; ?since= ?until= ?trigger=",
    "/api/v1/why/{namespace}/{name}": "all about one ScaledObject: what `headway why` shows",
}


class StatusRoutes:
    """The answers of the HTTP port, over one registry."""

    def __init__(self, shown: Shown) -> None:
        registry, now, reads = shown.registry, shown.now, shown.reads
        self._shown = shown
        self._registry = registry
        self._now = now
        self._savings = SavingsRoute(registry, now, reads.savings)
        self._scores = ScoresRoute(registry, now, reads.scores)
        self._weeks = StoredWeeks(now, reads.weeks)
        self._past_plans = PastPlansRoute(registry, now, reads.plans)
        self._anomalies = AnomaliesRoute(registry, now, reads.anomalies)
        self._timeline = TimelineRoute(registry, now, reads)

    def app(self, pages: Sequence[BaseRoute] = ()) -> Starlette:
        """All paths, with those of `pages` for browsers."""
        return _application(
            PATHS,
            *self._open(),
            *pages,
            Route("/api/v1/triggers", self.triggers),
            Route("/api/v1/timeline/{namespace}/{name}", self.timeline),
            Route("/api/v1/plans", self.plans),
            Route("/api/v1/plans/{namespace}/{name}", self.past_plans),
            Route("/api/v1/why/{namespace}/{name}", self.why),
            Route("/api/v1/savings", self.savings),
            Route("/api/v1/scores/{namespace}/{name}", self.scores),
            Route("/api/v1/anomalies", self.anomalies),
            Route("/api/v1/discovery", self.discovery),
        )

    def probe_app(self) -> Starlette:
        """The paths of `probe-address` alone."""
        return _application(WITHOUT_TOKEN, *self._open())

    def _open(self) -> list[Route]:
        return [Route("/livez", self.livez), Route("/readyz", self.readyz), Route("/metrics", self.metrics)]

    async def livez(self, request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(self, request: Request) -> Response:
        missing = dict(self._shown.missing())
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def metrics(self, request: Request) -> Response:
        written = exposition(self._shown.telemetry, self._registry, self._now(), self._shown.turn_of(request))
        return StreamingResponse(written, media_type=CONTENT_TYPE)

    async def plans(self, request: Request) -> Response:
        """One page of plans by key; `next` is the `after` of the following page, null on the last."""
        faults = unknown(request.query_params, ("namespace", "name", "limit", "after"))
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
        refusal = self._shown.discoveries.refusal(namespace, name) if self._shown.discoveries is not None else None
        if not found and refusal is None:
            rule = "no trigger of this name is watched here: KEDA has not called for it, or not for a long time"
            return faulty([Fault("namespace/name", excerpt(f"{namespace}/{name}"), rule)], HTTPStatus.NOT_FOUND)
        now = self._now()
        stored = await self._weeks.of(found)
        records = self._in_turns(
            request, found, lambda one: why_record(self._registry, one, now, self._shown.explain, stored)
        )
        refused = None if refusal is None else fault_records(refusal.faults)
        return with_list({"namespace": namespace, "name": name, "at": now, "refused": refused}, "triggers", records)

    async def savings(self, request: Request) -> Response:
        """What workloads were worth, by the day."""
        return await self._savings.answer(request, self._shown.turn_of(request))

    async def scores(self, request: Request) -> Response:
        """How good the forecasts of one ScaledObject turned out, by the day."""
        return await self._scores.answer(request, self._shown.turn_of(request))

    async def past_plans(self, request: Request) -> Response:
        """What was planned for one ScaledObject."""
        return await self._past_plans.answer(request, self._shown.turn_of(request))

    async def triggers(self, request: Request) -> Response:
        """A page of all triggers at a glance, sorted and filtered."""
        faults: list[Fault] = []
        asked = overview_asked(request.query_params, faults)
        if faults:
            return faulty(faults)
        now = self._now()
        found = await overview(self._registry, asked, now, self._shown.turn_of(request))
        records = self._in_turns(request, found.found, lambda one: row(self._registry, one, now))
        head = {"at": now, "count": found.count, "page": asked.page, "limit": asked.rows}
        return with_list(head, "triggers", records)

    async def timeline(self, request: Request) -> Response:
        """What was demanded, planned and is expected of one trigger, on one time line."""
        return await self._timeline.answer(request)

    async def anomalies(self, request: Request) -> Response:
        """Where demand left the band of its forecast."""
        return await self._anomalies.answer(request, self._shown.turn_of(request))

    async def discovery(self, request: Request) -> Response:
        """The watched namespaces, and the annotated objects that are refused."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        if self._shown.discoveries is None:
            rule = "is off: discover-namespaces of the settings names no namespace"
            return faulty([Fault("discovery", "", rule)], HTTPStatus.NOT_FOUND)
        return as_json({"at": self._now(), **discovery_record(self._shown.discoveries)})

    async def _in_turns(
        self, request: Request, found: Iterable[Registration], make: Callable[[Registration], Record]
    ) -> AsyncIterator[str]:
        """The records as JSON texts, a few at a time."""
        turn = self._shown.turn_of(request)
        for position, registration in enumerate(found):
            if position % RECORDS_AT_A_TIME == 0:
                await turn()
            yield json.dumps(make(registration), ensure_ascii=False)


class InTurns:
    """Begins one request in each round of the event loop, clients in turn: small requests are work, too."""

    def __init__(self, app: Any, turns: Turns) -> None:
        self._app = app
        self._turns = turns

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._turns.mine(client_of(scope))
        await self._app(scope, receive, send)


class RequestIds:
    """Gives every request an id, which its log lines and the X-Request-ID of its response show."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        brought = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        with logs.request(brought if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", brought) else "") as request_id:

            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                await send(message)

            await self._app(scope, receive, answer)


def _application(paths: Collection[str], *routes: BaseRoute) -> Starlette:
    # Exception last: starlette turns it into the answer to whatever was not foreseen
    handlers: dict[Any, Any] = {HTTPException: partial(_refused, paths), Exception: _broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _refused(paths: Collection[str], request: Request, error: HTTPException) -> Response:
    path = excerpt(request.scope["path"])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return faulty(
            [Fault("method", excerpt(request.method), "this port is read-only: GET")], HTTPStatus.METHOD_NOT_ALLOWED
        )
    near = difflib.get_close_matches(path, [known for known in paths if known != "/"], n=1)
    rule = f"unknown path; did you mean {near[0]}?" if near else f"unknown path; known are {', '.join(paths)}"
    return faulty([Fault("path", path, rule)], HTTPStatus(error.status_code))


async def _broken(request: Request, error: Exception) -> Response:
    rule = f"internal error, see the log of the scaler at request_id {logs.current_request_id()}"
    return faulty([Fault("path", excerpt(request.scope["path"]), rule)], HTTPStatus.INTERNAL_SERVER_ERROR)

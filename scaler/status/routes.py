"""The paths of the HTTP port. Wrong input gets JSON that names field, value and rule."""

import asyncio
import difflib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from http import HTTPStatus
from time import time
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from scaler import __version__
from scaler.discovery import Discoveries
from scaler.errors import Fault
from scaler.registry import Registration, Registry
from scaler.status.exposition import CONTENT_TYPE, exposition
from scaler.status.records import Record, discovery_record, fault_records, plan_record, why_record
from scaler.status.report import Explain
from scaler.telemetry import logs
from scaler.telemetry.metrics import Telemetry

Missing: TypeAlias = Callable[[], Mapping[str, str]]
"""what the process lacks to be ready, name → sentence; a source or cache that is down is no part of it"""

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 500
MOST_REQUESTS = 64
"""answered at the same time, so that their memory stays bounded"""

MOST_WAITING = 1000
"""requests that wait for their turn"""

WAIT_SECONDS = 10.0
"""how long a request waits for its turn"""

RECORDS_AT_A_TIME = 3
"""made before the event loop may answer KEDA: about half a millisecond's work"""

PATHS = {
    "/": "this list as a page for browsers",
    "/livez": "200 while the process answers",
    "/readyz": "200 once it can give good answers; until then 503 and what is missing",
    "/metrics": "telemetry, for Prometheus",
    "/api/v1/plans": "the current plans with their reasons; ?namespace= ?name= ?limit= ?after=",
    "/api/v1/discovery": "which namespaces are watched for annotated ScaledObjects, and which objects are refused",
    "/api/v1/why/{namespace}/{name}": "all about one ScaledObject: what `headway why` shows",
}


class StatusRoutes:
    """The answers of the HTTP port, over one registry."""

    def __init__(
        self,
        registry: Registry,
        telemetry: Telemetry,
        missing: Missing,
        explain: Explain,
        now: Callable[[], float] = time,
        discoveries: Discoveries | None = None,
    ) -> None:
        self._registry = registry
        self._telemetry = telemetry
        self._missing = missing
        self._explain = explain
        self._discoveries = discoveries
        self._now = now

    def app(self) -> Starlette:
        routes = [
            Route("/", self.index),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/api/v1/plans", self.plans),
            Route("/api/v1/why/{namespace}/{name}", self.why),
            Route("/api/v1/discovery", self.discovery),
            Route("/favicon.ico", self.favicon),
        ]
        # Exception last: starlette turns it into the answer to whatever was not foreseen
        handlers: dict[Any, Any] = {HTTPException: _refused, Exception: _broken}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    async def index(self, request: Request) -> Response:
        items = "".join(f"<li><a href='{path}'><code>{path}</code></a> {text}" for path, text in _links())
        return HTMLResponse(
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Headway</title>"
            f"<h1>Headway {__version__}</h1><p>{len(self._registry)} watched triggers.<ul>{items}</ul>"
            "<p>All about one workload: <code>/api/v1/why/NAMESPACE/NAME</code></html>"
        )

    async def livez(self, request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(self, request: Request) -> Response:
        missing = dict(self._missing())
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def metrics(self, request: Request) -> Response:
        return StreamingResponse(exposition(self._telemetry, self._registry, self._now()), media_type=CONTENT_TYPE)

    async def plans(self, request: Request) -> Response:
        """One page of plans by key; `next` is the `after` of the following page, null on the last."""
        faults = _unknown(request.query_params, ("namespace", "name", "limit", "after"))
        limit = _limit(request.query_params.get("limit"), faults)
        if faults:
            return _faulty(faults)
        wanted = request.query_params
        page = self._registry.page(limit + 1, wanted.get("after", ""), wanted.get("namespace"), wanted.get("name"))
        now = self._now()
        following = page[limit - 1].trigger.key if len(page) > limit else None
        records = _in_turns(page[:limit], lambda registration: plan_record(self._registry, registration, now))
        return _list({"at": now, "next": following}, "plans", records)

    async def why(self, request: Request) -> Response:
        """Every trigger of one ScaledObject, each with its plan or its readiness report."""
        if faults := _unknown(request.query_params, ()):
            return _faulty(faults)
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        found = self._registry.page(LARGEST_LIMIT, namespace=namespace, name=name)
        refusal = self._discoveries.refusal(namespace, name) if self._discoveries is not None else None
        if not found and refusal is None:
            rule = "no trigger of this name is watched here: KEDA has not called for it, or not for a long time"
            return _faulty([Fault("namespace/name", f"{namespace}/{name}", rule)], HTTPStatus.NOT_FOUND)
        now = self._now()
        records = _in_turns(found, lambda registration: why_record(self._registry, registration, now, self._explain))
        refused = None if refusal is None else fault_records(refusal.faults)
        return _list({"namespace": namespace, "name": name, "at": now, "refused": refused}, "triggers", records)

    async def discovery(self, request: Request) -> Response:
        """The watched namespaces, and the annotated objects that are refused."""
        if faults := _unknown(request.query_params, ()):
            return _faulty(faults)
        if self._discoveries is None:
            rule = "is off: discover-namespaces of the settings names no namespace"
            return _faulty([Fault("discovery", "", rule)], HTTPStatus.NOT_FOUND)
        return _json({"at": self._now(), **discovery_record(self._discoveries)})

    async def favicon(self, request: Request) -> Response:
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Bounded:
    """Answers MOST_REQUESTS requests at a time. MOST_WAITING more wait up to WAIT_SECONDS; the others get 503.

    Probes are always answered: a crowd at /metrics is no reason for a restart.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._places = asyncio.Semaphore(MOST_REQUESTS)
        self._waiting = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") in ("/livez", "/readyz"):
            await self._app(scope, receive, send)
        elif await self._has_place():
            try:
                await self._app(scope, receive, send)
            finally:
                self._places.release()
        else:
            rule = f"{MOST_REQUESTS} requests are being answered and {self._waiting} wait: try again later"
            busy = _faulty([Fault("path", scope.get("path", ""), rule)], HTTPStatus.SERVICE_UNAVAILABLE)
            await busy(scope, receive, send)

    async def _has_place(self) -> bool:
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1


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


def _links() -> list[tuple[str, str]]:
    return [(path, text) for path, text in PATHS.items() if path != "/" and "{" not in path]


def _limit(text: str | None, faults: list[Fault]) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= LARGEST_LIMIT:
        return int(text)
    faults.append(Fault("limit", text, f"must be a whole number from 1 to {LARGEST_LIMIT}"))
    return DEFAULT_LIMIT


def _unknown(query: Mapping[str, str], known: tuple[str, ...]) -> list[Fault]:
    allowed = f"known are {', '.join(known)}" if known else "this path takes no parameters"
    return [Fault(name, value, f"unknown parameter; {allowed}") for name, value in query.items() if name not in known]


def _faulty(faults: list[Fault], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    return _json({"errors": fault_records(faults)}, status)


async def _in_turns(found: Iterable[Registration], make: Callable[[Registration], Record]) -> AsyncIterator[str]:
    """The records as JSON texts, a few at a time."""
    for position, registration in enumerate(found):
        yield json.dumps(make(registration), ensure_ascii=False)
        if position % RECORDS_AT_A_TIME == 0:
            await asyncio.sleep(0)


def _list(head: Record, name: str, records: AsyncIterator[str]) -> Response:
    """A JSON object with one long list at its end, sent as it is made."""

    async def pieces() -> AsyncIterator[str]:
        yield json.dumps(head, ensure_ascii=False)[:-1] + f', "{name}": ['
        separator = ""
        async for record in records:
            yield separator + record
            separator = ", "
        yield "]}"

    return StreamingResponse(pieces(), media_type="application/json")


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")


async def _refused(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _faulty([Fault("method", request.method, "this port is read-only: GET")], HTTPStatus.METHOD_NOT_ALLOWED)
    near = difflib.get_close_matches(path, [known for known in PATHS if known != "/"], n=1)
    rule = f"unknown path; did you mean {near[0]}?" if near else f"unknown path; known are {', '.join(PATHS)}"
    return _faulty([Fault("path", path, rule)], HTTPStatus(error.status_code))


async def _broken(request: Request, error: Exception) -> Response:
    rule = f"internal error, see the log of the scaler at request_id {logs.current_request_id()}"
    return _faulty([Fault("path", request.url.path, rule)], HTTPStatus.INTERNAL_SERVER_ERROR)

"""The application around the paths of the HTTP port: ids of requests, turns, and the words for what no path answers."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from scaler.errors import Fault
from scaler.status.replies import faulty
from scaler.status.shares import Turns
from scaler.status.shown import client_of
from scaler.telemetry import logs
from scaler.telemetry.redaction import excerpt
from scaler.telemetry.traces import span


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

            with span("http request", {"url.path": scope["path"], "request_id": request_id}):
                await self._app(scope, receive, answer)


FaultPage: TypeAlias = Callable[[Request, HTTPStatus, Sequence[Fault]], Response]


@dataclass(frozen=True, slots=True)
class Pages:
    """Paths for browsers. fault: the page of a refusal, None where there are no pages."""

    routes: Sequence[BaseRoute] = ()
    fault: FaultPage | None = None


NO_PAGES = Pages()


def application(paths: Collection[str], routes: Iterable[BaseRoute], fault_page: FaultPage | None = None) -> Starlette:
    """The paths of one port. paths: those that are named where somebody asks for another."""
    # Exception last: starlette turns it into the answer to whatever was not foreseen
    refused, broken = partial(_refused, paths, fault_page), partial(_broken, fault_page)
    handlers: dict[Any, Any] = {HTTPException: refused, Exception: broken}
    app = Starlette(routes=list(routes), exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _refused(
    paths: Collection[str], fault_page: FaultPage | None, request: Request, error: HTTPException
) -> Response:
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))  # in no order of their own
        fault = Fault("method", excerpt(request.method), f"this path takes {allowed}")
        answer = _faulty(fault_page, request, fault, HTTPStatus.METHOD_NOT_ALLOWED)
        answer.headers["allow"] = allowed
        return answer
    path = excerpt(request.scope["path"])
    near = difflib.get_close_matches(path, [known for known in paths if known != "/"], n=1)
    rule = f"unknown path; did you mean {near[0]}?" if near else f"unknown path; known are {', '.join(paths)}"
    if fault_page and _from_browser(request):
        rule = "there is no page at this path"
    return _faulty(fault_page, request, Fault("path", path, rule), HTTPStatus(error.status_code))


async def _broken(fault_page: FaultPage | None, request: Request, error: Exception) -> Response:
    rule = f"internal error, see the log of the scaler at request_id {logs.current_request_id()}"
    fault = Fault("path", excerpt(request.scope["path"]), rule)
    return _faulty(fault_page, request, fault, HTTPStatus.INTERNAL_SERVER_ERROR)


def _faulty(fault_page: FaultPage | None, request: Request, fault: Fault, status: HTTPStatus) -> Response:
    """A page for a browser, JSON for a program."""
    if fault_page and _from_browser(request):
        return fault_page(request, status, [fault])
    return faulty([fault], status)


def _from_browser(request: Request) -> bool:
    is_page = not str(request.scope["path"]).startswith("/api/")
    return is_page and "text/html" in request.headers.get("accept", "")

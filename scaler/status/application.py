"""The application around the paths of the HTTP port: ids of requests, turns, and the words for what no path answers."""

import difflib
import re
from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from typing import Any

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


def application(paths: Collection[str], *routes: BaseRoute) -> Starlette:
    # Exception last: starlette turns it into the answer to whatever was not foreseen
    handlers: dict[Any, Any] = {HTTPException: partial(_refused, paths), Exception: _broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _refused(paths: Collection[str], request: Request, error: HTTPException) -> Response:
    path = excerpt(request.scope["path"])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))  # in no order of their own
        rule = f"this path takes {allowed}"
        answer = faulty([Fault("method", excerpt(request.method), rule)], HTTPStatus.METHOD_NOT_ALLOWED)
        answer.headers["allow"] = allowed
        return answer
    near = difflib.get_close_matches(path, [known for known in paths if known != "/"], n=1)
    rule = f"unknown path; did you mean {near[0]}?" if near else f"unknown path; known are {', '.join(paths)}"
    return faulty([Fault("path", path, rule)], HTTPStatus(error.status_code))


async def _broken(request: Request, error: Exception) -> Response:
    rule = f"internal error, see the log of the scaler at request_id {logs.current_request_id()}"
    return faulty([Fault("path", excerpt(request.scope["path"]), rule)], HTTPStatus.INTERNAL_SERVER_ERROR)

"""The paths for browsers. Each gathers what the API answers, too, and renders a template."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from scaler.errors import Fault
from scaler.page import files
from scaler.page.api_docs import api_view
from scaler.page.asking import Refused
from scaler.page.headers import HEADERS
from scaler.page.overview import overview_view
from scaler.page.rendering import rendered, rendered_in_turns
from scaler.page.system import system_view
from scaler.page.trying import try_view
from scaler.page.workload import workload_view
from scaler.status.shown import Shown
from scaler.telemetry import logs

KEPT_SECONDS = 31_536_000
View: TypeAlias = Callable[[Shown, Request], Awaitable[Mapping[str, Any]]]
"""what a template shows; raises HTTPException, or Refused with faults"""


def page_routes(shown: Shown) -> list[BaseRoute]:
    """All pages, and the files that they load."""

    def page(path: str, template: str, view: View, methods: Sequence[str] = ("GET",)) -> Route:
        return Route(path, partial(_answer, shown, template, view), methods=list(methods))

    return [
        page("/", "overview.html", overview_view),
        page("/workloads/{namespace}/{name}", "workload.html", workload_view),
        page("/try", "try.html", try_view, ("GET", "POST")),
        page("/system", "system.html", system_view),
        page("/api/v1/docs", "api.html", api_view),
        Route("/static/{version}/{name}", _file),
        Route("/favicon.ico", _favicon),
    ]


async def _answer(shown: Shown, template: str, view: View, request: Request) -> Response:
    """The page, or one that says what is wrong with the request."""
    try:
        values = await view(shown, request)
    except Refused as refused:
        return _fault_page(request, refused.status, refused.faults)
    except HTTPException as error:
        return _fault_page(request, HTTPStatus(error.status_code), [Fault("path", request.url.path, error.detail)])
    turn = shown.turn_of(request)
    page = await rendered_in_turns(template, turn, path=request.url.path, now=shown.now(), **values)
    return HTMLResponse(page, headers=dict(HEADERS))


def _fault_page(request: Request, status: HTTPStatus, faults: Sequence[Fault]) -> Response:
    page = rendered(
        "fault.html", path=request.url.path, status=status, faults=faults, request_id=logs.current_request_id()
    )
    return HTMLResponse(page, status, dict(HEADERS))


async def _file(request: Request) -> Response:
    found = files.static_files().get(request.path_params["name"])
    if found is None or request.path_params["version"] != files.version():
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = {"Cache-Control": f"public, max-age={KEPT_SECONDS}, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.media_type, headers=headers)


async def _favicon(request: Request) -> Response:
    icon = files.static_files()["icon.svg"]
    return Response(icon.content, media_type=icon.media_type, headers={"Cache-Control": "public, max-age=86400"})

"""The paths for browsers. Each gathers what the API answers, too, and renders a template."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from scaler.errors import Fault
from scaler.page import files
from scaler.page.api_docs import api_view
from scaler.page.asking import Moved, Refused, with_query
from scaler.page.events import events_view
from scaler.page.headers import HEADERS
from scaler.page.model_forms import change_models
from scaler.page.models import model_view, models_view, retrainings_view
from scaler.page.overview import overview_view
from scaler.page.rendering import rendered, rendered_in_turns
from scaler.page.savings import SavingsView
from scaler.page.sign_in import SignIn
from scaler.page.system import system_view
from scaler.page.trying import try_view
from scaler.page.workload import workload_view
from scaler.status.access import SIGN_IN
from scaler.status.application import Pages
from scaler.status.model_changes import ACTIONS, ChangeFaulty
from scaler.status.requests import RequestRefused, closing, form_token
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.telemetry import logs
from scaler.telemetry.redaction import excerpt

KEPT_SECONDS = 31_536_000
Act: TypeAlias = Callable[[Request], Awaitable[Response]]
"""what a form asks for; raises RequestRefused"""
View: TypeAlias = Callable[[Shown, Request], Awaitable[Mapping[str, Any]]]
"""what a template shows; raises Refused with faults, RequestRefused, or Moved"""


def all_pages(shown: Shown, api: StatusRoutes) -> Pages:
    """The paths of all pages, and of the files that they load."""

    def page(path: str, template: str, view: View, methods: Sequence[str] = ("GET",)) -> Route:
        return Route(path, partial(_answer, shown, template, view), methods=list(methods))

    routes = [
        *_sign_in(shown),
        page("/", "overview.html", overview_view),
        page("/workloads/{namespace}/{name}", "workload.html", workload_view),
        page("/savings", "savings.html", SavingsView()),
        page("/events", "events.html", events_view),
        page("/try", "try.html", partial(try_view, api.tried_route), ("GET", "POST")),
        page("/system", "system.html", partial(system_view, api.system_route)),
        page("/api/v1/docs", "api.html", api_view),
        page("/models", "models.html", models_view),
        page("/models/retrainings", "retrainings.html", retrainings_view),
        *(
            Route(f"/models/{action}", partial(_acted, partial(change_models, shown, action)), methods=["POST"])
            for action in ACTIONS
        ),
        page("/models/{model}", "model.html", model_view),
        Route("/static/{version}/{name}", _file),
        Route("/favicon.ico", _favicon),
    ]
    return Pages(routes, _fault_page)


def _sign_in(shown: Shown) -> list[BaseRoute]:
    """The paths to sign in and out, where reading needs a token."""
    if shown.sessions is None:
        return []
    found = SignIn(shown, shown.sessions)
    return [
        Route(SIGN_IN, found.form),
        Route(SIGN_IN, partial(_acted, found.sign_in), methods=["POST"]),
        Route("/sign-out", partial(_acted, found.sign_out), methods=["POST"]),
    ]


async def _answer(shown: Shown, template: str, view: View, request: Request) -> Response:
    """The page, or one that says what is wrong with the request."""
    try:
        values = await view(shown, request)
    except Refused as refused:
        return _fault_page(request, refused.status, refused.faults)
    except RequestRefused as refused:
        return closing(_fault_page(request, refused.status, [refused.fault]))
    except Moved as moved:
        return RedirectResponse(moved.query, HTTPStatus.FOUND, HEADERS)
    page = await rendered_in_turns(template, shown.turn_of(request), now=shown.now(), **_of_all(request), **values)
    return HTMLResponse(page, headers=HEADERS | values.get("headers", {}))


async def _acted(act: Act, request: Request) -> Response:
    """What came of a form, or a page that says what is wrong with it."""
    try:
        return await act(request)
    except RequestRefused as refused:
        return closing(_fault_page(request, refused.status, [refused.fault]))
    except ChangeFaulty as faults:
        return _fault_page(request, faults.status, faults.faults)


def _of_all(request: Request) -> Mapping[str, Any]:
    """What the frame of each page shows. sign_out: what the form to sign out brings, empty where nobody signed in."""
    session = getattr(request.state, "session", "")
    return {"path": request.url.path, "sign_out": form_token(session) if session else ""}


def _fault_page(request: Request, status: HTTPStatus, faults: Sequence[Fault]) -> Response:
    fields = {fault.field for fault in faults}
    query = request.query_params if request.method == "GET" else {}
    right = {name: value for name, value in query.items() if excerpt(name) not in fields}
    values = {"wrong": [excerpt(name) for name in query if name not in right], "right": with_query(right)}
    page = rendered(
        "fault.html", status=status, faults=faults, request_id=logs.current_request_id(), **values, **_of_all(request)
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

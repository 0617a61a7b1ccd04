"""Forms that change models: what they bring, and what was done with it."""

import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from scaler.page.headers import HEADERS
from scaler.page.rendering import rendered
from scaler.status.model_changes import Change, carried_out, change_of
from scaler.status.requests import RequestRefused, check_form_token, form_of, form_token
from scaler.status.shown import Shown, client_of

FORM_COOKIE = "headway-form"
"""a random name of the browser, where nobody signs in here"""


async def change_models(shown: Shown, action: str, request: Request) -> Response:
    """Do what the form asks for, and say so. Raises RequestRefused, ChangeFaulty."""
    writing = shown.writing
    writing.check_on(Change(action).tool)
    by, form = writing.author(request, client_of(request.scope)), dict(await form_of(request))
    check_form_token(form.pop("form_token", ""), _session(request), writing.user(request))
    done = await carried_out(shown, change_of(action, form), by)
    session = getattr(request.state, "session", "")
    sign_out = form_token(session) if session else ""
    page = rendered("done.html", path="/models", done=done, by=by, sign_out=sign_out)
    return HTMLResponse(page, headers=dict(HEADERS))


def forms_of(shown: Shown, request: Request) -> Mapping[str, Any]:
    """What templates need for forms: form_token is empty where nothing may be changed here, and commands are shown."""
    try:
        user = shown.writing.user(request)
    except RequestRefused:
        return {"form_token": "", "headers": {}}
    if not shown.writing.is_on:
        return {"form_token": "", "headers": {}}
    session, headers = _session(request), {}
    if not session:
        session = secrets.token_urlsafe(16)
        headers["Set-Cookie"] = f"{FORM_COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict"
    return {"form_token": form_token(session, user), "headers": headers}


def _session(request: Request) -> str:
    """The name of the session that a form belongs to; empty where the browser has none yet."""
    return getattr(request.state, "session", "") or request.cookies.get(FORM_COOKIE, "")

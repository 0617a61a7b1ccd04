"""Signing in with the token of `http-token-file`, and out."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from scaler.page.headers import HEADERS
from scaler.page.rendering import rendered
from scaler.status.attempts import Attempts
from scaler.status.requests import check_form_token, form_of
from scaler.status.sessions import SESSION_SECONDS, Sessions
from scaler.status.shown import Shown, client_of

HOME = "/"


class SignIn:
    """The page with the form, and what becomes of it."""

    def __init__(self, shown: Shown, sessions: Sessions) -> None:
        self._now = shown.now
        self._telemetry = shown.telemetry
        self._sessions = sessions
        self._attempts = Attempts()

    async def form(self, request: Request) -> Response:
        """The form; who is signed in goes on at once."""
        target = local(request.query_params.get("next", HOME))
        if self._sessions.found(request.headers.get("cookie", "")):
            return RedirectResponse(target, HTTPStatus.SEE_OTHER, dict(HEADERS))
        return _page(target)

    async def sign_in(self, request: Request) -> Response:
        """With the right token, on to where the browser wanted to go. Raises RequestRefused."""
        form = await form_of(request)
        target, client, now = local(form.get("next", HOME)), client_of(request.scope), self._now()
        if wait := self._attempts.wait(client, now):
            return _page(target, f"Too many wrong tokens from this address: try again in {wait:.0f} s.", wait)
        if not self._sessions.is_token(form.get("token", "")):
            self._attempts.failed(client, now)
            self._telemetry.count("http_refused", reason="token")
            return _page(target, "This is not the token of http-token-file.")
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER, dict(HEADERS))
        self._sessions.sign_in(response)
        return response

    async def sign_out(self, request: Request) -> Response:
        """The session ends. Raises RequestRefused."""
        form = await form_of(request)
        session = self._sessions.found(request.headers.get("cookie", "")) or ""
        check_form_token(form.get("form_token", ""), session)
        response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER, dict(HEADERS))
        self._sessions.sign_out(response, session)
        return response


def local(target: str) -> str:
    """The path where it is one of this port, else the first page: browsers take `//host` and `/\\host` for hosts."""
    is_local = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_local and target.isprintable() else HOME


def _page(target: str, fault: str = "", wait: float = 0.0) -> Response:
    status = HTTPStatus.TOO_MANY_REQUESTS if wait else HTTPStatus.UNAUTHORIZED if fault else HTTPStatus.OK
    page = rendered("sign_in.html", path="/sign-in", target=target, fault=fault, hours=SESSION_SECONDS // 3600)
    headers = {**HEADERS, **({"Retry-After": f"{wait:.0f}"} if wait else {})}
    return HTMLResponse(page, status, headers)

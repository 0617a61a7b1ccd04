"""Who may read what at the HTTP port: names of hosts, certificates of clients, the token or a session that began with
it."""

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from scaler.errors import Fault
from scaler.status.replies import faulty
from scaler.status.sessions import Sessions
from scaler.telemetry.redaction import excerpt

PROBES = ("/livez", "/readyz")
"""paths that everybody may read: the kubelet has neither token nor certificate, and what they show is no secret"""

WITHOUT_TOKEN = (*PROBES, "/metrics")
"""paths that need no token: a Prometheus is kept out by a certificate, or by a network policy"""

SIGN_IN = "/sign-in"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What a request must bring. token: None where none is needed. hosts: names, and `*.` for those below one; empty
    for any. certificate: whether a client must have one. sessions: what stands for the token in a browser, in reads and
    in forms of the page."""

    token: Callable[[], str] | None = None
    hosts: tuple[str, ...] = ()
    certificate: bool = False
    sessions: Sessions | None = None


class Access:
    """Answers requests that break the rules; all others reach `app`. refused: called with the name of the rule."""

    def __init__(self, app: Any, rules: AccessRules, refused: Callable[[str], None]) -> None:
        self._app = app
        self._rules = rules
        self._refused = refused

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = self._refusal(scope) if scope.get("path") not in PROBES else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            rule, answer = refusal
            self._refused(rule)
            await answer(scope, receive, send)

    def _refusal(self, scope: Any) -> tuple[str, Response] | None:
        headers, state, rules = dict(scope["headers"]), scope.setdefault("state", {}), self._rules
        if state.get("spare"):
            return "share", _share()
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_host_allowed(host, rules.hosts):
            return "host", _host(host)
        if rules.certificate and not state.get("certified"):
            return "certificate", _certificate()
        if rules.token is None or _is_open(scope["path"], rules.sessions):
            return None
        brought = headers.get(b"authorization", b"").decode("latin-1")
        if brought or rules.sessions is None:
            return None if is_token(brought, rules.token()) else ("token", _token(bool(brought)))
        state["session"] = rules.sessions.found(headers.get(b"cookie", b"").decode("latin-1")) or ""
        if state["session"] and (_is_read(scope) or not scope["path"].startswith("/api/")):
            return None
        is_for_people = _is_read(scope) or not scope["path"].startswith("/api/")
        if is_for_people and b"text/html" in headers.get(b"accept", b""):
            return "token", _to_sign_in(scope)
        return "token", _token(False)


def _is_open(path: str, sessions: Sessions | None) -> bool:
    """Whether the path shows nothing of any team. A browser must reach the form to sign in, and what it looks like."""
    return path in WITHOUT_TOKEN or (
        sessions is not None and (path in (SIGN_IN, "/favicon.ico") or path.startswith("/static/"))
    )


def _is_read(scope: Any) -> bool:
    return scope.get("method") in ("GET", "HEAD")


def _to_sign_in(scope: Any) -> Response:
    """The form, which leads back to what was wanted; what was sent is not sent again."""
    if not _is_read(scope):
        return RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = quote(scope["path"], safe="/@") + (f"?{query}" if query else "")
    target = f"{SIGN_IN}?next={quote(wanted, safe='/')}"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})


def is_token(authorization: str, token: str) -> bool:
    """Whether the header brings the token. Takes the same time wherever they differ."""
    scheme, _, brought = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(brought.strip().encode(), token.encode())


def is_host_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a request may call this port by the name in its Host header.

    Addresses and localhost always count: a page of another site that reaches this port by DNS rebinding has that
    site's name in the header.
    """
    if not allowed:
        return True
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in allowed)
    return True


def _share() -> Response:
    rule = "this client has as many connections as http-max-connections-per-client allows; beyond, probes are answered"
    answer = faulty([Fault("client", "", rule)], HTTPStatus.TOO_MANY_REQUESTS)
    answer.headers.update({"connection": "close", "retry-after": "10"})
    return answer


def _host(host: str) -> Response:
    rule = "is not a name of http-allowed-hosts; an IP address and localhost always are"
    return faulty([Fault("Host", excerpt(host), rule)], HTTPStatus.MISDIRECTED_REQUEST)


def _certificate() -> Response:
    rule = "is required here (http-tls: mtls), of an authority of tls-client-ca; /livez and /readyz need none"
    return faulty([Fault("client certificate", "", rule)], HTTPStatus.FORBIDDEN)


def _token(brought: bool) -> Response:
    rule = "is not the token of http-token-file" if brought else "is required: Bearer and the token of http-token-file"
    answer = faulty([Fault("Authorization", "", rule)], HTTPStatus.UNAUTHORIZED)
    answer.headers["www-authenticate"] = 'Bearer realm="headway"' + (', error="invalid_token"' if brought else "")
    return answer

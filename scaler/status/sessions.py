"""Signed-in browsers. A session is a signed value in a cookie: every replica with the same token file knows it, and
none knows it once that file holds another token."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import cookie_parser
from starlette.responses import Response

SESSION_SECONDS = 12 * 3600
MOST_CLOSED = 10_000
"""sessions that were ended early and are remembered, the newest"""


@dataclass(slots=True)
class Sessions:
    """Opens, recognises and ends sessions. token: as the file holds it now. secure: whether browsers reach this port by
    TLS, and send the cookie over nothing else."""

    token: Callable[[], str]
    now: Callable[[], float]
    secure: bool = False
    _closed: dict[str, None] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The cookie's name. Browsers take `__Host-` by TLS alone, and from this host alone."""
        return "__Host-headway" if self.secure else "headway"

    def sign_in(self, response: Response) -> None:
        """Have the browser keep a new session."""
        text = f"{int(self.now()) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        self._set(response, f"{text}.{self._signature(text)}", SESSION_SECONDS)

    def sign_out(self, response: Response, session: str) -> None:
        """End a session: the browser forgets it, and this process knows it no longer."""
        self._closed[session] = None
        if len(self._closed) > MOST_CLOSED:
            del self._closed[next(iter(self._closed))]
        self._set(response, "", 0)

    def found(self, cookies: str) -> str | None:
        """The session that the Cookie header brings, where it is a valid one."""
        value = cookie_parser(cookies).get(self.cookie, "")
        text, _, signature = value.rpartition(".")
        until = text.partition(".")[0]
        if not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return None
        return value if self.now() < int(until) and value not in self._closed else None

    def is_token(self, text: str) -> bool:
        """Whether this is the token. Takes the same time wherever they differ."""
        return hmac.compare_digest(text.strip().encode(), self.token().encode())

    def _signature(self, text: str) -> str:
        return hmac.new(self.token().encode(), f"session {text}".encode(), hashlib.sha256).hexdigest()

    def _set(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

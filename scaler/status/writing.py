"""Who may change something by HTTP, and under which name that is recorded."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from scaler.errors import Fault
from scaler.status.requests import RequestRefused

LONGEST_USER = 128
"""characters"""


@dataclass(frozen=True, slots=True)
class Writing:
    """mode: `off`; `token`: who has the token of `http-token-file` may write; `proxy`: whom a proxy names in the header
    `user_header` may. Who can reach the port without the proxy can write any name there."""

    mode: str = "off"
    user_header: str = ""

    @property
    def is_on(self) -> bool:
        return self.mode != "off"

    def check_on(self, command: str) -> None:
        """Raises RequestRefused where nothing may be changed. command: what does the same on the command line."""
        if not self.is_on:
            rule = f"must be token or proxy, so that changes are possible by HTTP; run `{command}` instead"
            raise RequestRefused(Fault("http-writes", "off", rule), HTTPStatus.FORBIDDEN)

    def author(self, request: Request, client: str) -> str:
        """The name for the log. client: its address. Raises RequestRefused."""
        return self.user(request) or f"token, from {client or 'somewhere'}"

    def user(self, request: Request) -> str:
        """Whom the proxy names; empty without one. Raises RequestRefused."""
        if self.mode != "proxy":
            return ""
        found = request.headers.getlist(self.user_header)
        if len(found) != 1 or not 0 < len(found[0]) <= LONGEST_USER or not found[0].isprintable():
            rule = f"must name one user, in up to {LONGEST_USER} characters: the proxy before this port sets it"
            raise RequestRefused(Fault(self.user_header, "", rule), HTTPStatus.FORBIDDEN)
        return found[0]

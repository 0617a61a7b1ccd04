"""Requests to the HTTP port of a running scaler, and what it refuses."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from scaler.errors import CommandError, Fault

TIMEOUT_SECONDS = 10.0


class NoAnswer(CommandError):
    """No scaler answers at the address, or what answers is none."""


class ApiProblem(CommandError):
    """A scaler refuses the request. http_status: of its answer. faults: field, value and rule of each."""

    def __init__(self, http_status: int, faults: tuple[Fault, ...]) -> None:
        super().__init__(f"{http_status}: {'; '.join(map(str, faults)) or 'no reason given'}")
        self.http_status = http_status
        self.faults = faults


class Session:
    """A connection to one scaler, to be used in a `with` statement or closed.

    base_url: of the HTTP port, as http://headway-http.headway:8080. token: of `http-token-file`, where the scaler has
    one. verify: as of httpx: whom to trust, and the client's certificate where the port wants one.
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        verify: ssl.SSLContext | bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=base_url, headers=headers, verify=verify, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(
        self, method: str, path: str, query: Mapping[str, Any], body: Any = None, kind: str = "application/json"
    ) -> Any:
        """The JSON of the answer. query: a value that is None is left out. body: bytes, or an object that is sent as
        JSON. Raises ApiProblem where the scaler refuses, and NoAnswer where none answers."""
        given = {name: value for name, value in query.items() if value is not None}
        sent = {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {} if body is None else {"Content-Type": kind}
        try:
            answer = self._client.request(method, path, params=given, headers=headers, **sent)
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NoAnswer(f"no scaler answers {method} {path}: {error or type(error).__name__}") from None
        if answer.is_success:
            return found
        raise ApiProblem(answer.status_code, _faults(found))


def _faults(found: Any) -> tuple[Fault, ...]:
    listed = found.get("errors", []) if isinstance(found, dict) else []
    return tuple(Fault(str(one.get("field")), str(one.get("value")), str(one.get("rule"))) for one in listed)

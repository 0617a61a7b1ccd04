"""JSON answers of the HTTP port."""

import hashlib
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from scaler.errors import MOST_SPELLED_OUT, Fault
from scaler.status.records import fault_records
from scaler.status.schemas import PROBLEM_TYPE


def as_json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """The content as JSON."""
    return Response(_text(content), status, media_type="application/json")


def kept_json(request: Request, content: dict[str, Any]) -> Response:
    """The content as JSON with an ETag, or 304 where the caller has it already. The time of the answer, `at`, makes no
    difference."""
    rest = _text({key: value for key, value in content.items() if key != "at"})
    tag = f'W/"{hashlib.sha256(rest.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_held(request.headers.get("if-none-match", ""), tag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    body = f'{{"at": {_text(content["at"])}, {rest[1:]}' if "at" in content else rest
    return Response(body, media_type="application/json", headers=headers)


def is_held(if_none_match: str, tag: str) -> bool:
    """Whether the header names this version."""
    bare = tag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") in (bare, "*") for one in if_none_match.split(","))


def faulty(faults: list[Fault], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    """A refusal that names field, value and rule of each fault: problem details as RFC 9457 has them."""
    content = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": "; ".join(map(str, faults[:MOST_SPELLED_OUT])),
        "errors": fault_records(faults),
    }
    return Response(_text(content), status, media_type=PROBLEM_TYPE)


def with_list(head: Any, name: str, records: AsyncIterator[str]) -> Response:
    """A JSON object with one long list at its end, sent as it is made."""

    async def pieces() -> AsyncIterator[str]:
        yield _text(head)[:-1] + f', "{name}": ['
        separator = ""
        async for record in records:
            yield separator + record
            separator = ", "
        yield "]}"

    return StreamingResponse(pieces(), media_type="application/json")


def _text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)

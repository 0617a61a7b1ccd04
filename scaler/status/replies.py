"""JSON answers of the HTTP port."""

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.responses import Response, StreamingResponse

from scaler.errors import Fault
from scaler.status.records import fault_records


def as_json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """The content as JSON."""
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")


def faulty(faults: list[Fault], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    """A refusal that names field, value and rule of each fault."""
    return as_json({"errors": fault_records(faults)}, status)


def with_list(head: Any, name: str, records: AsyncIterator[str]) -> Response:
    """A JSON object with one long list at its end, sent as it is made."""

    async def pieces() -> AsyncIterator[str]:
        yield json.dumps(head, ensure_ascii=False)[:-1] + f', "{name}": ['
        separator = ""
        async for record in records:
            yield separator + record
            separator = ", "
        yield "]}"

    return StreamingResponse(pieces(), media_type="application/json")

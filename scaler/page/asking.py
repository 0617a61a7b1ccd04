"""What a request for a page asks for, and the refusal of one that asks for nothing that there is."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from scaler.errors import Fault


class Refused(Exception):
    """A request that a page cannot answer: why, field by field."""

    def __init__(self, faults: Sequence[Fault], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults
        self.status = status


class Moved(Exception):
    """A request for what another address shows, too, and will show later: the query string of that one."""

    def __init__(self, query: str) -> None:
        super().__init__(query)
        self.query = query


def with_query(query: Mapping[str, str], **changed: str | int) -> str:
    """The query string with some parameters changed; those that are empty are left out."""
    kept = {name: str(value) for name, value in {**query, **changed}.items() if value != ""}
    return f"?{urlencode(kept)}" if kept else "?"

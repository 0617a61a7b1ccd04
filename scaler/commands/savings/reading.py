"""What a running scaler has counted, as `Compared`: its pages, one after the other."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from scaler.commands.http_access import Access
from scaler.commands.scaler_api import Unreachable, ask
from scaler.errors import CommandError
from scaler.trigger.server_address import redact
from scaler.words.compared import Compared, compared

PAGE = 50
"""workloads that one request asks for"""


class Refused(CommandError):
    """The scaler has answered with faults."""

    def __init__(self, status: int, faults: list[Mapping[str, str]]) -> None:
        super().__init__()
        self.code, self.faults = status, faults


def read_savings(namespace: str, name: str, days: int, address: str, access: Access) -> list[Compared]:
    """Of one workload, or of all where both names are empty, one for each mode. Raises Refused, Unreachable."""
    try:
        return [compared(record) for record in _records(namespace, name, days, address, access)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        odd = "its record lacks a field, or has one of another kind"
        raise Unreachable(f"what answers at {redact(address)} is no scaler of this version: {odd}") from None


def _records(namespace: str, name: str, days: int, address: str, access: Access) -> Iterator[Mapping[str, Any]]:
    query: dict[str, object] = {"days": days, "limit": PAGE}
    if name:
        query |= {"namespace": namespace, "name": name}
    while True:
        status, page = ask(address, f"/api/v1/savings?{urlencode(query)}", access, "savings")
        if status != httpx.codes.OK:
            raise Refused(status, page["errors"])
        yield from page["savings"]
        if not page["next"] or page["next"] == query.get("after"):
            return
        query["after"] = page["next"]

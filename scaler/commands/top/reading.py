"""One answer of /api/v1/triggers, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import urlencode

from scaler.commands.http_access import Access
from scaler.commands.savings.reading import Refused
from scaler.commands.scaler_api import Unreachable, ask
from scaler.trigger.server_address import redact

Record: TypeAlias = Mapping[str, Any]

PATH = "/api/v1/triggers"
TEXTS = ("namespace", "name", "trigger", "mode", "rung", "model")
NUMBERS = (
    *("demand", "planned", "replicas", "replicas_soon", "skill", "coverage", "quantile"),
    *("saved_replica_hours", "saved_short_minutes", "forecast_at"),
)


@dataclass(frozen=True, slots=True)
class Overview:
    """The first rows of all that fit. at: Unix time of the answer. count: of all that fit."""

    at: float
    count: int
    rows: Sequence[Record]
    answer: Record
    """as the scaler gave it"""


def read_overview(address: str, asked: Mapping[str, str | int], access: Access) -> Overview:
    """What the scaler shows. Raises Refused, Unreachable, or Usage for an address that is none."""
    wanted = {name: value for name, value in asked.items() if value != ""}
    status, found = ask(address, f"{PATH}?{urlencode(wanted)}", access, "triggers")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unreachable(f"what answers at {redact(address)} has no answer: status {status}")
    if status != HTTPStatus.OK:
        raise Refused(status, found["errors"])
    try:
        rows = [_checked(one) for one in found["triggers"]]
        return Overview(float(found["at"]), int(found["count"]), rows, found)
    except (KeyError, TypeError, ValueError, AttributeError):
        odd = "its record lacks a field, or has one of another kind"
        raise Unreachable(f"what answers at {redact(address)} is no scaler of this version: {odd}") from None


def _checked(one: Record) -> Record:
    texts = {name: str(one[name]) for name in TEXTS}
    return {**texts, **{name: None if one[name] is None else float(one[name]) for name in NUMBERS}}

"""The page of one ScaledObject: its demand on a time line, what is planned, and why."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused
from scaler.status.overview import row
from scaler.status.records import why_record
from scaler.status.scores import StoredWeeks
from scaler.status.shown import Shown
from scaler.telemetry.redaction import excerpt

MOST_TRIGGERS = 32
SPANS = (("3h", "3 h"), ("6h", "6 h"), ("24h", "24 h"), ("3d", "3 days"), ("14d", "14 days"))


async def workload_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """One trigger of the object in full, and links to its others."""
    namespace, name = request.path_params["namespace"], request.path_params["name"]
    watched = shown.registry.page(MOST_TRIGGERS, namespace=namespace, name=name)
    wanted = request.query_params.get("trigger", "")
    found = [one for one in watched if wanted in ("", one.trigger.short_key)]
    if not found:
        rule = "no trigger of this name is watched here: KEDA has not called for it, or not for a long time"
        raise Refused([Fault("namespace/name", excerpt(f"{namespace}/{name}"), rule)], HTTPStatus.NOT_FOUND)
    one, now = found[0], shown.now()
    stored = await StoredWeeks(shown.now, shown.reads.weeks).of([one])
    return {
        "namespace": namespace,
        "name": name,
        "row": row(shown.registry, one, now),
        "why": why_record(shown.registry, one, now, shown.explain, stored),
        "others": [other for other in watched if other is not one],
        "spans": SPANS,
        "since": request.query_params.get("since", "6h"),
    }

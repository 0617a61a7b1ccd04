"""The page of the system: replicas, refreshes, and what this process works with."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused
from scaler.status.parameters import unknown
from scaler.status.shown import Shown
from scaler.status.system import SystemRoute

KINDS = {
    "memory": "memory",
    "redis": "Redis",
    "none": "none",
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
}
QUEUES_SHOWN = 8
"""the longest ones; those in which nothing waits are left out"""


async def system_view(route: SystemRoute, shown: Shown, request: Request) -> Mapping[str, Any]:
    """What `/api/v1/system` answers."""
    faults: list[Fault] = unknown(request.query_params, ())
    if faults:
        raise Refused(faults)
    found = await route.record()
    waiting = sorted(((n, queue) for queue, n in found["queues"].items() if n), reverse=True)
    return {
        "found": found,
        "missing": shown.missing(),
        "waiting": [(queue, n) for n, queue in waiting[:QUEUES_SHOWN]],
        "kinds": KINDS,
    }

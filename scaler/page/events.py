"""The page of events: what happened to all workloads and models, the newest first."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused, with_query
from scaler.status.event_list import EventsRoute, events_asked
from scaler.status.shown import Shown

DAYS: Final = (1, 7, 30, 365)
WORDS: Final = {"anomaly": "anomaly", "model": "model", "rung": "answer"}


async def events_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """What `/api/v1/events` answers."""
    faults: list[Fault] = []
    given = {name: value.strip() for name, value in request.query_params.items() if value.strip()}
    now = shown.now()
    asked = events_asked(given, now, faults)
    if faults:
        raise Refused(faults)
    found = await EventsRoute(shown).record(asked)
    return {
        "events": [one | _place(one["scope"]) for one in found["events"]],
        "missing": found["missing"],
        "next": found["next"],
        "is_first": "before" not in given,
        "asked": asked,
        "chosen": int(given.get("days", DAYS[1])),
        "days": [(days, f"{days} day" if days == 1 else f"{days} days") for days in DAYS],
        "kinds": WORDS,
        "link": lambda **changed: with_query(given, **changed),
    }


def _place(scope: str) -> Mapping[str, str]:
    """Where the event happened. name: empty for a namespace, or all triggers."""
    namespace, _, name = scope.partition("/")
    return {"namespace": namespace, "name": name}

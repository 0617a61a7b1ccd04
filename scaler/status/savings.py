"""The path /api/v1/savings: what workloads were worth, from the store, a page of ScaledObjects at a time."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.registry import Registry
from scaler.savings import DAY_HOURS, HOUR_SECONDS, SavedDay, SavingsAsked
from scaler.status.described import AFTER, NAME, NAMESPACE, ApiPath, last_days, page_limit
from scaler.status.exposition import Turn
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.reads import ReadSavings
from scaler.status.record_schemas import SAVINGS
from scaler.status.records import Record
from scaler.status.replies import faulty, with_list
from scaler.status.schemas import AT, NEXT, array, record
from scaler.status.stored import OneAtATime, nobody, unavailable
from scaler.telemetry.redaction import excerpt

DEFAULT_DAYS, MOST_DAYS = 30, 366
DESCRIBED = ApiPath(
    "/api/v1/savings",
    "what each workload was worth, by the day",
    record("SavingsPage", {"at": AT, "next": NEXT, "savings": array(SAVINGS)}),
    (NAMESPACE, NAME, last_days(DEFAULT_DAYS, MOST_DAYS), page_limit("ScaledObjects"), AFTER),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)


class SavingsRoute:
    """Answers from the store."""

    def __init__(self, registry: Registry, now: Callable[[], float], read: ReadSavings | None) -> None:
        self._registry = registry
        self._now = now
        self._read = OneAtATime(read)

    async def answer(self, request: Request, turn: Turn) -> Response:
        """A page of days; `next` is the `after` of the following page, null on the last."""
        faults = unknown(request.query_params, DESCRIBED.names) + unprintable(request.query_params)
        asked = asked_for(request.query_params, self._now(), faults)
        if faults:
            return faulty(faults)
        try:
            found = await self._read(asked)
        except StoreUnavailable as error:
            return unavailable(error)
        if not found and asked.one is not None and not self._registry.page(1, "", *asked.one):
            return nobody(self._registry, *asked.one, "nothing was counted")
        objects = list(dict.fromkeys((one.namespace, one.name) for one in found))
        following = "/".join(objects[-1]) if asked.one is None and len(objects) == asked.limit else None
        return with_list({"at": self._now(), "next": following}, "savings", _in_turns(found, turn))


def asked_for(query: Mapping[str, str], now: float, faults: list[Fault]) -> SavingsAsked:
    """What the parameters ask for: by default the last 30 days of all."""
    days = whole_number(query, "days", DEFAULT_DAYS, MOST_DAYS, faults)
    limit = whole_number(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
    namespace, name = query.get("namespace", ""), query.get("name", "")
    if bool(namespace) != bool(name):
        faults.append(Fault("namespace, name", excerpt(namespace or name), "go together"))
    first, slash, second = query.get("after", "").partition("/")
    if query.get("after", "") and not slash:
        faults.append(Fault("after", excerpt(first), "must be NAMESPACE/NAME, the `next` of the page before"))
    last = int(now // HOUR_SECONDS) + 1
    return SavingsAsked((last - days * DAY_HOURS, last), limit, (first, second), (namespace, name) if name else None)


def savings_record(days: Sequence[SavedDay]) -> Record:
    """The days of one ScaledObject in one mode."""
    first = days[0]
    return {
        "namespace": first.namespace,
        "name": first.name,
        "mode": first.mode,
        "days": [{"day": date_of(one.day), **asdict(one.sums)} for one in days],
    }


def date_of(day: int) -> str:
    """`2026-11-29`, of a day since the epoch."""
    return f"{datetime.fromtimestamp(day * DAY_HOURS * HOUR_SECONDS, UTC):%Y-%m-%d}"


async def _in_turns(found: Sequence[SavedDay], turn: Turn) -> AsyncIterator[str]:
    for _, days in groupby(found, key=lambda one: (one.namespace, one.name, one.mode)):
        await turn()
        yield json.dumps(savings_record(list(days)), ensure_ascii=False)

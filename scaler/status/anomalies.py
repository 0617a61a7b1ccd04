"""The path /api/v1/anomalies: where demand left the band of its forecast, from the store, the newest first."""

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.errors import Fault, StoreUnavailable
from scaler.registry import Registry
from scaler.status.described import AFTER, NAME, NAMESPACE, ApiPath, last_days, page_limit
from scaler.status.exposition import Turn
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.reads import ReadAnomalies
from scaler.status.record_schemas import ANOMALY
from scaler.status.records import anomaly_record
from scaler.status.replies import faulty, with_list
from scaler.status.schemas import AT, NEXT, array, record
from scaler.status.stored import OneAtATime, nobody, unavailable
from scaler.telemetry.redaction import excerpt

DEFAULT_DAYS, MOST_DAYS = 30, 366
DAY_SECONDS = 86_400.0
DESCRIBED = ApiPath(
    "/api/v1/anomalies",
    "demand outside the band of its forecast, the newest first",
    record("AnomaliesPage", {"at": AT, "next": NEXT, "anomalies": array(ANOMALY)}),
    (NAMESPACE, NAME, last_days(DEFAULT_DAYS, MOST_DAYS), page_limit("anomalies"), AFTER),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
AT_A_TIME = 50
"""written before the event loop may answer KEDA: about half a millisecond's work"""


class AnomaliesRoute:
    """Answers from the store."""

    def __init__(self, registry: Registry, now: Callable[[], float], read: ReadAnomalies | None) -> None:
        self._registry = registry
        self._now = now
        self._read = OneAtATime(read)

    async def answer(self, request: Request, turn: Turn) -> Response:
        """A page; `next` is the `after` of the following page, null on the last."""
        faults = unknown(request.query_params, DESCRIBED.names) + unprintable(request.query_params)
        asked = asked_for(request.query_params, self._now(), faults)
        if faults:
            return faulty(faults)
        try:
            found = await self._read(asked)
        except StoreUnavailable as error:
            return unavailable(error)
        if not found and asked.name and not self._registry.page(1, "", asked.namespace, asked.name):
            return nobody(self._registry, asked.namespace, asked.name, "nothing is listed")
        following = _after(found[-1]) if len(found) == asked.limit else None
        return with_list({"at": self._now(), "next": following}, "anomalies", _in_turns(found, turn))


def asked_for(query: Mapping[str, str], now: float, faults: list[Fault]) -> AnomaliesAsked:
    """What the parameters ask for: by default the last 30 days of all."""
    days = whole_number(query, "days", DEFAULT_DAYS, MOST_DAYS, faults)
    limit = whole_number(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
    namespace, name = query.get("namespace", ""), query.get("name", "")
    if name and not namespace:
        faults.append(Fault("name", excerpt(name), "needs a namespace"))
    after = _read_after(query.get("after", ""), faults)
    return AnomaliesAsked(now - days * DAY_SECONDS, limit, after, namespace, name)


def _after(last: Anomaly) -> str:
    return f"{last.since!r}/{last.namespace}/{last.name}/{last.trigger}"


def _read_after(text: str, faults: list[Fault]) -> tuple[float, str, str, str] | None:
    if not text:
        return None
    since, *names = text.split("/")
    try:
        moment = float(since)
        if len(names) != 3 or not math.isfinite(moment):
            raise ValueError
    except ValueError:
        faults.append(Fault("after", excerpt(text), "must be the `next` of the page before"))
        return None
    return moment, names[0], names[1], names[2]


async def _in_turns(found: Sequence[Anomaly], turn: Turn) -> AsyncIterator[str]:
    for position, one in enumerate(found):
        if position % AT_A_TIME == 0:
            await turn()
        yield json.dumps(anomaly_record(one), ensure_ascii=False)

"""The path /api/v1/plans/NAMESPACE/NAME: what was planned for one ScaledObject, from the store."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.past_plans import RENEWED_SECONDS, PastPlan, PastPlansAsked
from scaler.registry import MOST_OF_ONE_OBJECT, Registry
from scaler.status.described import AFTER, MOMENT, ApiPath, page_limit, query
from scaler.status.exposition import Turn
from scaler.status.moments import RULE, moment_in
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.reads import ReadPlans
from scaler.status.record_schemas import PLAN_KEYS, TRIGGER_HASH, WHOSE
from scaler.status.records import Record
from scaler.status.replies import faulty, with_list
from scaler.status.schemas import AT, NEXT, array, moment, nullable, real, record, text
from scaler.status.stored import OneAtATime, nobody, unavailable
from scaler.telemetry.redaction import excerpt

DEFAULT_SECONDS = 24 * 3600.0
AROUND_SECONDS = RENEWED_SECONDS + 120.0
"""within it before a moment lies the plan that counted then, and within it after, the next one"""
MOST_AROUND = 2 * MOST_OF_ONE_OBJECT * round(AROUND_SECONDS / 60)
_PLAN = record(
    "PastPlan",
    {
        **PLAN_KEYS,
        "trigger": TRIGGER_HASH,
        "quantile": nullable(real(), "which quantile of the peak was read; null without forecast"),
        "error": text("why the observation was old or missing; else empty"),
        "until": nullable(real(), "with `at`: when another plan followed, in seconds since the epoch"),
    },
)
DESCRIBED = ApiPath(
    "/api/v1/plans/{namespace}/{name}",
    "what was planned for one ScaledObject, the newest first",
    record(
        "PastPlans",
        {
            **WHOSE,
            "at": AT,
            "timezone": text("the trigger's"),
            "next": NEXT,
            "asked": moment("the moment that was asked for"),
            "plans": array(_PLAN),
        },
        optional=("asked",),
    ),
    (
        query("since", text("from when; by default a day before `until`", pattern=MOMENT)),
        query("until", text("until when; by default now", pattern=MOMENT)),
        query("at", text("one moment: the plan that counted then. It goes with no other parameter", pattern=MOMENT)),
        page_limit("plans"),
        AFTER,
    ),
    (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """at: the one moment that somebody wants to know of; None for all plans from `since` until `until`."""

    plans: PastPlansAsked
    at: float | None


class PastPlansRoute:
    """Answers from the store."""

    def __init__(self, registry: Registry, now: Callable[[], float], read: ReadPlans | None) -> None:
        self._registry = registry
        self._now = now
        self._read = OneAtATime(read)

    async def answer(self, request: Request, turn: Turn) -> Response:
        """A page of plans, the newest first; `next` is the `after` of the following page, null on the last."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        watched = self._registry.page(1, namespace=namespace, name=name)
        zone = watched[0].trigger.timezone if watched else "UTC"
        faults = unknown(request.query_params, DESCRIBED.names)
        faults += unprintable({**request.query_params, **request.path_params})
        asked = _asked_for((namespace, name), request.query_params, self._now(), ZoneInfo(zone), faults)
        if faults:
            return faulty(faults)
        try:
            found = await self._read(asked.plans)
        except StoreUnavailable as error:
            return unavailable(error)
        if not found and not watched:
            return nobody(self._registry, namespace, name, "nothing was planned")
        head = {"namespace": namespace, "name": name, "at": self._now(), "timezone": zone, "next": None}
        if asked.at is not None:
            return with_list(head | {"asked": asked.at}, "plans", _in_turns(counting_at(found, asked.at), turn))
        if len(found) == asked.plans.limit:
            head["next"] = place_of(found[-1])
        return with_list(head, "plans", _in_turns([(one, None) for one in found], turn))


def _asked_for(
    own: tuple[str, str], query: Mapping[str, str], now: float, zone: ZoneInfo, faults: list[Fault]
) -> _Asked:
    """What the parameters ask for: by default the last day."""

    def moment_of(name: str, default: float) -> float:
        try:
            return moment_in(query[name], now, zone) if name in query else default
        except ValueError:
            faults.append(Fault(name, excerpt(query[name]), RULE))
            return default

    limit = whole_number(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
    if "at" in query:
        faults += [
            Fault(name, excerpt(query[name]), "does not go with at")
            for name in DESCRIBED.names
            if name != "at" and name in query
        ]
        at = moment_of("at", now)
        return _Asked(PastPlansAsked(*own, at - AROUND_SECONDS, at + AROUND_SECONDS, MOST_AROUND), at)
    until = moment_of("until", now)
    since = moment_of("since", until - DEFAULT_SECONDS)
    if since > until:
        faults.append(Fault("since", excerpt(query.get("since", "")), "must not be later than until"))
    return _Asked(PastPlansAsked(*own, since, until, limit, after_in(query, faults)), None)


def place_of(plan: PastPlan) -> str:
    """The `after` of the page that begins behind this plan."""
    return f"{plan.minute}/{plan.trigger}"


def after_in(query: Mapping[str, str], faults: list[Fault]) -> tuple[int, str] | None:
    """Minute and trigger of the last plan of the page before; None where none is given, or a wrong one."""
    text = query.get("after")
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9a-f]{1,64})", text)
    if found is None:
        faults.append(Fault("after", excerpt(text), "must be MINUTE/TRIGGER, the `next` of the page before"))
        return None
    return int(found[1]), found[2]


def counting_at(plans: Sequence[PastPlan], at: float) -> list[tuple[PastPlan, float | None]]:
    """Of each trigger the plan that counted at this moment, and when another one followed, None where none did within
    the time that was read. plans: those within AROUND_SECONDS, the newest first."""
    found: dict[str, tuple[PastPlan, float | None]] = {}
    following: dict[str, float] = {}
    for one in plans:
        if one.at > at:
            following[one.trigger] = one.at
        elif one.trigger not in found:
            found[one.trigger] = (one, following.get(one.trigger))
    return [found[trigger] for trigger in sorted(found)]


def past_plan_record(plan: PastPlan, until: float | None) -> Record:
    """A plan of the past: the keys of a current one, and those that only it has."""
    names = ("trigger", "at", "rung", "metric", "planned", "need", "quantile", "observed", "active", "model")
    own = {name: getattr(plan, name) for name in names}
    return {**own, "replicas": plan.replicas, "error": plan.error, "until": until, "reasons": list(plan.reasons)}


async def _in_turns(found: Sequence[tuple[PastPlan, float | None]], turn: Turn) -> AsyncIterator[str]:
    for position, (plan, until) in enumerate(found):
        if position % 10 == 0:
            await turn()
        yield json.dumps(past_plan_record(plan, until), ensure_ascii=False)

"""All triggers at a glance: the path /api/v1/triggers, and the first page for browsers.

A sort or a search looks at every trigger, some at a time; only the rows of one page are made in full.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from scaler.errors import Fault, HeadwayError
from scaler.plan import Rung
from scaler.plan.hpa_estimate import estimates_in
from scaler.registry import Answer, Registration, Registry
from scaler.scoring.scores import BucketScores
from scaler.status.described import NAMESPACE, ApiPath, page_limit, query
from scaler.status.exposition import Turn
from scaler.status.parameters import LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.record_schemas import MODE, RUNG, TRIGGER_HASH, WHOSE
from scaler.status.records import Record, number
from scaler.status.schemas import AT, array, choice, nullable, real, record, text, whole
from scaler.telemetry.redaction import excerpt
from scaler.trigger import Mode

LOOKED_AT = 100
"""triggers between two turns of the event loop: about half a millisecond"""
DEFAULT_ROWS = 50
MOST_PAGES = 1_000_000
RUNGS: Final = tuple(rung.value for rung in Rung)
MODES: Final = tuple(mode.value for mode in Mode)


@dataclass(frozen=True, slots=True)
class OverviewAsked:
    """Which rows somebody wants to see. page: from 1. needle: a part of NAMESPACE/NAME, in lower case."""

    sort: str = "name"
    descending: bool = False
    page: int = 1
    rows: int = DEFAULT_ROWS
    namespace: str = ""
    needle: str = ""
    rung: str = ""
    mode: str = ""

    @property
    def looks_at_all(self) -> bool:
        """Whether the order of keys, and the count of all triggers, are not enough."""
        return bool(self.needle or self.rung or self.mode) or self.sort != "name" or self.descending


@dataclass(frozen=True, slots=True)
class Overview:
    """The triggers of one page, and how many there are on all pages."""

    found: Sequence[Registration]
    count: int


def overview_asked(asked: Mapping[str, str], faults: list[Fault]) -> OverviewAsked:
    """What the parameters ask for; what is wrong with them is added to `faults`."""
    faults += unknown(asked, DESCRIBED.names) + unprintable(asked)
    sort = _one_of(asked, "sort", tuple(SORTS), "name", faults)
    order = _one_of(asked, "order", ("asc", "desc"), "asc" if sort in ASCENDING else "desc", faults)
    return OverviewAsked(
        sort,
        order == "desc",
        whole_number(asked, "page", 1, MOST_PAGES, faults),
        whole_number(asked, "limit", DEFAULT_ROWS, LARGEST_LIMIT, faults),
        asked.get("namespace", ""),
        asked.get("q", "").strip().lower(),
        _one_of(asked, "rung", RUNGS, "", faults),
        _one_of(asked, "mode", MODES, "", faults),
    )


def _one_of(query: Mapping[str, str], name: str, known: Sequence[str], default: str, faults: list[Fault]) -> str:
    value = query.get(name, "") or default
    if value != default and value not in known:
        faults.append(Fault(name, excerpt(value), f"must be one of {', '.join(known)}"))
        return default
    return value


async def overview(registry: Registry, asked: OverviewAsked, now: float, turn: Turn) -> Overview:
    """The page that is asked for; an empty one beyond the last."""
    first = (asked.page - 1) * asked.rows
    namespace = asked.namespace or None
    if not asked.looks_at_all:
        count = sum(1 for _ in registry.page(len(registry), namespace=namespace)) if namespace else len(registry)
        return Overview(registry.page(first + asked.rows, namespace=namespace)[first:], count)
    wanted = []
    for position, one in enumerate(registry.page(len(registry), namespace=namespace)):
        if position % LOOKED_AT == 0:
            await turn()
        if _is_wanted(registry, one, asked, now):
            wanted.append((SORTS[asked.sort](registry, one, now), one))
    ordered = _ordered(wanted, asked.descending)
    return Overview(ordered[first : first + asked.rows], len(wanted))


def _ordered(wanted: Sequence[tuple[Any, Registration]], descending: bool) -> list[Registration]:
    """Those without a value come last, in either order."""
    known = [pair for pair in wanted if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [one for _, one in known] + [one for value, one in wanted if value is None]


def _is_wanted(registry: Registry, one: Registration, asked: OverviewAsked, now: float) -> bool:
    trigger = one.trigger
    if asked.needle and asked.needle not in f"{trigger.namespace}/{trigger.name}".lower():
        return False
    if asked.mode and trigger.mode.value != asked.mode:
        return False
    return not asked.rung or _rung(answer_of(registry, one, now)) == asked.rung


def answer_of(registry: Registry, one: Registration, now: float) -> Answer | None:
    """What KEDA would be answered; None where it gets an error."""
    try:
        return registry.answer(one, now)
    except HeadwayError:
        return None


def row(registry: Registry, one: Registration, now: float) -> Record:
    """What the overview says of one trigger. Replicas are those before the HPA's limits."""
    trigger, answer, scores = one.trigger, answer_of(registry, one, now), peak_scores(one)
    plan = answer.plan if answer is not None else None
    total = one.account.total if one.account is not None else None
    return {
        "namespace": trigger.namespace,
        "name": trigger.name,
        "trigger": trigger.short_key,
        "mode": trigger.mode.value,
        "rung": _rung(answer),
        "demand": number(plan.observed) if plan else None,
        "metric": number(plan.metric) if plan else None,
        "planned": number(plan.planned) if plan else None,
        "threshold": trigger.threshold,
        "quantile": trigger.quantile,
        "replicas": _replicas_now(answer, trigger.threshold),
        "replicas_soon": _replicas(plan.planned if plan else None, trigger.threshold),
        "skill": _skill(scores),
        "coverage": scores.held if scores else None,
        "saved_replica_hours": None
        if total is None
        else (total.reactive.replica_seconds - total.plan.replica_seconds) / 3600,
        "saved_short_minutes": None
        if total is None
        else (total.reactive.short_seconds - total.plan.short_seconds) / 60,
        "model": plan.model if plan else "",
        "forecast_at": answer.outlook.forecast.start if answer and answer.outlook.forecast else None,
    }


def peak_scores(one: Registration) -> BucketScores | None:
    """How good its forecasts of the peak were in about a week, where this replica has scored them."""
    found = one.scores()
    return None if found is None else found.of("peak")


def _skill(scores: BucketScores | None) -> float | None:
    """By how much the loss is smaller than that of the newest observation: 1 is perfect, below 0 is worse."""
    ratio = scores.promised_over_persistence if scores else None
    return None if ratio is None else 1 - ratio


def _rung(answer: Answer | None) -> str:
    return answer.plan.rung.value if answer is not None else Rung.NOTHING.value


def _replicas(demand: float | None, threshold: float) -> int | None:
    return None if demand is None or not math.isfinite(demand) else math.ceil(demand / threshold)


def _replicas_now(answer: Answer | None, threshold: float) -> int | None:
    """As the HPA that follows the answers is estimated; else what the observation needs."""
    if answer is None:
        return None
    followed = estimates_in(answer.outlook.remembered)
    return followed[-1] if followed else _replicas(answer.plan.observed, threshold)


Sort: TypeAlias = Callable[[Registry, Registration, float], Any]


def _of_row(name: str) -> Sort:
    return lambda registry, one, now: row(registry, one, now)[name]


def _by_name(registry: Registry, one: Registration, now: float) -> Any:
    return one.trigger.namespace, one.trigger.name, one.trigger.short_key


SORTED_BY_ROW: Final = (
    *("demand", "planned", "replicas", "replicas_soon", "rung", "skill", "coverage"),
    *("saved_replica_hours", "saved_short_minutes", "model", "forecast_at"),
)
SORTS: Final[Mapping[str, Sort]] = {"name": _by_name} | {name: _of_row(name) for name in SORTED_BY_ROW}
"""what an overview can be sorted by"""
ASCENDING: Final = ("name", "rung", "skill", "coverage", "model")
"""in which the order is ascending where nothing is said: the worst first"""


def rows(registry: Registry, found: Sequence[Registration], now: float) -> Iterator[Record]:
    """The rows of these triggers."""
    return (row(registry, one, now) for one in found)


_ROW = record(
    "Row",
    {
        **WHOSE,
        "trigger": TRIGGER_HASH,
        "mode": MODE,
        "rung": RUNG,
        "demand": nullable(real(), "the newest observation"),
        "metric": nullable(real(), "what KEDA reads"),
        "planned": nullable(real(), "what replicas are planned for"),
        "threshold": real("demand that one replica carries"),
        "quantile": real("the quantile of the peak that is planned for"),
        "replicas": nullable(whole(), "now, as the HPA is estimated"),
        "replicas_soon": nullable(whole(), "that the plan asks for, before the HPA's limits"),
        "skill": nullable(real(), "1 minus the loss over that of the newest observation; above 0 is better"),
        "coverage": nullable(real(), "share of peaks within the trigger's quantile, in about a week"),
        "saved_replica_hours": nullable(real(), "next to a reactive trigger; below 0: more"),
        "saved_short_minutes": nullable(real(), "minutes without enough ready replicas that were avoided"),
        "model": text("what forecasts it, or empty"),
        "forecast_at": nullable(real(), "when the forecast was issued, in seconds since the epoch"),
    },
)
DESCRIBED: Final = ApiPath(
    "/api/v1/triggers",
    "all triggers at a glance, sorted and filtered",
    record(
        "Triggers",
        {
            "at": AT,
            "count": whole("how many fit, on all pages"),
            "page": whole("from 1"),
            "limit": whole("rows of a page"),
            "triggers": array(_ROW),
        },
    ),
    (
        query("q", text("a part of NAMESPACE/NAME")),
        NAMESPACE,
        query("rung", choice(("", *RUNGS), "what answers rest on; empty for all")),
        query("mode", choice(("", *MODES), "the mode; empty for all")),
        query("sort", choice(("", *SORTS), "a key of the row; without a value it comes last", default="name")),
        query("order", choice(("", "asc", "desc"), "by default that in which the worst comes first")),
        query("page", whole("from 1", minimum=1, maximum=MOST_PAGES, default=1)),
        page_limit("rows", DEFAULT_ROWS),
    ),
)

"""Parts of the page of a workload that come out of the store.

Each is a mapping for its template; `notice` says why it is empty where the store does not answer.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from scaler.anomalies import AnomaliesAsked
from scaler.models import ModelDecision
from scaler.page.bounded import Answer, BoundedReads
from scaler.page.workload_asked import WorkloadAsked
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.savings import SavingsAsked
from scaler.scored import DAY_HOURS, HOUR_SECONDS, ScoredDay, ScoresAsked, TotalsAsked
from scaler.scoring import BucketScores
from scaler.scoring.losses import Figure
from scaler.status.events import changes_in, decision_words, decisions_about
from scaler.status.past_plans import AROUND_SECONDS, MOST_AROUND, counting_at, past_plan_record, place_of
from scaler.status.reads import Reads
from scaler.status.records import anomaly_record
from scaler.status.savings import date_of, savings_record
from scaler.status.scores import LEADS
from scaler.words.anomalies import NO_ANOMALY, far_from, outcome
from scaler.words.compared import LEVEL, compared
from scaler.words.past_plans import NOTHING_THEN, clock, past_plan_lines
from scaler.words.savings import NOTHING_COUNTED, rows
from scaler.words.scores import NOTHING_SCORED, judgement
from scaler.words.verdict import verdict_of

Section: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """Of whom a part tells, and what is asked for. own: namespace and name. trigger: its hash."""

    reads: Reads
    ask: BoundedReads
    own: tuple[str, str]
    trigger: str
    asked: WorkloadAsked
    zone: ZoneInfo
    now: float

    @property
    def hours(self) -> tuple[int, int]:
        """[first, last) of the days that are asked for, since the epoch."""
        last = int(self.now // HOUR_SECONDS) + 1
        return last - self.asked.days * DAY_HOURS, last


LOG_ROWS = 15
KEPT_SECONDS = 7 * 86_400.0
"""of plans"""
CHANGES_IN = 100
"""plans in which changes are looked for"""
MOST_ANOMALIES, MOST_DECISIONS = 25, 10


async def then(scope: Scope, at: float) -> Section:
    """What was planned at a moment, and why: the words of `headway why --at`."""
    around = PastPlansAsked(*scope.own, at - AROUND_SECONDS, at + AROUND_SECONDS, MOST_AROUND)
    answer = await scope.ask(scope.reads.plans, around)
    counting = [pair for pair in counting_at(answer.found or (), at) if pair[0].trigger == scope.trigger]
    records = [past_plan_record(*pair) for pair in counting]
    return {
        "notice": answer.notice,
        "at": at,
        "clock": clock(at, scope.zone),
        "zone": scope.zone.key,
        "nothing": NOTHING_THEN,
        "plans": [{"lines": list(past_plan_lines(one, scope.zone)), "reasons": one["reasons"]} for one in records],
    }


async def scores(scope: Scope) -> Section:
    """By lead, and by the day of the lead that is asked for."""
    totals = await scope.ask(scope.reads.score_totals, TotalsAsked(*scope.own, scope.hours))
    found = {one.lead: one for one in totals.found or () if one.trigger == scope.trigger}
    by_lead: dict[str, Section] = {
        key: {"quantile": found[lead].quantile, "all": BucketScores(found[lead].sums).record()}
        for key, lead in LEADS.items()
        if lead in found
    }
    days: Answer[list[ScoredDay]] = Answer([])
    if scope.asked.lead in by_lead:
        days = await scope.ask(scope.reads.scores, ScoresAsked(*scope.own, LEADS[scope.asked.lead], scope.hours))
    scored = _scored(days.found or (), scope.trigger)
    by_day = [(date_of(one.day), BucketScores(one.sums).held) for one in scored]
    curves = {key: one["all"]["coverage"] for key, one in by_lead.items()}
    return {
        "notice": totals.notice or days.notice,
        "by_lead": by_lead,
        "leads": LEADS,
        "curves": curves,
        "levels": next(iter(curves.values()), ()),
        "by_day": by_day,
        "nothing": NOTHING_SCORED,
        "judgement": _judgement(by_lead.get("peak")),
    }


def _judgement(peak: Section | None) -> str:
    if peak is None:
        return ""
    scored = peak["all"]
    return judgement(peak["quantile"], scored["held"], scored["promised_over_persistence"], scored["count"])


def _scored(days: Sequence[ScoredDay], trigger: str) -> list[ScoredDay]:
    return [one for one in days if one.trigger == trigger and one.sums[Figure.COUNT] > 0]


async def savings(scope: Scope) -> Section:
    """For each mode the figures of both sides, and the sentence of `headway savings`."""
    answer = await scope.ask(scope.reads.savings, SavingsAsked(scope.hours, one=scope.own))
    modes = [savings_record(list(days)) for _, days in groupby(answer.found or (), key=lambda one: one.mode)]
    found = [await asyncio.to_thread(compared, record) for record in modes]  # its intervals take milliseconds
    return {
        "notice": answer.notice,
        "modes": [{"of": one, "sentence": verdict_of(one).sentence, "rows": list(rows(one))} for one in found],
        "level": LEVEL,
        "nothing": NOTHING_COUNTED,
    }


async def newest(reads: Reads, ask: BoundedReads, own: tuple[str, str], now: float) -> Answer[list[PastPlan]]:
    """The newest plans of all triggers of the object, the newest first."""
    return await ask(reads.plans, PastPlansAsked(*own, now - KEPT_SECONDS, now, CHANGES_IN))


async def log(scope: Scope, first: Answer[list[PastPlan]]) -> Section:
    """Plans of the last week, the newest first, a page at a time. first: the newest."""
    after = scope.asked.after
    page = PastPlansAsked(*scope.own, scope.now - KEPT_SECONDS, scope.now, LOG_ROWS + 1, after)
    answer = first if after is None else await scope.ask(scope.reads.plans, page)
    found = answer.found or []
    shown = found[:LOG_ROWS]
    return {
        "notice": answer.notice,
        "plans": [past_plan_record(one, None) for one in shown],
        "triggers": {one.trigger for one in shown},
        "next": place_of(shown[-1]) if len(found) > LOG_ROWS else "",
        "is_first": after is None,
    }


def recent(answer: Answer[list[PastPlan]], trigger: str) -> Section:
    """Which models served by the newest plans, the newest first, and other changes in them. is_cut: plans before the
    oldest of these may be kept, too. served_since, events_since: from when on a list has all."""
    read = answer.found or ()
    plans = [one for one in reversed(read) if one.trigger == trigger]
    served, events = list(_served(plans))[::-1], changes_in(plans)[::-1]
    first = read[-1].at if read else None
    return {
        "notice": answer.notice,
        "is_cut": len(read) == CHANGES_IN,
        "served": served[:MOST_DECISIONS],
        "served_since": first if len(served) <= MOST_DECISIONS else served[MOST_DECISIONS - 1]["since"],
        "events": events[:MOST_ANOMALIES],
        "events_since": first if len(events) <= MOST_ANOMALIES else events[MOST_ANOMALIES - 1]["at"],
    }


def _served(plans: Sequence[PastPlan]) -> Iterator[Section]:
    """Stretches of one model, the oldest first; plans without a model are reactive."""
    for model, some in groupby(plans, key=lambda one: one.model):
        stretch = list(some)
        yield {"model": model, "since": stretch[0].at, "until": stretch[-1].at, "count": len(stretch)}


async def decisions(scope: Scope) -> Section:
    """Which champions were made for this workload, its namespace and all triggers."""
    models = scope.reads.models

    async def read(own: tuple[str, str]) -> list[ModelDecision]:
        assert models is not None
        return await decisions_about(models(), *own)

    answer = await scope.ask(None if models is None else read, scope.own)
    made = (answer.found or [])[:MOST_DECISIONS]
    return {"notice": answer.notice, "made": [{"at": d.at, "by": d.by, "text": decision_words(d)} for d in made]}


async def anomalies(scope: Scope) -> Section:
    """Where demand left the band of its forecast, the newest first."""
    since = scope.now - scope.asked.days * DAY_HOURS * HOUR_SECONDS
    answer = await scope.ask(scope.reads.anomalies, AnomaliesAsked(since, MOST_ANOMALIES, None, *scope.own))
    records = [anomaly_record(one) for one in answer.found or () if one.trigger == scope.trigger]
    words = ({"far": far_from(one["largest"], one["expected"]), "outcome": outcome(one)} for one in records)
    return {
        "notice": answer.notice,
        "found": [one | said for one, said in zip(records, words, strict=True)],
        "nothing": NO_ANOMALY,
    }

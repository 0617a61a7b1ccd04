"""Would enabling it have paid? Settings are searched on the first part of the history and judged on the rest.

The strongest alternative is a reactive trigger with a lower target. So candidates are compared with the front of
reactive triggers, at equal service and at equal cost, with paired bootstrap intervals over days.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.forecast.onnx_forecaster import OnnxForecaster
from scaler.plan.hpa import SYNC_SECONDS
from scaler.trigger import Trigger
from training.progress import Progress, no_progress
from training.replay.policies import registry
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts, Issues
from training.replay.simulation.mixing import forecasts_with_past
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.verdict import candidates
from training.replay.verdict.candidates import Entry, HeadwayEntry, OracleEntry, Ran, ReactiveEntry, RivalEntry, run_all
from training.replay.verdict.choice import DEARER, bill, cheapest, is_dominated, search_budget, serves
from training.replay.verdict.pareto import LEAST_UNSERVED, Interval, over_days
from training.replay.verdict.score import Price, Scores
from training.replay.verdict.slo import Slo

SEARCHED = 0.5
"""share of the span on which settings are chosen"""
TODAY, DEFAULT, TUNED, TUNED_REACTIVE, ORACLE = "today", "headway", "headway, tuned", "reactive, tuned", "oracle"
KEPT_AHEAD_SECONDS = 3600.0
FEWEST_DAYS = 3.0
"""judged: with fewer, an interval over days means nothing"""
WELL_SERVED = 1e-3
"""unserved share: above this, better service matters more than lower cost"""
NOISE = 1e-6
"""of a ratio: rounding"""
SHOWN = 1e-3
"""of a share: the first digit that is written"""
LEAST_SHOWN = 1e-5
"""of the demand: a share that is still written as a number"""
MOST_TIMES = 100_000
"""a larger ratio is not written as a number: so little unserved demand is chance"""
MOSTLY_KNOWN = 0.5
"""of the draws of days: if fewer can be compared, an interval over them means nothing"""


class Verdict(StrEnum):
    ENABLE = "enable"
    WITH_SETTINGS = "enable with these settings"
    DO_NOT = "do not enable"


@dataclass(frozen=True)
class ReplayCase:
    """What is to be judged. jobs: number of cores.

    forecast_interval_seconds: how often forecast and plan are made, by default at every tick, as in service. With a
    longer one, a plan is also made in between when demand rises above the last one.
    """

    demand: Demand
    setting: Setting
    span: Span
    query: str
    slo: Slo | None = None
    price: Price = field(default_factory=Price)
    forecast_interval_seconds: float = float(SYNC_SECONDS)
    jobs: int = 1
    cache: Path | None = None
    excluded: tuple[Span, ...] = ()
    """stretches without a record: they do not count"""
    scaler_address: str = ""
    is_annotated: bool = False
    """whether the workload asks for a forecast by annotation"""
    """of an existing trigger of Headway; else empty"""
    today: Trigger | None = None
    """today's trigger, if there is one: its server, tenant and the like are kept"""
    notes: tuple[str, ...] = ()
    """what the reader of the verdict should know of the data"""


@dataclass(frozen=True, slots=True)
class Against:
    """A candidate compared with the front of reactive triggers on the judged days.

    saved: share of replica-hours saved over a reactive trigger of equal service. unserved: ratio of its unserved demand
    to that of a reactive trigger of equal cost. NaN outside the front.
    """

    saved: Interval
    unserved: Interval

    @property
    def wins(self) -> bool:
        """It is significantly better in one of them, and worse in none."""
        better = (is_known(self.saved) and self.saved.low > NOISE) or (
            is_known(self.unserved) and self.unserved.high < 1 - NOISE
        )
        return better and not self.loses

    @property
    def loses(self) -> bool:
        return (is_known(self.saved) and self.saved.high < 1 - DEARER) or (
            is_known(self.unserved) and self.unserved.low > 1 + NOISE
        )


def is_known(found: Interval) -> bool:
    """Whether the front covers it, on these days and on most draws of them."""
    return math.isfinite(found.value) and found.known >= MOSTLY_KNOWN


@dataclass(frozen=True)
class Judged:
    """The result of a case."""

    case: ReplayCase
    scenario: Scenario
    """of the judged days"""
    searched: Span
    model: str
    verdict: Verdict
    why: tuple[str, ...]
    trigger: Trigger
    """what to enable, if anything: the tuned trigger if the verdict names it, else the default"""
    ran: dict[str, Ran]
    """on the judged days, by name: today, headway (default and tuned), reactive tuned, oracle, rivals"""
    reactive_front: tuple[Ran, ...]
    headway_front: tuple[Ran, ...]
    against: dict[str, Against]
    """by name of the candidate"""
    gap_closed: float
    """of the recommended trigger, see `gap_closed`"""
    notes: tuple[str, ...] = ()
    """what the user should know of how it was computed"""


def judge(case: ReplayCase, forecaster: OnnxForecaster, progress: Progress = no_progress) -> Judged:
    """Search, judge and explain. The same case gives the same result."""
    first, rest = parts(case.span, case.excluded)
    default = default_of(case)
    forecasts = forecasts_for(case, forecaster, progress)
    best, best_reactive = _searched(case, Scenario(case.demand, case.setting, first), forecasts, default, progress)
    tuned, tuned_reactive = _trigger(best.entry), _target(best_reactive.entry)
    scenario = Scenario(case.demand, case.setting, rest)
    ran = _all(case, scenario, forecasts, default, tuned, tuned_reactive, progress)
    judged = _judged(case, scenario, first, forecaster.model, ran, default, tuned)
    why = (*judged.why, *_about_search(best, best_reactive, case.slo))
    return replace(judged, why=why, notes=forecasts.notes)


def default_of(case: ReplayCase) -> Trigger:
    """Headway with default settings."""
    return trigger_of(case.setting, case.query, case.demand.series.timezone, case.today)


def forecasts_for(case: ReplayCase, forecaster: OnnxForecaster, progress: Progress = no_progress) -> Forecasts:
    """The forecasts of a case, from its cache or newly made."""
    issues = Issues(case.span, case.forecast_interval_seconds, _ahead(default_of(case)), case.jobs)
    scored = default_of(case).lead_time_seconds + SCORED_BEYOND_SECONDS
    return forecasts_with_past(case.demand, forecaster, case.setting.observing, issues, scored, case.cache, progress)


def parts(span: Span, excluded: Sequence[Span] = ()) -> tuple[Span, Span]:
    """(to search on, to judge on): halves of the recorded time, split at a whole minute. excluded: in order."""
    recorded = span.end - span.begin - sum(gap.end - gap.begin for gap in excluded)
    middle = span.begin + recorded * SEARCHED // 60 * 60
    for gap in excluded:
        if gap.begin <= middle:
            middle += gap.end - gap.begin
    return Span(span.begin, middle), Span(middle, span.end)


def _ahead(trigger: Trigger) -> float:
    """How far ahead forecasts are kept: the longest lead tried, plus the longest hold."""
    return max(KEPT_AHEAD_SECONDS, 2 * trigger.lead_time_seconds + 2 * 1800.0)


def _searched(
    case: ReplayCase, scenario: Scenario, forecasts: Forecasts, default: Trigger, progress: Progress
) -> tuple[Ran, Ran]:
    """(the best trigger, the best reactive target) on these days."""
    setting = case.setting
    entries: list[Entry] = [
        ReactiveEntry(setting.threshold, TODAY),
        HeadwayEntry(default, DEFAULT),
        *candidates.reactive_front(setting),
        *candidates.headway_front(setting, default),
    ]
    found = run_all(scenario, forecasts, entries, case.price, case.jobs, progress, "searching")
    today, budget = found[0].scores, search_budget(found[0].scores, found[1].scores)
    reactive = cheapest([one for one in found if isinstance(one.entry, ReactiveEntry)], today, case.slo)
    best = cheapest([one for one in found if isinstance(one.entry, HeadwayEntry)], today, case.slo, budget)
    more = run_all(
        scenario,
        forecasts,
        candidates.neighbours(setting, _trigger(best.entry)),
        case.price,
        case.jobs,
        progress,
        "searching nearby",
    )
    return cheapest([best, *more], today, case.slo, budget), reactive


def _about_search(best: Ran, reactive: Ran, wanted: Slo | None) -> list[str]:
    """Whether the settings found hold the SLO, by the searched days."""
    if wanted is None:
        return []
    return [f"{name}: {wanted.about_search(ran.scores)}" for name, ran in ((TUNED, best), (TUNED_REACTIVE, reactive))]


def _trigger(entry: Entry) -> Trigger:
    assert isinstance(entry, HeadwayEntry)
    return entry.trigger


def _target(entry: Entry) -> float:
    assert isinstance(entry, ReactiveEntry)
    return entry.target


def _all(
    case: ReplayCase,
    scenario: Scenario,
    forecasts: Forecasts,
    default: Trigger,
    tuned: Trigger,
    tuned_reactive: float,
    progress: Progress,
) -> list[Ran]:
    entries: list[Entry] = [
        ReactiveEntry(case.setting.threshold, TODAY),
        HeadwayEntry(default, DEFAULT),
        HeadwayEntry(tuned, TUNED),
        ReactiveEntry(tuned_reactive, TUNED_REACTIVE),
        OracleEntry(ORACLE),
        *(RivalEntry(name) for name in registry.RIVALS),
        *candidates.reactive_front(case.setting),
        *candidates.headway_front(case.setting, default),
    ]
    return run_all(scenario, forecasts, entries, case.price, case.jobs, progress, "judging")


def _judged(
    case: ReplayCase, scenario: Scenario, searched: Span, model: str, found: list[Ran], default: Trigger, tuned: Trigger
) -> Judged:
    fronts = len(candidates.reactive_front(case.setting)), len(candidates.headway_front(case.setting, default))
    single = len(found) - sum(fronts)
    ran = {one.entry.name: one for one in found[:single]}
    reactive, headway = tuple(found[single : single + fronts[0]]), tuple(found[single + fronts[0] :])
    among = [one.scores for one in (*reactive, ran[TODAY], ran[TUNED_REACTIVE])]
    against = {name: compared_with_front(ran[name].scores, among, case.setting.seed) for name in (DEFAULT, TUNED)}
    verdict, why = verdict_of(ran, against, case)
    trigger = tuned if verdict is Verdict.WITH_SETTINGS else default
    chosen = ran[TUNED if verdict is Verdict.WITH_SETTINGS else DEFAULT]
    return Judged(
        case,
        scenario,
        searched,
        model,
        verdict,
        why,
        trigger,
        ran,
        reactive,
        headway,
        against,
        gap_closed(against[chosen.entry.name].unserved, chosen.scores, ran[ORACLE].scores),
    )


def compared_with_front(candidate: Scores, reactive: Sequence[Scores], seed: int = 0) -> Against:
    """The candidate compared with the front of these reactive triggers on the same days."""
    saved = over_days(
        lambda mine, theirs: 1 - mine.cost_P[0] / theirs.cost_at(mine.unserved_P[0]), [candidate], reactive, seed
    )
    unserved = over_days(
        lambda mine, theirs: mine.unserved_P[0] / theirs.unserved_at(mine.cost_P[0]), [candidate], reactive, seed
    )
    return Against(saved, unserved)


def gap_closed(unserved: Interval, candidate: Scores, oracle: Scores) -> float:
    """Share of the way from a reactive trigger of the candidate's cost to perfect foresight, in unserved demand.

    unserved: the candidate's over that of the reactive trigger. NaN without such a trigger, or without a gap.
    """
    mine, least = (max(one.unserved_share, LEAST_UNSERVED) for one in (candidate, oracle))
    reactive = mine / unserved.value
    return (reactive - mine) / (reactive - least) if reactive > least else math.nan


def verdict_of(ran: dict[str, Ran], against: dict[str, Against], case: ReplayCase) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and a sentence for each reason.

    The default is recommended first, if it wins at no more than today's cost, or at any cost if there is no SLO and
    today's trigger serves badly. Then the tuned trigger, if it wins, differs, and is not worse than the default. Then
    the default at any cost. With an SLO, nothing is recommended that costs more than a reactive trigger that holds it.
    The reasons state the cost.
    """
    today = ran[TODAY].scores
    if round(today.days, 1) < FEWEST_DAYS:
        few = f"only {today.days:.1f} days are judged, {FEWEST_DAYS:g} are needed: the result may be chance"
        return Verdict.DO_NOT, (few, *_why_not(ran, against, case))
    is_bad = case.slo is None and today.unserved_share > WELL_SERVED
    most = math.inf if is_bad else DEARER * bill(today)
    limit = _most_for_the_slo(ran, case)
    choices = (
        (DEFAULT, Verdict.ENABLE, min(most, limit)),
        (TUNED, Verdict.WITH_SETTINGS, limit),
        (DEFAULT, Verdict.ENABLE, limit),
    )
    for name, verdict, affordable in choices:
        found = ran[name].scores
        is_sound = name == DEFAULT or not (_found_the_default(ran) or _is_worse_than_default(ran, against, case.slo))
        if is_sound and against[name].wins and serves(found, today, case.slo) and bill(found) <= affordable:
            return verdict, (
                f"{name}: {_compared(found, today)}",
                *_equal(against[name], found),
                *_about_slo(found, case.slo),
            )
    return Verdict.DO_NOT, _why_not(ran, against, case)


def _most_for_the_slo(ran: dict[str, Ran], case: ReplayCase) -> float:
    """The most that holding the SLO may cost: the cost of today's or the tuned reactive trigger, if these hold it."""
    if case.slo is None:
        return math.inf
    bills = [bill(ran[name].scores) for name in (TODAY, TUNED_REACTIVE) if case.slo.holds(ran[name].scores)]
    return DEARER * min(bills, default=math.inf)


def _is_worse_than_default(ran: dict[str, Ran], against: dict[str, Against], wanted: Slo | None) -> bool:
    """Whether the tuned trigger is worse on the judged days.

    The default costs no more and serves no worse; or, without an SLO, it compares better with reactive triggers, at its
    cost as well as at its service.
    """
    if is_dominated(ran[TUNED].scores, ran[DEFAULT].scores, wanted):
        return True
    mine, theirs = against[TUNED], against[DEFAULT]
    is_comparable = all(is_known(one) for held in (mine, theirs) for one in (held.unserved, held.saved))
    return (
        wanted is None
        and is_comparable
        and mine.unserved.value > theirs.unserved.value + NOISE
        and mine.saved.value < theirs.saved.value - NOISE
    )


def _found_the_default(ran: dict[str, Ran]) -> bool:
    """Whether the search chose the default."""
    default, tuned = (ran[name].entry for name in (DEFAULT, TUNED))
    return isinstance(default, HeadwayEntry) and isinstance(tuned, HeadwayEntry) and default.trigger == tuned.trigger


def _compared(found: Scores, today: Scores) -> str:
    cost = found.replica_hours / today.replica_hours - 1 if today.replica_hours else math.nan
    money = ""
    if found.money > 0 < today.money and abs(found.money / today.money - 1 - cost) > SHOWN:
        money = f" ({found.money / today.money - 1:+.1%} of the bill, in whole nodes)".replace("-", "−")
    return (
        f"{abs(cost):.1%} {'more' if cost > 0 else 'fewer'} replica-hours than today's trigger{money}, "
        f"{_unserved(found.unserved_share)} of the demand unserved instead of {_unserved(today.unserved_share)}, "
        f"{found.short_minutes_per_week:.0f} short minutes a week instead of {today.short_minutes_per_week:.0f}"
    )


def _unserved(share: float) -> str:
    return f"<{LEAST_SHOWN:.3%}" if 0 < share < LEAST_SHOWN else f"{share:.3%}"


def _equal(against: Against, found: Scores) -> list[str]:
    reasons = []
    least = "at least " if found.unserved_share <= LEAST_UNSERVED else ""
    if is_known(against.saved) and max(abs(against.saved.low), abs(against.saved.high)) > NOISE:
        shown = signed_up(against.saved)
        reasons.append(
            f"{saved_text(against.saved)} than a reactive trigger that serves as well "
            f"(90% interval {_percent(shown.low)} to {_percent(shown.high)})"
        )
    if is_known(against.unserved):
        low, high = (_times(1 / ratio) for ratio in (against.unserved.high, against.unserved.low))
        reasons.append(
            f"a reactive trigger of equal cost leaves {_as_much(1 / against.unserved.value, least)} unserved "
            f"(90% interval {low} to {high})"
        )
    if not is_known(against.saved) and not is_known(against.unserved):
        reasons.append(
            "none of the reactive triggers tried has equal cost or service, or a cheaper one leaves nothing unserved"
        )
    return reasons


def saved_text(saved: Interval) -> str:
    """5% fewer replica-hours."""
    return f"{abs(saved.value):.1%} {'fewer' if saved.value >= 0 else 'more'} replica-hours"


def signed_up(saved: Interval) -> Interval:
    """The interval with the sign of `saved_text`: positive for a loss if more is lost than saved."""
    return saved if saved.value >= 0 else replace(saved, value=-saved.value, low=-saved.high, high=-saved.low)


def _percent(share: float) -> str:
    return f"{share:z.1%}".replace("-", "−")


def _as_much(ratio: float, least: str) -> str:
    if _times(ratio) == "1":
        return "about as much"
    return f"{'' if ratio > MOST_TIMES else least}{_times(ratio)} times as much"


def _times(ratio: float) -> str:
    if ratio > MOST_TIMES:
        return f"over {MOST_TIMES:,}"
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _about_slo(found: Scores, wanted: Slo | None) -> list[str]:
    if wanted is None:
        return []
    return [f"{wanted}: {'held' if wanted.holds(found) else 'broken'} with {found.short_minutes_per_week:.1f}"]


def _why_not(ran: dict[str, Ran], against: dict[str, Against], case: ReplayCase) -> tuple[str, ...]:
    today = ran[TODAY].scores
    reasons = []
    for name in (DEFAULT, TUNED):
        found, held = ran[name].scores, against[name]
        if held.loses:
            reasons.append(f"{name}: a reactive trigger is better at equal cost or service; {_compared(found, today)}")
        elif not is_known(held.saved) and not is_known(held.unserved):
            reasons.append(f"{name}: cannot be compared with reactive triggers; {_compared(found, today)}")
        elif not held.wins:
            reasons.append(
                f"{name}: no clear difference from a reactive trigger with another target; {_compared(found, today)}"
            )
        else:
            caveat = "" if serves(found, today, case.slo) else ", but its service is not sufficient"
            if not caveat and bill(found) > _most_for_the_slo(ran, case):
                caveat = ", but a cheaper one also holds the SLO"
            if not caveat and name == TUNED and _is_worse_than_default(ran, against, case.slo):
                caveat = f", but is worse than {DEFAULT}"
            reasons.append(f"{name}: beats reactive triggers of equal cost{caveat}; {_compared(found, today)}")
        reasons.extend(f"{name}: {one}" for one in (*_equal(held, found), *_about_slo(found, case.slo)))
    if case.slo:
        for name in (TODAY, TUNED_REACTIVE):
            reasons.extend(f"{name}: {one}" for one in _about_slo(ran[name].scores, case.slo))
    if today.unserved_share <= 1e-5:
        reasons.append("today's trigger leaves nothing unserved: there is nothing to gain in service")
    return tuple(reasons)

"""Search, verdict and the words for it."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.plan.hpa import Hpa
from scaler.trigger import PolicyName, Trigger
from tests.training.replay.made import scores, series, waves
from training.data.load import DAY_SECONDS
from training.replay.policies import registry
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.loop import Run
from training.replay.simulation.scenario import Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict import candidates
from training.replay.verdict.candidates import HeadwayEntry, Ran, ReactiveEntry
from training.replay.verdict.choice import cheapest, search_budget
from training.replay.verdict.judge import (
    DEFAULT,
    ORACLE,
    TODAY,
    TUNED,
    TUNED_REACTIVE,
    Against,
    Judged,
    ReplayCase,
    Verdict,
    compared_with_front,
    default_of,
    gap_closed,
    judge,
    parts,
    verdict_of,
)
from training.replay.verdict.pareto import Interval
from training.replay.verdict.score import Scores
from training.replay.verdict.slo import Slo

NOTHING = np.empty(0)
REACTIVE_TARGETS, HEADWAY_FRONT = candidates.REACTIVE_TARGETS, candidates.HEADWAY_FRONT


@pytest.fixture(autouse=True)
def _few_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough of them for a verdict, few enough for a test."""
    monkeypatch.setattr(candidates, "REACTIVE_TARGETS", (1.2, 0.9, 0.5))
    monkeypatch.setattr(candidates, "HEADWAY_FRONT", ((0.75, 1.0), (0.99, 0.8)))
    monkeypatch.setattr(registry, "RIVALS", {"same time last week": registry.RIVALS["same time last week"]})


def case(values: np.ndarray, days: float = 6, start_up: float = 300.0) -> ReplayCase:
    one = series(values)
    setting = Setting(16.0, 20.0, Constant(start_up), Hpa(max_replicas=500))
    span = Span(one.end - days * DAY_SECONDS, one.end)
    return ReplayCase(Demand(one), setting, span, "demand", forecast_interval_seconds=300.0)


@cache
def judged() -> Judged:
    """A steep morning every day, pods that take five minutes."""
    return judge(case(waves(10)), load_forecaster(SEASONAL))


def ran(found: Scores, entry: object = None) -> Ran:
    run = Run(found.policy, *[NOTHING] * 7)  # type: ignore[arg-type]
    return Ran(entry or ReactiveEntry(1.0, found.policy), found, run)  # type: ignore[arg-type]


def test_a_steep_morning_is_worth_a_forecast() -> None:
    """The verdict says so, and why in figures that are those of the scores."""
    found = judged()
    assert found.verdict in (Verdict.ENABLE, Verdict.WITH_SETTINGS)
    assert found.against[DEFAULT if found.verdict is Verdict.ENABLE else TUNED].wins
    today, chosen = found.ran[TODAY].scores, found.ran[DEFAULT if found.verdict is Verdict.ENABLE else TUNED].scores
    assert chosen.unserved_share < today.unserved_share
    assert f"{today.unserved_share:.3%}" in found.why[0]
    assert 0 < found.gap_closed <= 1


def test_everybody_takes_part() -> None:
    """Today's trigger, ours as it comes and tuned, the tuned reactive one, the oracle and what others offer."""
    assert set(judged().ran) == {TODAY, DEFAULT, TUNED, TUNED_REACTIVE, ORACLE, *registry.RIVALS}
    assert judged().ran[ORACLE].scores.unserved_share <= min(
        one.scores.unserved_share for name, one in judged().ran.items() if name != ORACLE
    )


def test_it_is_judged_on_days_that_were_not_searched() -> None:
    found = judged()
    assert found.searched.end == found.scenario.span.begin
    assert found.scenario.span.end == found.case.span.end
    assert found.searched.begin == found.case.span.begin


def test_the_same_case_gives_the_same_result_on_any_number_of_cores() -> None:
    one, two = (judge(replace(case(waves(5), days=2), jobs=jobs), load_forecaster(SEASONAL)) for jobs in (1, 2))
    assert one.why == two.why
    assert one.trigger == two.trigger
    assert {name: ran.scores.replica_hours for name, ran in one.ran.items()} == {
        name: ran.scores.replica_hours for name, ran in two.ran.items()
    }


def test_two_days_are_too_few_to_tell() -> None:
    """Whatever they show: the verdict says do not, and that it may be chance."""
    few = {name: ran(replace(one.scores, days=2.0), one.entry) for name, one in entries(GOOD, GOOD).items()}
    verdict, why = verdict_of(few, {DEFAULT: WINS, TUNED: WINS}, judged().case)
    assert verdict is Verdict.DO_NOT
    assert why[0].startswith("only 2.0 days are judged, 3 are needed")


def test_whoever_asks_today_is_asked_tomorrow() -> None:
    """Server and tenant of today's trigger are those of the recommended one; the lead time is the workload's own."""
    made = case(waves(3))
    today = Trigger("shop", "web", "sum(x)", 99.0, "http://mimir", tenant="blue", lead_time_seconds=5.0, key="a/b/c")
    own = replace(today, quantile=0.99, policy=PolicyName.AGGRESSIVE)
    default = default_of(replace(made, today=own))
    assert (default.quantile, default.policy) == (0.9, PolicyName.BALANCED)
    assert (default.server_address, default.tenant, default.namespace) == ("http://mimir", "blue", "shop")
    assert (default.query, default.threshold, default.lead_time_seconds) == ("demand", 16.0, 330.0)
    assert default_of(made).server_address == ""


@pytest.mark.parametrize(("allowed", "told"), [(0.0, "fewest short minutes"), (10_000.0, "likely to hold the SLO")])
def test_the_reasons_say_what_the_search_found(allowed: float, told: str) -> None:
    """Of Headway and of a reactive trigger: a day with a step of the size of the fleet is short whoever scales."""
    values = waves(5)
    values[::1440] = 40 * values.max()
    found = judge(replace(case(values, days=2), slo=Slo(allowed)), load_forecaster(SEASONAL))
    assert [one for one in found.why if one.startswith((f"{TUNED}: {told}", f"{TUNED_REACTIVE}: {told}"))] == list(
        found.why[-2:]
    )


def test_halves_are_whole_minutes() -> None:
    first, rest = parts(Span(600.0, 600.0 + 7 * 86400 + 60))
    assert first.end == rest.begin
    assert first.end % 60 == 0
    assert first.days == pytest.approx(rest.days, abs=0.001)


def test_the_cheapest_that_serves() -> None:
    """By the SLO with one. Without it who serves best for today's money, and nobody pays for a ten-thousandth.

    Where that money buys nothing, the cheapest that serves as well as today; where none serves, who leaves least.
    """
    today = scores("today", [10.0], [5.0])
    cheap = [ran(scores("d", [9.0], [4.0])), ran(scores("e", [10.0], [2.0])), ran(scores("f", [12.0], [1.0]))]
    assert cheapest(cheap, today, None).scores.policy == "e"
    assert cheapest(cheap, scores("today", [8.0], [5.0]), None).scores.policy == "d"
    tiny = [ran(scores("g", [8.0], [0.004])), ran(scores("h", [9.0], [0.001]))]
    assert cheapest(tiny, today, None).scores.policy == "g"
    some = [ran(scores("a", [9.0], [6.0])), ran(scores("b", [12.0], [5.0])), ran(scores("c", [14.0], [1.0]))]
    assert cheapest(some, today, None).scores.policy == "b"
    assert cheapest(some, scores("today", [10.0], [0.5]), None).scores.policy == "c"
    short = [replace(one, scores=replace(one.scores, short_minutes=10.0 - i)) for i, one in enumerate(some)]
    assert cheapest(short, today, Slo(70.0)).scores.policy == "a"
    assert cheapest(short, today, Slo(60.0)).scores.policy == "c"


def test_the_search_may_cost_what_the_default_costs() -> None:
    """Where the default is dearer than today's trigger, service at its cost is searched too."""
    today, default = scores("today", [10.0], [5.0]), scores("default", [12.0], [1.0])
    some = [
        ran(default),
        ran(scores("a", [9.0], [4.0])),
        ran(scores("b", [12.0], [0.5])),
        ran(scores("c", [13.0], [0.2])),
    ]
    assert cheapest(some, today, None, search_budget(today, default)).scores.policy == "b"
    assert cheapest(some, today, None).scores.policy == "a"
    assert search_budget(today, scores("default", [8.0], [1.0])) == pytest.approx(10.2)


def test_the_default_takes_part_in_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it is the only trigger of Headway: tuned settings are then the default or next to it."""
    monkeypatch.setattr(candidates, "HEADWAY_FRONT", ())
    found = judge(case(waves(5), days=2), load_forecaster(SEASONAL))
    default, tuned = (found.ran[name].entry.does for name in (DEFAULT, TUNED))
    near = [one.trigger for one in candidates.neighbours(found.case.setting, default)]
    assert tuned in (default, *near)


def test_an_slo_that_holds_by_luck_is_the_second_choice() -> None:
    """One bad day more would break it: what is likely to hold is worth more; where nothing is, it is chosen."""
    week = scores("lucky", [9.0] * 7, [1.0] * 7)
    lucky, steady = (
        replace(week, policy=name, replica_hours=hours, short_minutes=4.0, days=7.0)
        for name, hours in (("lucky", 63.0), ("steady", 70.0))
    )
    lucky = replace(lucky, by_day=replace(week.by_day, short_minutes_D=np.array([0.0] * 6 + [4.0])))
    steady = replace(steady, by_day=replace(week.by_day, short_minutes_D=np.full(7, 4 / 7)))
    assert Slo(5.0).holds(lucky)
    assert cheapest([ran(lucky), ran(steady)], week, Slo(5.0)).scores.policy == "steady"
    assert cheapest([ran(lucky), ran(steady)], week, Slo(20.0)).scores.policy == "lucky"
    assert cheapest([ran(lucky)], week, Slo(5.0)).scores.policy == "lucky"


def test_whole_nodes_are_what_is_paid() -> None:
    """Fewer replica-hours on more nodes are no saving: neither in the search nor in the verdict, which tells both."""
    few, packed = (
        replace(scores(name, [hours], [1.0], MUCH), money=money, days=7.0)
        for name, hours, money in (("few", 95.0, 40.0), ("packed", 98.0, 30.0))
    )
    today = replace(scores("today", [100.0], [10.0], MUCH), money=32.0, days=7.0)
    assert cheapest([ran(few), ran(packed)], today, None).scores.policy == "packed"
    found = entries(few, packed)
    found[TODAY] = ran(today)
    verdict, why = verdict_of(found, {DEFAULT: WINS, TUNED: WINS}, judged().case)
    assert verdict is Verdict.WITH_SETTINGS
    assert "2.0% fewer replica-hours than today's trigger (−6.2% of the bill, in whole nodes)" in why[0]


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value, low, high)


UNKNOWN = Interval(math.nan, math.nan, math.nan, 0.0)
WINS = Against(interval(0.2, 0.1, 0.3), interval(0.3, 0.2, 0.5))
EVEN = Against(interval(0.0, -0.1, 0.1), interval(1.0, 0.8, 1.3))
LOSES = Against(interval(-0.2, -0.3, -0.1), interval(1.5, 1.2, 2.0))


def test_winning_needs_no_doubt() -> None:
    """One figure beyond doubt is enough, unless the other says the opposite; unknown figures say nothing."""
    assert WINS.wins
    assert not EVEN.wins
    assert not EVEN.loses
    assert LOSES.loses
    assert Against(WINS.saved, UNKNOWN).wins
    assert not Against(UNKNOWN, UNKNOWN).wins
    assert not Against(WINS.saved, LOSES.unserved).wins


@pytest.mark.parametrize("noise", [1e-15, -1e-15])
def test_equals_are_not_distinguished_by_rounding(noise: float) -> None:
    """Neither wins where all runs are the same but for the last digit."""
    same = Against(interval(0.0, 0.0, 0.0), interval(1 + noise, 1 + noise, 1 + noise))
    assert not same.wins
    assert not same.loses


MUCH = 20_000.0
"""demand a day: today's trigger leaves little of it"""


def entries(default: Scores, tuned: Scores) -> dict[str, Ran]:
    today = replace(scores("today", [100.0], [10.0], MUCH), days=7.0)
    trigger = trigger_of(judged().case.setting, "demand", "UTC")
    return {
        TODAY: ran(today),
        DEFAULT: ran(default, HeadwayEntry(trigger, DEFAULT)),
        TUNED: ran(tuned, HeadwayEntry(replace(trigger, policy=PolicyName.AGGRESSIVE), TUNED)),
        TUNED_REACTIVE: ran(scores(TUNED_REACTIVE, [150.0], [1.0])),
    }


GOOD, DEAR, POOR = (
    scores("x", [cost], [unserved], MUCH) for cost, unserved in ((95.0, 5.0), (130.0, 1.0), (90.0, 20.0))
)


@pytest.mark.parametrize(
    ("default", "tuned", "against", "expected"),
    [
        (GOOD, GOOD, {DEFAULT: WINS, TUNED: WINS}, Verdict.ENABLE),
        (DEAR, GOOD, {DEFAULT: WINS, TUNED: WINS}, Verdict.WITH_SETTINGS),
        (DEAR, GOOD, {DEFAULT: WINS, TUNED: EVEN}, Verdict.ENABLE),
        (POOR, GOOD, {DEFAULT: WINS, TUNED: WINS}, Verdict.WITH_SETTINGS),
        (POOR, POOR, {DEFAULT: WINS, TUNED: WINS}, Verdict.DO_NOT),
        (GOOD, GOOD, {DEFAULT: EVEN, TUNED: LOSES}, Verdict.DO_NOT),
    ],
)
def test_the_verdict(default: Scores, tuned: Scores, against: dict[str, Against], expected: Verdict) -> None:
    """What wins and serves as well as today; at no more than today's cost before at more."""
    verdict, why = verdict_of(entries(default, tuned), against, judged().case)
    assert verdict is expected
    assert all(why)


BETTER = Against(interval(0.25, 0.2, 0.3), interval(0.2, 0.1, 0.3))


@pytest.mark.parametrize(
    ("default", "tuned", "against", "expected"),
    [
        (DEAR, replace(DEAR, unserved_share=2e-4), {DEFAULT: WINS, TUNED: WINS}, Verdict.ENABLE),
        (DEAR, replace(DEAR, replica_hours=131.0), {DEFAULT: WINS, TUNED: WINS}, Verdict.ENABLE),
        (DEAR, GOOD, {DEFAULT: BETTER, TUNED: WINS}, Verdict.ENABLE),
        (DEAR, GOOD, {DEFAULT: replace(BETTER, saved=UNKNOWN), TUNED: WINS}, Verdict.WITH_SETTINGS),
        (DEAR, GOOD, {DEFAULT: WINS, TUNED: BETTER}, Verdict.WITH_SETTINGS),
    ],
)
def test_tuned_settings_worse_than_the_default_are_not_recommended(
    default: Scores, tuned: Scores, against: dict[str, Against], expected: Verdict
) -> None:
    """Neither where the default serves as well for no more, nor where it compares better with reactive triggers."""
    assert verdict_of(entries(default, tuned), against, judged().case)[0] is expected


def test_with_an_slo_tuned_settings_must_be_cheaper_than_a_default_that_holds_it() -> None:
    """However well they serve beyond it."""
    wanted = replace(judged().case, slo=Slo(5.0))
    found = entries(DEAR, replace(DEAR, replica_hours=131.0, unserved_share=0.0))
    for name in (TODAY, TUNED_REACTIVE):
        found[name] = replace(found[name], scores=replace(found[name].scores, short_minutes=50.0, days=7.0))
    assert verdict_of(found, {DEFAULT: WINS, TUNED: BETTER}, wanted)[0] is Verdict.ENABLE


def test_who_is_served_badly_needs_service() -> None:
    """Without an SLO the default wins at any cost there, which is told; with one the cost counts."""
    badly = entries(replace(DEAR, unserved_share=0.001), replace(GOOD, unserved_share=0.005))
    badly[TODAY] = ran(replace(badly[TODAY].scores, unserved_share=0.01))
    win = {DEFAULT: WINS, TUNED: WINS}
    verdict, why = verdict_of(badly, win, judged().case)
    assert verdict is Verdict.ENABLE
    assert why[0].startswith("headway: 30.0% more replica-hours than today's trigger, 0.100% of the demand unserved")
    assert verdict_of(badly, win, replace(judged().case, slo=Slo(5.0)))[0] is Verdict.WITH_SETTINGS


def test_a_search_that_ends_with_the_default_recommends_it() -> None:
    """There are no settings to enable it with."""
    dear = entries(DEAR, replace(DEAR, unserved_share=DEAR.unserved_share / 2))
    same = dear | {TUNED: replace(dear[TUNED], entry=HeadwayEntry(dear[DEFAULT].entry.trigger, TUNED))}
    win = {DEFAULT: WINS, TUNED: WINS}
    found = [verdict_of(ran, win, judged().case)[0] for ran in (dear, same)]
    assert found == [Verdict.WITH_SETTINGS, Verdict.ENABLE]


def test_too_few_days_are_not_called_bad_service() -> None:
    """Whoever wins and serves is not told that it does not serve enough."""
    few = entries(GOOD, GOOD)
    few[TODAY] = ran(replace(few[TODAY].scores, days=2.0))
    verdict, why = verdict_of(few, {DEFAULT: WINS, TUNED: WINS}, judged().case)
    assert verdict is Verdict.DO_NOT
    assert "only 2.0 days are judged" in why[0]
    assert not any("does not serve enough" in one for one in why)


def test_what_leaves_nothing_is_compared_with_at_least() -> None:
    """The front ends at a share that stands for nothing; the ratio to it is a bound. Large ones are whole numbers."""
    best = scores("x", [95.0], [0.0])
    _, why = verdict_of(
        entries(best, best), {DEFAULT: Against(UNKNOWN, interval(0.007, 0.001, 0.01)), TUNED: EVEN}, judged().case
    )
    assert any("leaves at least 143 times as much unserved" in one for one in why)


def test_ratios_to_next_to_nothing_are_not_written_out() -> None:
    """A ratio of 200,000 is not measured, and being over a bound it is not at least something, too."""
    best = scores("x", [95.0], [0.0])
    held = Against(UNKNOWN, interval(5e-6, 2e-6, 0.0005))
    _, why = verdict_of(entries(best, best), {DEFAULT: held, TUNED: EVEN}, judged().case)
    (said,) = (one for one in why if "of equal cost leaves" in one)
    assert said == "a reactive trigger of equal cost leaves over 100,000 times as much unserved " + (
        "(90% interval 2,000 to over 100,000)"
    )


def test_a_tiny_share_is_not_nothing() -> None:
    """What is unserved is 0.000% only where nothing is."""
    none, tiny = scores("x", [95.0], [0.0]), replace(scores("x", [95.0], [0.0]), unserved_share=1e-9)
    for found, written in ((none, "0.000%"), (tiny, "<0.001%")):
        _, why = verdict_of(entries(found, found), {DEFAULT: WINS, TUNED: EVEN}, judged().case)
        assert any(f" {written} of the demand unserved instead of" in one for one in why)


def test_nothing_is_once_as_much() -> None:
    """Next to equal it is about as much; the interval still says how far it may be."""
    verdict, why = verdict_of(
        entries(GOOD, GOOD), {DEFAULT: Against(UNKNOWN, interval(0.98, 0.5, 1.25)), TUNED: EVEN}, judged().case
    )
    assert verdict is Verdict.DO_NOT
    told = "leaves about as much unserved (90% interval 0.8 to 2)"
    assert any(told in one for one in why)


def test_zero_has_no_sign() -> None:
    """An interval that ends next to nothing ends at 0.0%, from whichever side."""
    near = Against(interval(-0.1, -0.2, 0.0004), UNKNOWN)
    _, why = verdict_of(entries(GOOD, GOOD), {DEFAULT: near, TUNED: EVEN}, judged().case)
    assert any("(90% interval 0.0% to 20.0%)" in one for one in why)


def test_fronts_reach_beyond_each_other_and_are_dense() -> None:
    """Headway's from bolder than any reactive target that serves to an oversized fleet; at most 8 % between targets."""
    shares = np.array(REACTIVE_TARGETS)
    assert len(shares) >= 41
    assert 1.0 in shares
    assert (shares[:-1] / shares[1:] < 1.3).all()
    assert (np.abs(np.diff(shares[(shares <= 1.1) & (shares >= 0.6)])) < 0.021).all()
    quantiles, thresholds = zip(*HEADWAY_FRONT, strict=True)
    assert (quantiles[0], quantiles[-1]) == (0.51, 0.99)
    assert thresholds[0] >= 1.3
    assert thresholds[-1] <= 0.2


def test_fronts_are_made_of_targets_that_keda_tells_apart() -> None:
    """Thousandths, each once, none of them 0."""
    tiny = replace(judged().case.setting, capacity=0.001, threshold=0.001)
    assert [one.target for one in candidates.reactive_front(tiny)] == [0.001]
    default = trigger_of(tiny, "demand", "UTC")
    assert {one.trigger.threshold for one in candidates.headway_front(tiny, default)} == {0.001}


def test_an_slo_decides() -> None:
    """With one, what serves is what holds it, and the reasons say whether."""
    wanted = replace(judged().case, slo=Slo(0.0))
    broken = replace(GOOD, short_minutes=3.0)
    verdict, why = verdict_of(entries(broken, GOOD), {DEFAULT: WINS, TUNED: WINS}, wanted)
    assert verdict is Verdict.WITH_SETTINGS
    assert "short minutes per week ≤ 0: held with 0.0" in why
    verdict, why = verdict_of(entries(broken, broken), {DEFAULT: WINS, TUNED: WINS}, wanted)
    assert verdict is Verdict.DO_NOT
    assert "headway: short minutes per week ≤ 0: broken with 21.0" in why
    assert "today: short minutes per week ≤ 0: held with 0.0" in why
    assert "reactive, tuned: short minutes per week ≤ 0: held with 0.0" in why


def test_an_slo_is_not_paid_for_twice() -> None:
    """What costs more than a reactive trigger that holds it, today's or the tuned one, is not recommended."""
    wanted, wins = replace(judged().case, slo=Slo(5.0)), {DEFAULT: WINS, TUNED: WINS}
    found = entries(replace(DEAR, replica_hours=160.0), replace(DEAR, replica_hours=155.0))
    held_today = found[TODAY]
    found[TODAY] = ran(replace(held_today.scores, short_minutes=99.0))
    verdict, why = verdict_of(found, wins, wanted)
    assert verdict is Verdict.DO_NOT
    assert why[0].startswith("headway: beats reactive triggers of equal cost, but a cheaper one also holds the SLO; ")
    assert verdict_of(found, wins, replace(wanted, slo=None))[0] is not Verdict.DO_NOT
    found[TUNED] = ran(replace(DEAR, replica_hours=152.0), found[TUNED].entry)
    assert verdict_of(found, wins, wanted)[0] is Verdict.WITH_SETTINGS
    assert verdict_of({**found, TODAY: held_today}, wins, wanted)[0] is Verdict.DO_NOT
    found[TUNED_REACTIVE] = ran(replace(found[TUNED_REACTIVE].scores, replica_hours=120.0))
    assert verdict_of(found, wins, wanted)[0] is Verdict.DO_NOT
    found[TUNED_REACTIVE] = ran(replace(found[TUNED_REACTIVE].scores, short_minutes=99.0))
    assert verdict_of(found, wins, wanted)[0] is Verdict.WITH_SETTINGS


def test_held_against_the_front() -> None:
    """Half the unserved demand at equal cost, and less cost at equal service."""
    reactive = [scores("a", [10.0] * 5, [10.0] * 5), scores("b", [20.0] * 5, [0.1] * 5)]
    found = compared_with_front(scores("c", [15.0] * 5, [0.5] * 5), reactive)
    assert found.unserved.value == pytest.approx(0.5)
    assert found.saved.value == pytest.approx(1 - 15 / (15 + 10 * math.log(2) / math.log(100)))
    assert found.wins
    assert not math.isfinite(compared_with_front(scores("c", [25.0] * 5, [0.01] * 5), reactive).unserved.value)


def test_what_most_days_cannot_tell_is_no_win() -> None:
    """Dearer than every reactive trigger: the few draws that reach the front say nothing."""
    dear = Against(UNKNOWN, Interval(math.nan, 0.28, 0.29, 0.25))
    assert not dear.wins
    assert not Against(UNKNOWN, Interval(0.5, 0.28, 0.29, 0.25)).wins
    assert Against(UNKNOWN, Interval(0.5, 0.28, 0.29, 0.75)).wins
    assert not Against(UNKNOWN, Interval(1.5, 1.2, 1.9, 0.25)).loses
    verdict, why = verdict_of(entries(GOOD, GOOD), {DEFAULT: dear, TUNED: dear}, judged().case)
    assert verdict is Verdict.DO_NOT
    assert why[0].startswith("headway: cannot be compared with reactive triggers")
    assert (
        "headway: none of the reactive triggers tried has equal cost or service, or a cheaper one leaves"
        " nothing unserved" in why
    )


def test_the_gap() -> None:
    """From a reactive trigger of equal cost, which leaves four times as much, to the oracle."""
    mine, oracle = scores("x", [10.0], [2.0]), scores("oracle", [10.0], [0.0])
    assert gap_closed(interval(0.25, 0.2, 0.3), mine, oracle) == pytest.approx(0.75, rel=1e-3)
    assert math.isnan(gap_closed(UNKNOWN, mine, oracle))
    assert math.isnan(gap_closed(interval(1.0, 1.0, 1.0), oracle, oracle))

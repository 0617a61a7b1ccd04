"""An answer does no harm: what holds for every answer, whatever was forecast, observed and remembered.

Cases are of `strategies.py`: broken numbers, clocks that jump, any memory. So neither calibration, orders, hold nor
anything else that is remembered changes what holds here. `make harm` runs 100,000 cases of each property.

Tried on 2026-11-29: without the rule `floor`, the reactive need, the observed 0 and shadow mode fail; without `absurd`,
the number that the HPA can carry; so does that where an observation of NaN is taken for demand.
"""

import math
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scaler.errors import SourceUnavailable
from scaler.forecast.record import RecordInvalid, pack, unpack
from scaler.plan import Plan
from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import situation_of
from scaler.registry import Registry
from scaler.series import REMEMBERED, Outlook
from scaler.trigger import LARGEST_DEMAND, Mode, Trigger, TriggerRules
from tests.plan.strategies import (
    NOW,
    Case,
    cases,
    jumps,
    metadata,
    monotone_cases,
    quantiles,
    refreshed,
    shared_outlooks,
)

pytestmark = pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered")

CASES = int(os.environ.get("HARM_CASES", "300"))
many = settings(max_examples=CASES, suppress_health_check=[HealthCheck.too_slow], database=None)


def fresh_demand(case: Case) -> float | None:
    """What a reactive trigger would answer for the moment of the plan; None where nothing was observed of late."""
    seen, at = case.outlook.observation, case.plan.at
    if seen is None or not 0 <= seen.value < math.inf or abs(at - seen.at) > case.trigger.max_staleness_seconds:
        return None
    return min(seen.value, LARGEST_DEMAND)


def in_mode(case: Case, mode: Mode) -> Case:
    return case._replace(trigger=replace(case.trigger, mode=mode))


@many
@given(cases())
def test_every_answer_is_a_number_that_the_hpa_can_carry(case: Case) -> None:
    """Never NaN, infinite, negative or absurd; so is the plan that shadow mode shows."""
    for number in (case.plan.metric, case.plan.planned):
        assert number is None or 0 <= number <= LARGEST_DEMAND


@many
@given(cases())
def test_never_below_the_reactive_need_while_an_observation_is_fresh(case: Case) -> None:
    """There is an answer, and it is at least the observation."""
    demand = fresh_demand(case)
    if demand is not None:
        assert case.plan.metric is not None
        assert case.plan.planned is not None
        assert min(case.plan.metric, case.plan.planned) >= demand


@many
@given(cases())
def test_awake_while_a_reactive_trigger_would_be(case: Case) -> None:
    """A fresh observation above the activation threshold makes the workload active, whatever is forecast."""
    demand = fresh_demand(case)
    if demand is not None and demand > case.trigger.activation_threshold:
        assert case.plan.active


@many
@given(cases())
def test_never_0_without_an_observed_0(case: Case) -> None:
    """The newest observation is 0 where the answer is."""
    for number in (case.plan.metric, case.plan.planned):
        if number == 0:
            assert case.outlook.observation is not None
            assert case.outlook.observation.value == 0


@many
@given(cases())
def test_nothing_falls_asleep_without_an_observation(case: Case) -> None:
    """The newest observation is not above the activation threshold where the answer is "inactive"."""
    if case.plan.metric is not None and not case.plan.active:
        assert case.outlook.observation is not None
        assert min(case.outlook.observation.value, LARGEST_DEMAND) <= case.trigger.activation_threshold


@many
@given(cases())
def test_shadow_mode_answers_what_reactive_mode_answers(case: Case) -> None:
    """And that is the fresh observation alone: no forecast and no memory changes it."""
    shadow, reactive = in_mode(case, Mode.SHADOW).plan, in_mode(case, Mode.REACTIVE).plan
    assert (shadow.metric, shadow.active) == (reactive.metric, reactive.active)
    assert reactive.metric == fresh_demand(case)


@many
@given(cases())
def test_every_replica_answers_the_same(case: Case) -> None:
    """To the last reason: a replica that made the outlook, and one that received it as a record.

    A record with broken numbers is refused; then a replica goes on with what it had.
    """
    try:
        received = unpack(pack(case.outlook))
    except RecordInvalid:
        assume(False)
    assert case._replace(outlook=received).plan == case.plan


@many
@given(shared_outlooks(), metadata, st.floats(0, 100), st.lists(jumps, min_size=1, max_size=5))
def test_a_replica_that_hears_later_answers_the_same(
    outlook: Outlook, metadata: dict[str, str], late: float, steps: list[float]
) -> None:
    """From then on, at every moment of a clock that jumps, although the other one was called in between."""
    first, second = Replica(metadata), Replica(metadata)
    now = outlook.counts_from
    assume(first.receives(outlook, now))
    first.answer(now)
    now += late
    assume(second.receives(unpack(pack(outlook)), now))
    for number, step in enumerate(steps):
        now += step
        answered = first.answer(now)
        if number % 2 == 0:
            assert second.answer(now) == answered


class Replica:
    """The memory of one replica, with one trigger."""

    def __init__(self, metadata: dict[str, str]) -> None:
        self.registry = Registry(TriggerRules("http://prometheus"), 15.0)
        self.registration = self.registry.register("shop", "web", metadata, NOW)

    def receives(self, outlook: Outlook, now: float) -> bool:
        return self.registry.receive(self.registration.trigger.key, outlook, now)

    def answer(self, now: float) -> Plan | str:
        """What is answered, or the error."""
        try:
            return self.registry.answer(self.registration, now).plan
        except SourceUnavailable as error:
            return str(error)


@many
@given(monotone_cases(aged_peaks=False), quantiles)
def test_a_higher_quantile_never_answers_less(case: Case, quantile: float) -> None:
    """Where the quantiles of a forecast ascend, as a bundle's do.

    Not where the forecast gives peaks and began some time ago: their excess over the steps is carried over, and the
    excess of a higher quantile may be smaller (see `peak_quantile`). The next property covers these.
    """
    assert_in_order(case, quantile)


@many
@given(monotone_cases(aged_peaks=True), quantiles)
def test_no_rule_turns_a_higher_demand_into_a_lower_answer(case: Case, quantile: float) -> None:
    """Where a higher quantile forecasts a higher peak, in the window of the need and in that of an order, the answer is
    not lower: neither the dead band nor hold nor an order nor a limit reverses that."""
    low, high = with_quantile(case, quantile)
    situations = [situation_of(one.trigger, one.outlook, one.plan.at, one.refresh_seconds) for one in (low, high)]
    for end in (situations[0].window_end, situations[0].order_end):
        peaks = [peak_quantile(one.forecast, one.trigger.quantile, one.now, end) for one in situations if one.forecast]
        assume(peaks == sorted(peaks))
    assert_in_order(case, quantile)


def with_quantile(case: Case, quantile: float) -> list[Case]:
    """The case with its own quantile and with another one; the lower first."""
    both = sorted((case.trigger.quantile, quantile))
    return [case._replace(trigger=replace(case.trigger, quantile=one)) for one in both]


def assert_in_order(case: Case, quantile: float) -> None:
    """The answer for the higher quantile is not less, nor "inactive" alone, nor alone without a number."""
    low, high = (one.plan for one in with_quantile(case, quantile))
    assert low.active <= high.active
    for less, more in ((low.metric, high.metric), (low.planned, high.planned)):
        assert less is None or (more is not None and more >= less)


@many
@given(refreshed())
def test_the_planner_concludes_nothing_that_replicas_refuse(known: tuple[Trigger, Outlook, float]) -> None:
    """Whatever the clock, the source and the forecasts did: each conclusion is within its range, and shared exactly."""
    _, outlook, _ = known
    for name, value in outlook.remembered.items():
        least, most = REMEMBERED[name]
        assert least <= value <= most
    assert unpack(pack(replace(outlook, observation=None, forecast=None))).remembered == outlook.remembered

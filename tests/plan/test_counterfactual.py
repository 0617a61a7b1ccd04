"""What is followed beside the plan, against sums by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.counterfactual import (
    FRESH_SECONDS,
    MISSED_REFRESHES,
    WARM_UP_SECONDS,
    Counted,
    Followed,
    Pods,
    follow,
    moved,
)
from scaler.plan.hpa import Stamped
from scaler.plan.rule import News
from scaler.savings import Ran, Sums
from scaler.series import Observation
from scaler.trigger import Trigger

START = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, "", lead_time_seconds=90.0, key="shop/web/0f")
"""a replica carries 10, and takes 60 s to start"""


class Following:
    """One trigger over time, and all that was counted of it."""

    def __init__(self) -> None:
        self.now = START
        self.state: Followed | None = None
        self.counted: list[Counted] = []

    def refresh(self, demand: float | None, plan_replicas: int | None, after: float = 15.0, age: float = 0.0) -> None:
        self.now += after
        seen = None if demand is None else Observation(self.now - age, demand, demand, demand)
        self.state, told = follow(self.state, News(TRIGGER, self.now, seen, None, None, 15.0), plan_replicas)
        self.counted += told

    def for_long(self, seconds: float, demand: float | None, plan_replicas: int) -> None:
        for _ in range(round(seconds / 15)):
            self.refresh(demand, plan_replicas)

    def warm(self, demand: float = 50.0, plan_replicas: int = 5) -> None:
        """Long enough for all that follows to count, with nothing counted yet."""
        self.for_long(WARM_UP_SECONDS + 600, demand, plan_replicas)
        self.counted.clear()

    @property
    def sums(self) -> Sums:
        sums = Sums()
        for stretch, demand in self.counted:
            sums.add(stretch, demand, TRIGGER.threshold)
        return sums


def test_equal_answers_cost_and_serve_the_same() -> None:
    """Ten minutes at 50: five replicas each, all demand served."""
    one = Following()
    one.warm()
    one.for_long(600, 50.0, 5)
    assert one.sums.known_seconds == 600
    assert one.sums.demand == 600 * 50
    assert one.sums.plan == one.sums.reactive
    assert one.sums.plan.replica_seconds == 600 * 5
    assert (one.sums.plan.short_seconds, one.sums.plan.scale_events) == (0, 0)


def test_a_plan_that_was_ahead_is_counted_by_hand() -> None:
    """Demand steps from 50 to 100; ten replicas are needed, and take a minute to start.

    The plan orders them in time. The reactive HPA reads half of the step before the refresh that sees it (75: 8
    replicas), and then all of it. What a refresh sees began 45 s ago, so five replicas meet the step for 105 s, and
    eight for 15 s.
    """
    one = Following()
    one.warm()
    one.for_long(105, 50.0, 10)
    one.for_long(300, 100.0, 10)
    assert one.sums.plan.short_seconds == 0
    assert one.sums.reactive.short_seconds == 105 + 15
    assert one.sums.reactive.unserved == 50 * 105 + 20 * 15
    assert one.sums.reactive.scale_events == 2
    assert one.sums.plan.scale_events == 1


def test_pods_that_become_ready_within_a_stretch_count_for_what_is_left_of_it() -> None:
    pods = Pods(6, (Stamped(START + 5, 2),))
    assert pods.ran(START, 20.0) == Ran(6, 6 - 2 * 5 / 20, changed=False)
    assert pods.ran(START - 30, 20.0) == Ran(6, 4.0, changed=False)


def test_starting_pods_go_first() -> None:
    """As in Kubernetes: of four that start, the two youngest; then the others and a ready one."""
    begun = moved(moved(Pods(5), 7, START, 60.0), 9, START + 15, 60.0)
    assert begun.starting == (Stamped(START + 60, 2), Stamped(START + 75, 2))
    assert moved(begun, 7, START + 30, 60.0) == Pods(7, (Stamped(START + 60, 2),), changed=True)
    assert moved(begun, 6, START + 30, 60.0) == Pods(6, (Stamped(START + 60, 1),), changed=True)
    assert moved(begun, 4, START + 30, 60.0) == Pods(4, (), changed=True)
    assert moved(begun, 9, START + 80, 60.0) == Pods(9)


def test_without_a_start_up_pods_are_ready_at_once() -> None:
    assert moved(Pods(5), 9, START, 0.0) == Pods(9, (), changed=True)


def test_nothing_counts_until_both_hpas_remember_enough() -> None:
    """A replica that takes over knows how many replicas the plan has, and not what the reactive HPA would hold: five
    minutes, the window of a default HPA."""
    one = Following()
    one.for_long(300 + 45, 50.0, 9)
    assert one.counted == []
    one.for_long(15, 50.0, 9)
    assert [counted.stretch.begin for counted in one.counted] == [START + 15 + 300]


@pytest.mark.parametrize("age", [None, FRESH_SECONDS + 1])
def test_demand_that_is_not_known_counts_for_nobody(age: float | None) -> None:
    """Neither missing nor old; afterwards it goes on, and the HPA has held what it had."""
    one = Following()
    one.warm()
    for _ in range(20):
        one.refresh(None if age is None else 5000.0, 5, age=age or 0.0)
    assert one.counted == []
    one.for_long(300, 50.0, 5)
    assert one.sums.known_seconds == 300
    assert one.sums.reactive.replica_seconds == 300 * 5


def test_a_refresh_that_is_published_twice_counts_once() -> None:
    """At first with the observation, and some seconds later with the forecast."""
    one = Following()
    one.warm()
    for _ in range(40):
        one.refresh(50.0, 5, after=11.0)
        one.refresh(50.0, 5, after=4.0)
    assert 585 < one.sums.known_seconds <= 600


@pytest.mark.parametrize("step", [-7200.0, -60.0, 15.0 * MISSED_REFRESHES + 1, 86400.0])
def test_a_clock_that_jumps_counts_nothing_of_the_jump(step: float) -> None:
    """Also after a time in which the process was stopped. Both are followed anew."""
    one = Following()
    one.warm()
    one.for_long(600, 50.0, 5)
    known = one.sums.known_seconds
    one.refresh(50.0, 5, after=step)
    one.for_long(WARM_UP_SECONDS, 50.0, 5)
    assert one.sums.known_seconds == known
    one.for_long(600, 50.0, 5)
    assert known < one.sums.known_seconds <= known + 600
    assert all(counted.stretch.seconds == 15 for counted in one.counted)


def test_a_clock_that_is_set_back_a_little_counts_no_second_twice() -> None:
    one = Following()
    one.warm()
    one.refresh(50.0, 5, after=-5.0)
    one.for_long(600, 50.0, 5)
    assert one.sums.known_seconds <= 600


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(0, 1000)),
            st.one_of(st.none(), st.integers(1, 100)),
            st.sampled_from([15.0, 15.0, 15.0, 14.0, 1.0, 31.0, 59.0, 61.0, -3.0, -16.0, -4000.0, 4000.0]),
        ),
        max_size=120,
    )
)
def test_whatever_happens_spans_are_whole_and_apart(events: list[tuple[float | None, int | None, float]]) -> None:
    """Until the clock is set back, no stretch begins before the one before has ended; all are positive, and no more
    pods are ready than there are."""
    one = Following()
    one.warm()
    for demand, plan_replicas, after in events:
        one.refresh(demand, plan_replicas, after)
    for (before, _), (after_it, _) in pairwise(one.counted):
        has_gone_back = after_it.begin < before.begin
        assert has_gone_back or after_it.begin >= before.begin + before.seconds
    for stretch, _ in one.counted:
        assert 0 < stretch.seconds <= 15.0 * MISSED_REFRESHES
        assert all(0 <= ran.ready <= ran.replicas for ran in (stretch.plan, stretch.reactive))
    assert one.sums.known_seconds <= max(0.0, sum(after for *_, after in events if after > 0)) + 60

"""The HPA's arithmetic: Kubernetes's own test cases by name, then what holds for any input."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.hpa import (
    Behavior,
    Direction,
    Hpa,
    HpaState,
    PolicyType,
    RatePolicy,
    Select,
    Stamped,
    average_value,
    combine,
    limit_growth,
    limit_rate,
    milli,
    replicas_for,
    settle,
    stabilise,
    sync,
    value,
)

NOW = 10_000.0
WIDE = Hpa(min_replicas=1, max_replicas=2000)


def percent(amount: int, seconds: float) -> tuple[RatePolicy, ...]:
    return (RatePolicy(PolicyType.PERCENT, amount, seconds),)


def recommended(*minutes_and_replicas: tuple[float, int]) -> HpaState:
    return HpaState(recommendations=tuple(Stamped(NOW + 60 * at, replicas) for at, replicas in minutes_and_replicas))


TRIPLES = Behavior(up=Direction(0, percent(200, 120)))
HALVES = Behavior(down=Direction(300, percent(50, 120)))

KUBERNETES_CASES = [
    ("TestScaleUpPerPodCMExternal", average_value(8600, 2222, 3, WIDE), 4),
    ("TestScaleDownPerPodCMExternal", average_value(8600, 3000, 5, WIDE), 3),
    ("TestReplicaCalcTolerancePerPodCMExternal", average_value(8600, 2900, 3, WIDE), 3),
    ("TestReplicaCalcConfigurableTolerancePerPodCMExternal", average_value(8600, 2800, 3, Hpa(tolerance_up=0.01)), 4),
    ("TestReplicaCalcExternalPerPodMetric, no status replicas", average_value(20000, 5000, 0, WIDE), 4),
    ("TestScaleUpCMExternal", value(8600, 6666, 3, 3, WIDE), 4),
    ("TestReplicaCalcScaleUpCMExternalIgnoresUnreadyPods", value(8600, 4400, 3, 1, WIDE), 2),
    ("TestScaleDownCMExternal", value(8600, 14400, 5, 5, WIDE), 3),
    ("TestReplicaCalcToleranceCMExternal", value(8600, 8888, 3, 3, WIDE), 3),
    ("TestNormalizeDesiredReplicas stabilize", stabilise(WIDE, recommended((-2, 4), (-1, 5)), 3, NOW), 5),
    ("TestNormalizeDesiredReplicas no stabilize", stabilise(WIDE, recommended((-10, 10), (-9, 9)), 3, NOW), 3),
    ("TestConvertDesiredReplicasWithRules", limit_growth(WIDE, 3, 1000), 6),
    (
        "TestScalingWithRules scaleUp with default behavior",
        limit_rate(Hpa(max_replicas=1000), Behavior(), HpaState(), 10, 50, NOW),
        20,
    ),
    (
        "TestScalingWithRules scaleUp with percent policy and previous scale up events",
        limit_rate(WIDE, TRIPLES, HpaState(ups=(Stamped(NOW - 60, 15),)), 100, 500, NOW),
        255,
    ),
    (
        "TestScalingWithRules scaleDown with percent policy limitation and previous events",
        limit_rate(WIDE, HALVES, HpaState(downs=(Stamped(NOW - 60, 12),)), 100, 0, NOW),
        56,
    ),
    (
        "TestNormalizeDesiredReplicasWithBehavior simple scale up stabilization",
        settle(
            Behavior(up=Direction(300, percent(100, 15)), down=Direction(300, percent(100, 15))),
            recommended((-2, 4), (-1, 5)),
            1,
            7,
            NOW,
        ),
        4,
    ),
    ("TestNoScaleDownOneMetricEmpty", sync(WIDE, HpaState(()), 5, [3, None], NOW).replicas, 5),
    ("TestScaleUpOneMetricEmpty", sync(WIDE, HpaState(()), 3, [4, None], NOW).replicas, 4),
]


@pytest.mark.parametrize(("name", "replicas", "expected"), KUBERNETES_CASES, ids=[case[0] for case in KUBERNETES_CASES])
def test_reproduces_kubernetes(name: str, replicas: int, expected: int) -> None:
    """The arithmetic gives what the upstream test of that name expects."""
    assert replicas == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(42.5, 42500), (0, 0), (0.0004, 0), (0.0005, 1), (2.5, 2500), (math.inf, 0), (math.nan, 0), (1e300, 2**63 - 1)],
)
def test_milli_rounds_as_keda_does(amount: float, expected: int) -> None:
    """Three decimals, and infinity becomes 0."""
    assert milli(amount) == expected


def test_tolerance_includes_its_end() -> None:
    """A metric of exactly 1.1 × target × replicas changes nothing; a thousandth more does."""
    assert [average_value(m, 1000, 10, WIDE) for m in (9000, 11000, 11001)] == [10, 10, 12]


def test_first_sight_holds_for_one_window() -> None:
    """An HPA that has just been seen for the first time does not scale down for five minutes."""
    seen = replicas_for(10, 10, 5, NOW, WIDE)
    assert seen.replicas == 5
    assert replicas_for(10, 10, 5, NOW + 299, WIDE, seen.state).replicas == 5
    assert replicas_for(10, 10, 5, NOW + 301, WIDE, seen.state).replicas == 1


@pytest.mark.parametrize(("current", "expected"), [(0, 0), (1, 2), (30, 20)])
def test_acts_without_metrics(current: int, expected: int) -> None:
    """Nothing at zero replicas; outside min and max, straight to the nearer of them, even while metrics fail."""
    assert sync(Hpa(2, 20), HpaState(), current, [None], NOW).replicas == expected


def test_an_error_of_the_only_metric_freezes() -> None:
    """With no metric left, replicas stay, and nothing is remembered of the failed sync."""
    state = recommended((-1, 7))
    assert replicas_for(None, 10, 5, NOW, WIDE, state) == sync(WIDE, state, 5, [None], NOW)
    assert sync(WIDE, state, 5, [None], NOW).state == state
    assert combine(5, []) is None


def test_disabled_direction_does_not_move() -> None:
    """selectPolicy Disabled keeps replicas, whatever is desired."""
    frozen = Behavior(up=Direction(0, percent(100, 15), Select.DISABLED), down=Direction(0, (), Select.DISABLED))
    assert limit_rate(WIDE, frozen, HpaState(), 5, 50, NOW) == 5
    assert limit_rate(WIDE, frozen, HpaState(), 5, 1, NOW) == 5


def test_min_policy_takes_the_smallest_change() -> None:
    """selectPolicy Min picks the smaller step in both directions."""
    policies = (RatePolicy(PolicyType.PODS, 2, 60), RatePolicy(PolicyType.PERCENT, 50, 60))
    careful = Behavior(up=Direction(0, policies, Select.MIN), down=Direction(0, policies, Select.MIN))
    assert limit_rate(WIDE, careful, HpaState(), 10, 50, NOW) == 12
    assert limit_rate(WIDE, careful, HpaState(), 10, 1, NOW) == 8


def test_growth_from_two_to_fifty_takes_five_syncs() -> None:
    """Without behavior the HPA doubles per sync, 2, 4, 8, … 50, which is part of every lead time."""
    current, state, seen = 2, HpaState(), []
    for number in range(6):
        result = replicas_for(500, 10, current, NOW + 15 * number, WIDE, state)
        current, state = result.replicas, result.state
        seen.append(current)
    assert seen == [4, 8, 16, 32, 50, 50]


replica_counts = st.integers(0, 5000)
hpas = st.builds(
    lambda low, more, behavior: Hpa(low, low + more, behavior=behavior),
    st.integers(1, 100),
    st.integers(0, 2000),
    st.sampled_from([None, Behavior(), TRIPLES, HALVES]),
)
histories = st.lists(st.tuples(st.floats(-20, 0), replica_counts), max_size=6).map(lambda past: recommended(*past))


@given(hpas, histories, st.integers(1, 3000), st.lists(st.none() | replica_counts, max_size=4))
def test_stays_within_bounds(hpa: Hpa, state: HpaState, current: int, proposals: list[int | None]) -> None:
    """A sync never leaves the replicas outside min and max."""
    assert hpa.min_replicas <= sync(hpa, state, current, proposals, NOW).replicas <= hpa.max_replicas


@given(histories, replica_counts, replica_counts)
def test_stabilisation_is_monotone(state: HpaState, one: int, other: int) -> None:
    """A larger proposal never gives fewer replicas, and stabilising never gives fewer than proposed."""
    low, high = sorted((one, other))
    assert low <= stabilise(WIDE, state, low, NOW) <= stabilise(WIDE, state, high, NOW)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=40), st.integers(1, 50))
def test_rate_limits_hold_over_any_minute(metrics: list[float], start: int) -> None:
    """With +4 pods a minute, no minute sees more than four pods added, whatever the metric does."""
    behavior = Behavior(up=Direction(0, (RatePolicy(PolicyType.PODS, 4, 60),)))
    hpa, current, state, added = Hpa(1, 2000, behavior=behavior), start, HpaState(), []
    for number, metric in enumerate(metrics):
        result = replicas_for(metric, 10, current, NOW + 15 * number, hpa, state)
        added.append(max(0, result.replicas - current))
        removed = max(0, current - result.replicas)
        current, state = result.replicas, result.state
        if removed:
            return  # what was removed within the period may be added again on top
        assert sum(added[-4:]) <= 4


@given(st.floats(0, 1e12), st.floats(0.001, 1e6), st.integers(1, 1000))
def test_is_pure(metric: float, threshold: float, current: int) -> None:
    """The same sync twice gives the same result."""
    assert replicas_for(metric, threshold, current, NOW) == replicas_for(metric, threshold, current, NOW)

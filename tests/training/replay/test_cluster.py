"""Pods that take time to start, and what becomes of demand that they cannot carry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.replay.cluster import Cluster, Served
from training.replay.start_up import Bimodal, Constant, Lognormal, StartUp

STRETCH = 15.0


class Scripted:
    """Pods that take as long as they are told, one after the other."""

    usual = 0.0

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)

    def draw(self, random: np.random.Generator) -> float:
        return next(self._seconds)


def cluster(ready: int = 0, start_up: StartUp | None = None, patience: float = 20.0, capacity: float = 10.0) -> Cluster:
    return Cluster(capacity, start_up or Constant(30.0), patience, np.random.default_rng(1), ready)


def test_demand_within_the_capacity_is_served() -> None:
    """Nothing waits and nothing goes away."""
    assert cluster(3).serve(30.0, 0.0, STRETCH) == Served(30.0, 0.0, 0.0, 0.0)


def test_what_waits_is_served_later() -> None:
    """450 come where 150 can be served; 200 may wait for 20 s, and are served in what follows."""
    one = cluster(1)
    assert one.serve(30.0, 0.0, STRETCH) == Served(capacity=10.0, unserved=300.0, lost=100.0, delay_seconds=20.0)
    assert one.queue == 200
    assert one.serve(0.0, 15.0, STRETCH) == Served(10.0, 0.0, 0.0, 5.0)
    assert one.serve(8.0, 30.0, STRETCH) == Served(10.0, 0.0, 0.0, 2.0)
    assert one.serve(0.0, 45.0, STRETCH) == Served(10.0, 0.0, 0.0, 0.0)


def test_a_queue_waits_as_fast_as_there_are_pods() -> None:
    """When pods are given back, those who would wait too long now go away."""
    one = cluster(4)
    one.serve(60.0, 0.0, STRETCH)
    assert one.queue == 300
    one.scale(1, 15.0)
    assert one.serve(10.0, 15.0, STRETCH) == Served(10.0, 0.0, 100.0, 20.0)


def test_without_pods_all_demand_is_lost() -> None:
    """And who came is told to have waited as long as anybody would."""
    assert cluster(0).serve(10.0, 0.0, STRETCH) == Served(0.0, 150.0, 150.0, 20.0)
    assert cluster(0).serve(0.0, 0.0, STRETCH) == Served(0.0, 0.0, 0.0, 0.0)


def test_unknown_demand_is_not_counted() -> None:
    """Nobody knows what came, nor what waited meanwhile; pods start all the same."""
    one = cluster(1)
    one.serve(30.0, 0.0, STRETCH)
    one.scale(2, 15.0)
    assert one.serve(float("nan"), 15.0, STRETCH) == Served(10.0, 0.0, 0.0, 0.0)
    assert one.queue == 0
    one.serve(float("nan"), 30.0, STRETCH)
    assert one.serve(20.0, 45.0, STRETCH) == Served(20.0, 0.0, 0.0, 0.0)


def test_pods_carry_from_the_moment_they_are_ready() -> None:
    """Two pods ordered at 0 that take 20 s carry for ten of the fifteen seconds from 15 on."""
    one = cluster(0, Constant(20.0))
    one.scale(2, 0.0)
    capacities = [one.serve(0.0, now, STRETCH).capacity for now in (0.0, 15.0, 30.0)]
    assert capacities == pytest.approx([0.0, 2 * 10 * 10 / 15, 20.0])
    assert (one.ready, one.replicas) == (2, 2)


def test_pods_that_would_start_last_go_first() -> None:
    """Then the others that are still starting, and only then those that serve."""
    one = cluster(3, Scripted(100.0, 20.0, 60.0))
    one.scale(6, 0.0)
    one.scale(5, 0.0)
    assert sorted(one._starting) == [20.0, 60.0]
    one.scale(4, 0.0)
    assert one._starting == [20.0]
    one.scale(2, 0.0)
    assert (one.ready, one.replicas) == (2, 2)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 500)), min_size=1, max_size=40),
    st.sampled_from([Constant(30.0), Lognormal(60.0, 0.8), Bimodal(5.0, 200.0, 0.3)]),
    st.sampled_from([0.0, 5.0, 60.0]),
)
def test_what_came_is_served_waits_or_is_lost(
    orders: list[tuple[int, float]], start_up: StartUp, patience: float
) -> None:
    """Nothing appears and nothing vanishes; pods serve all they can; nobody waits longer than the patience."""
    one = cluster(2, start_up, patience)
    for tick, (replicas, demand) in enumerate(orders):
        now, ready = STRETCH * tick, one.ready
        one.scale(replicas, now)
        assert one.replicas == replicas
        assert one.ready == min(ready, replicas)
        waited = one.queue
        told = one.serve(demand, now, STRETCH)
        came, able = demand * STRETCH, told.capacity * STRETCH
        served = waited + came - one.queue - told.lost
        assert served == pytest.approx(min(able, waited + came), abs=1e-6)
        assert told.unserved == pytest.approx(max(0.0, came - able), abs=1e-6)
        assert told.lost >= 0
        assert one.queue >= 0
        assert told.delay_seconds <= patience + 1e-9
        assert ready * one.capacity * (replicas >= ready) <= told.capacity + 1e-9 <= replicas * one.capacity + 1e-6


@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.floats(0, 200), min_size=3, max_size=3)), min_size=1, max_size=12)
)
def test_capacity_is_the_time_that_each_pod_serves(orders: list[tuple[int, list[float]]]) -> None:
    """Over all stretches the capacity is that of each pod from its own readiness to the end."""
    one = cluster(0, Scripted(*(s for count, seconds in orders for s in seconds[:count])))
    ready_at, carried = [], 0.0
    for tick, (count, seconds) in enumerate(orders):
        now = STRETCH * tick
        one.scale(one.replicas + count, now)
        ready_at += [now + s for s in seconds[:count]]
        carried += one.serve(0.0, now, STRETCH).capacity * STRETCH
    end = STRETCH * len(orders)
    assert carried == pytest.approx(sum(10 * max(0.0, end - at) for at in ready_at))

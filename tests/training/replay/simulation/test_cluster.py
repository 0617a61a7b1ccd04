"""Pods that take time to start, and what becomes of demand that they cannot carry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.replay.simulation.cluster import Cluster, Flow, flow
from training.replay.simulation.start_up import Bimodal, Constant, Lognormal, StartUp

STRETCH = 15.0


class Scripted:
    """Pods that take as long as they are told, one after the other."""

    usual = 0.0

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)

    def draw(self, random: np.random.Generator) -> float:
        return next(self._seconds)


def cluster(ready: int = 0, start_up: StartUp | None = None) -> Cluster:
    return Cluster(start_up or Constant(30.0), np.random.default_rng(1), ready)


def met(*ticks: tuple[float, int], patience: float = 20.0) -> Flow:
    """(demand, pods) of each stretch; a pod carries 10."""
    came, pods = np.array(ticks).T
    return flow(came * STRETCH, 10 * pods * STRETCH, 10 * pods, patience)


def told(became: Flow) -> list[tuple[float, float, float]]:
    """(unserved, lost, delay) of each stretch."""
    return list(zip(became.unserved_K.tolist(), became.lost_K.tolist(), became.delay_K.tolist(), strict=True))


def test_demand_within_the_capacity_is_served() -> None:
    """Nothing waits and nothing goes away."""
    assert told(met((30.0, 3))) == [(0.0, 0.0, 0.0)]


def test_what_waits_is_served_later() -> None:
    """450 come where 150 can be served; 200 may wait for 20 s, and are served in what follows."""
    became = met((30.0, 1), (0.0, 1), (8.0, 1), (0.0, 1))
    assert told(became) == [(300.0, 100.0, 20.0), (0.0, 0.0, 5.0), (0.0, 0.0, 2.0), (0.0, 0.0, 0.0)]
    assert became.queue_K.tolist() == [200.0, 50.0, 20.0, 0.0]


def test_a_queue_waits_as_fast_as_there_are_pods() -> None:
    """When pods are given back, those who would wait too long now go away."""
    became = met((60.0, 4), (10.0, 1))
    assert became.queue_K.tolist() == [300.0, 200.0]
    assert told(became)[1] == (0.0, 100.0, 20.0)


def test_without_pods_all_demand_is_lost() -> None:
    """And who came is told to have waited as long as anybody would."""
    assert told(met((10.0, 0), (0.0, 0))) == [(150.0, 150.0, 20.0), (0.0, 0.0, 0.0)]


def test_unknown_demand_is_not_counted() -> None:
    """Nobody knows what came, nor what waited meanwhile."""
    became = met((30.0, 1), (np.nan, 1), (20.0, 2))
    assert told(became)[1:] == [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    assert became.queue_K.tolist() == [200.0, 0.0, 0.0]


def test_each_overload_has_its_own_queue() -> None:
    """One that grows while there is a queue adds to it, one that comes later begins with none."""
    became = met((20.0, 1), (15.0, 1), (0.0, 2), (0.0, 2), (30.0, 2), patience=60.0)
    assert became.queue_K.tolist() == [150.0, 225.0, 0.0, 0.0, 150.0]
    assert became.unserved_K.tolist() == [150.0, 75.0, 0.0, 0.0, 150.0]


def test_pods_carry_from_the_moment_they_are_ready() -> None:
    """Two pods ordered at 0 that take 20 s carry for ten of the fifteen seconds from 15 on."""
    one = cluster(0, Constant(20.0))
    one.scale(2, 0.0)
    assert [one.run(now, STRETCH) for now in (0.0, 15.0, 30.0)] == pytest.approx([0.0, 2 * 10, 2 * 15])
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
    one, able, speed = cluster(2, start_up), [], []
    for tick, (replicas, _) in enumerate(orders):
        now, ready = STRETCH * tick, one.ready
        one.scale(replicas, now)
        assert one.replicas == replicas
        assert one.ready == min(ready, replicas)
        able.append(10 * one.run(now, STRETCH))
        assert 10 * min(ready, replicas) * STRETCH <= able[-1] + 1e-9 <= 10 * replicas * STRETCH + 1e-6
        speed.append(10.0 * one.ready)
    came, able_K = STRETCH * np.array([demand for _, demand in orders]), np.array(able)
    became = flow(came, able_K, np.array(speed), patience)
    waited = np.concatenate([[0.0], became.queue_K[:-1]])
    served = waited + came - became.queue_K - became.lost_K
    assert served == pytest.approx(np.minimum(able_K, waited + came), abs=1e-6)
    assert became.unserved_K == pytest.approx(np.maximum(0.0, came - able_K), abs=1e-6)
    assert became.lost_K.min() >= 0
    assert became.queue_K.min() >= 0
    assert became.delay_K.max() <= patience + 1e-9


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
        carried += one.run(now, STRETCH)
    end = STRETCH * len(orders)
    assert carried == pytest.approx(sum(max(0.0, end - at) for at in ready_at))

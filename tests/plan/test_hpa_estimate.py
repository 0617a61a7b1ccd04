"""Following the HPA from our own answers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.hpa import SYNC_SECONDS, Hpa, HpaState, replicas_for
from scaler.plan.hpa_estimate import HPA_ESTIMATES, UNLIMITED, WINDOW_SYNCS, HpaEstimate, estimate_replicas, holding

NOW = 1_700_000_000.0
answers = st.lists(st.none() | st.floats(0, 5000), min_size=1, max_size=60)


def hpa_estimate(given_answers: list[float | None], before: HpaEstimate | None = None) -> HpaEstimate | None:
    for number, metric in enumerate(given_answers):
        before = estimate_replicas(before, metric, 10.0, NOW + SYNC_SECONDS * number)
    return before


def test_nothing_is_known_before_the_first_answer() -> None:
    """An error gives no estimate; the first number gives the replicas that it asks for, at least one."""
    assert estimate_replicas(None, None, 10.0, NOW) is None
    assert estimate_replicas(None, 101.0, 10.0, NOW) == HpaEstimate(NOW, 11)
    assert estimate_replicas(None, 0.0, 10.0, NOW) == HpaEstimate(NOW, 1)


@given(answers, st.integers(1, 300))
def test_it_is_the_hpa(metrics: list[float | None], first: int) -> None:
    """From the same beginning, replica for replica."""
    replicas, state = first, HpaState()
    for number, metric in enumerate(metrics):
        result = replicas_for(metric, 10.0, replicas, NOW + SYNC_SECONDS * (number + 1), UNLIMITED, state)
        replicas, state = result.replicas, result.state
    begin = HpaEstimate(NOW, first)
    for number, metric in enumerate(metrics):
        begin = estimate_replicas(begin, metric, 10.0, NOW + SYNC_SECONDS * (number + 1)) or begin
    assert begin.replicas == replicas


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_wrong_guess_is_corrected_by_the_next_answer_beyond_the_tolerance(one: int, other: int) -> None:
    """Ten minutes after an answer that is far above both, both are where it puts them."""
    metric = 10.0 * 1.2 * max(one, other)
    ends = {
        estimate_replicas(HpaEstimate(NOW, guess), metric, 10.0, NOW + 600).replicas  # type: ignore[union-attr]
        for guess in (one, other)
    }
    assert ends == {math.ceil(metric / 10 - 1e-9)}


@pytest.mark.parametrize(("seconds", "replicas"), [(15, 4), (30, 8), (45, 16), (600, 100)])
def test_syncs_that_were_missed_are_made_up_for(seconds: float, replicas: int) -> None:
    """Without `behavior` the HPA doubles at every sync, or takes four."""
    found = estimate_replicas(HpaEstimate(NOW, 1), 1000.0, 10.0, NOW + seconds)
    assert found is not None
    assert found.replicas == replicas


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    before = HpaEstimate(NOW, 7)
    assert estimate_replicas(before, 500.0, 10.0, NOW - 60) is before


def test_it_knows_no_limits_of_the_object() -> None:
    """A scaler does not know them; beyond them the HPA stops by itself."""
    assert UNLIMITED.max_replicas > Hpa().max_replicas
    found = estimate_replicas(HpaEstimate(NOW, 4000), 100_000.0, 10.0, NOW + 600)
    assert found is not None
    assert found.replicas == 10_000


@pytest.mark.parametrize("late", [0.0, 2.0, -2.0])
@pytest.mark.parametrize("syncs", WINDOW_SYNCS.values())
def test_a_window_holds_its_number_of_syncs(syncs: int, late: float) -> None:
    """After a peak at one sync its replicas stay for that many syncs, even where refreshes are off by seconds."""
    found = HpaEstimate(NOW, 30)
    kept = 0
    for number in range(40):
        at = NOW + SYNC_SECONDS * number + (late if number % 2 else 0.0)
        after = estimate_replicas(found, 300.0 if number == 0 else 100.0, 10.0, at, holding(syncs))
        assert after is not None
        found, kept = after, kept + (after.replicas == 30)
    assert kept == syncs
    assert found.replicas == 10


@pytest.mark.parametrize("sync_seconds", [15.0, 15.3])
def test_the_real_hpa_is_one_of_those_that_are_followed(sync_seconds: float) -> None:
    """A window of 300 s at its own syncs: at each moment one of the estimates has its number of replicas."""
    state, replicas = HpaState(), 10
    followed = [HpaEstimate(NOW, replicas) for _ in HPA_ESTIMATES]
    for number in range(1, 200):
        metric = 300.0 if number % 50 == 0 else 100.0
        result = replicas_for(metric, 10.0, replicas, NOW + sync_seconds * number, Hpa(max_replicas=1000), state)
        replicas, state = result.replicas, result.state
        followed = [
            estimate_replicas(one, metric, 10.0, NOW + SYNC_SECONDS * number, holding(syncs)) or one
            for one, syncs in zip(followed, WINDOW_SYNCS.values(), strict=True)
        ]
        assert replicas in [one.replicas for one in followed]

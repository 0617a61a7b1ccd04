"""Whose failures stop whose requests."""

import time

import pytest

from scaler.errors import DependencyError, SourceRefused, SourceUnavailable
from scaler.history.answers import NoConnection, TooSlow, TryAgain
from scaler.history.circuits import Circuits, Kind

INSTANT, RANGE = Kind.INSTANT, Kind.RANGE


def fail(circuits: Circuits, error: DependencyError, kind: Kind = INSTANT, namespace: str = "shop") -> None:
    with pytest.raises(type(error)), circuits.noted(kind, namespace):
        raise error


def answer(circuits: Circuits, kind: Kind = INSTANT, namespace: str = "shop") -> None:
    with circuits.noted(kind, namespace):
        pass


def slow() -> TooSlow:
    error = TooSlow("no answer")
    error.started = time.monotonic()
    return error


def stopped(circuits: Circuits) -> set[tuple[Kind, str]]:
    both = [(kind, namespace) for kind in Kind for namespace in ("shop", "bystander")]
    return {one for one in both if circuits.open_because(*one)}


@pytest.mark.parametrize("error", [slow(), TryAgain("HTTP 503"), SourceUnavailable("no JSON")])
def test_failures_of_a_namespace_stop_that_namespace_alone(error: DependencyError) -> None:
    """Its queries, or its quota at the server, may be the reason."""
    circuits = Circuits(2, 60)
    for _ in range(2):
        assert not stopped(circuits)
        fail(circuits, error)
    assert stopped(circuits) == {(INSTANT, "shop")}
    assert circuits.open_because(INSTANT, "shop") == str(error)


def test_where_nothing_listens_nobody_asks() -> None:
    """Whoever finds out; history is another kind."""
    circuits = Circuits(2, 60)
    fail(circuits, NoConnection("connection refused"), namespace="shop")
    fail(circuits, NoConnection("connection refused"), namespace="search")
    assert stopped(circuits) == {(INSTANT, "shop"), (INSTANT, "bystander")}
    assert circuits.is_down()


def test_failures_of_history_stop_no_observation() -> None:
    """And the other way round."""
    circuits = Circuits(2, 60)
    for error in (slow(), NoConnection("connection refused"), NoConnection("connection refused")):
        fail(circuits, error, RANGE)
    assert stopped(circuits) == {(RANGE, "shop"), (RANGE, "bystander")}
    assert not circuits.is_down()


def test_what_speaks_against_nobody() -> None:
    """A refusal, and a query that is slow while others of its namespace are answered."""
    circuits = Circuits(1, 60)
    fail(circuits, SourceRefused("parse error"))
    error = slow()
    answer(circuits)
    fail(circuits, error)
    assert not stopped(circuits)


def test_an_answer_to_another_namespace_excuses_nobody() -> None:
    """But the server is not down."""
    circuits = Circuits(1, 60)
    error = slow()
    answer(circuits, namespace="bystander")
    fail(circuits, error)
    assert stopped(circuits) == {(INSTANT, "shop")}
    assert not circuits.is_down()


def test_an_answer_closes() -> None:
    """After its pause a circuit lets requests through; failures that came before do not count on."""
    circuits = Circuits(2, 0.001)
    for _ in range(2):
        fail(circuits, slow())
    time.sleep(0.01)
    assert not stopped(circuits)
    answer(circuits)
    fail(circuits, slow())
    assert not stopped(circuits)


def test_requests_at_the_same_time_count_each() -> None:
    circuits = Circuits(3, 60)
    under_way = [circuits.noted(INSTANT, "shop") for _ in range(3)]
    for one in under_way:
        one.__enter__()
    for one in under_way:
        error = slow()
        one.__exit__(TooSlow, error, None)
    assert stopped(circuits) == {(INSTANT, "shop")}


def test_nothing_is_kept_of_who_never_failed() -> None:
    circuits = Circuits(2, 60)
    for number in range(100):
        answer(circuits, namespace=f"team-{number}")
    assert not circuits._circuits

"""Events of a time line, and the replicas that follow from a line of demand."""

import numpy as np
import pytest

from scaler.models import Kind, ModelDecision
from scaler.plan.counterfactual import HPA
from scaler.plan.hpa import replicas_for
from scaler.status.events import MOST_EVENTS, changes_in, decision_words
from scaler.status.replica_lines import followed_replicas
from tests.page.kept import past_plan


async def no_turn() -> None:
    return None


def test_changes_of_rung_and_model_are_events() -> None:
    """A plan without a model, as of an error, does not make the next one a change of model."""
    plans = [
        past_plan(5, model="a@1"),
        past_plan(4, model="a@1", rung="observation_alone"),
        past_plan(3, model="b@1", rung="observation_alone"),
        past_plan(2, model=""),
        past_plan(1, model="c@1"),
    ]
    found = [(one["kind"], one["text"]) for one in changes_in(plans)]
    assert found == [
        ("rung", "answers rest on the observation alone: there is no usable forecast"),
        ("model", "b@1 serves in place of a@1"),
        ("rung", "answers rest on forecast and observation"),
    ]


def test_only_the_newest_events_are_kept() -> None:
    plans = [past_plan(500 - n, model=f"m@{n}") for n in range(MOST_EVENTS + 5)]
    found = changes_in(plans)
    assert len(found) == MOST_EVENTS
    assert found[-1]["text"].startswith(f"m@{MOST_EVENTS + 4} ")


@pytest.mark.parametrize(
    ("kind", "model", "scope", "words"),
    [
        (Kind.PROMOTED, "general@2", "", "general@2 was promoted for all triggers: better"),
        (Kind.ROLLED_BACK, "general@2", "", "rolled back to general@2 for all triggers: better"),
        (Kind.PUBLISHED, "general@2", "", "published general@2: better"),
        (Kind.REFUSED, "general@2", "", "refused general@2: better"),
        (Kind.RETIRED, "general@2", "", "retired general@2: better"),
        (Kind.RETRAINING_ASKED, "", "shop", "retraining asked for (shop): better"),
        (Kind.RETRAINING_FAILED, "", "", "retraining failed: better"),
    ],
)
def test_a_decision_in_words(kind: Kind, model: str, scope: str, words: str) -> None:
    assert decision_words(ModelDecision(0.0, kind, model, "gate", "better", scope)) == words


async def test_replicas_follow_the_arithmetic_of_the_hpa() -> None:
    """Four syncs a minute; demand that falls keeps its replicas for five minutes; unknown demand changes nothing."""
    rng = np.random.default_rng(1)
    demand: list[float | None] = [float(value) for value in rng.uniform(5, 200, 120)]
    demand[40] = None
    times = [60.0 * n for n in range(120)]
    found = await followed_replicas(np.array(times), np.array(demand, np.float64), 10.0, no_turn)
    current, state = -(-int(demand[0] or 0) // 10), None
    expected: list[int | None] = []
    for at, value in zip(times, demand, strict=True):
        for sync in (45, 30, 15, 0) if at else ():
            result = replicas_for(value, 10.0, current, at - sync, HPA, state)
            current, state = result.replicas, result.state
        expected.append(None if value is None else current)
    assert found[1:] == expected[1:]
    assert found[40] is None
    assert len(set(found)) > 5

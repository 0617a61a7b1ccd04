"""What is worth a mark on a time line: another model serves, answers rest on something else, a champion was made."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from scaler.models import Kind, ModelDecision, ModelIndex, scope_name, scopes_of
from scaler.models.card import VERBS
from scaler.past_plans import PastPlan
from scaler.status.records import Record

MOST_EVENTS = 100
DECISIONS = 20
"""of each scope"""
CHANGE_OF_CHAMPION: Final = (Kind.PROMOTED, Kind.ASSIGNED, Kind.ROLLED_BACK)
RESTS_ON: Final[Mapping[str, str]] = {
    "forecast_and_observation": "answers rest on forecast and observation",
    "forecast_alone": "answers rest on the forecast alone: nothing is observed",
    "observation_alone": "answers rest on the observation alone: there is no usable forecast",
    "nothing": "KEDA gets an error",
}


def changes_in(plans: Sequence[PastPlan]) -> list[Record]:
    """Where model or rung of one trigger's plans differ from those of the plan before; the newest MOST_EVENTS, the
    oldest first. plans: the oldest first."""
    return [event for before, plan in pairwise(plans) for event in _changes(before, plan)][-MOST_EVENTS:]


def _changes(before: PastPlan, plan: PastPlan) -> Iterator[Record]:
    if plan.rung != before.rung:
        yield {"at": plan.at, "kind": "rung", "text": RESTS_ON.get(plan.rung, plan.rung)}
    if plan.model and before.model and plan.model != before.model:
        yield {"at": plan.at, "kind": "model", "text": f"{plan.model} serves in place of {before.model}"}


async def decisions_about(models: ModelIndex, namespace: str, name: str) -> list[ModelDecision]:
    """Which champions were made for one ScaledObject, its namespace and all triggers, the newest first. Raises
    StoreUnavailable."""
    every = [one for scope in scopes_of(namespace, name) for one in await models.decisions(DECISIONS, scope=scope)]
    return sorted((one for one in every if one.kind in CHANGE_OF_CHAMPION), key=lambda one: one.at, reverse=True)


def promotions(decisions: Sequence[ModelDecision]) -> list[Record]:
    """Changes of champions as events, the oldest first."""
    return [{"at": one.at, "kind": "champion", "text": decision_words(one)} for one in reversed(decisions)]


def decision_words(one: ModelDecision) -> str:
    """`general@2 was promoted for shop: 12 % better`"""
    model, scope = one.model or "no champion", scope_name(one.scope)
    if one.kind is Kind.ROLLED_BACK:
        done = f"rolled back to {model}"
    elif one.kind in CHANGE_OF_CHAMPION:
        done = f"{model} was {one.kind.value}"
    else:
        done = " ".join(filter(None, (VERBS[one.kind], one.model)))
    whose = f" for {scope}" if one.kind in CHANGE_OF_CHAMPION else f" ({scope})" if one.scope else ""
    return f"{done}{whose}{': ' + one.reason if one.reason else ''}"

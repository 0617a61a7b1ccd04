"""What a user would notice in the life of a model, from what serves and is answered at each moment. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from scaler.plan import Plan, Rung


class Seen(NamedTuple):
    """What KEDA is answered at a moment. champion: of the trigger; empty where it has none."""

    champion: str
    plan: Plan
    has_stepped_down: bool
    observed_at: float | None = None
    """when the newest demand was observed"""


@dataclass(frozen=True, slots=True)
class Life:
    """When each of it happened, in seconds since the epoch; None where it has not."""

    serves_from: float | None = None
    stepped_down_at: float | None = None
    rolled_back_at: float | None = None
    returned_at: float | None = None

    @property
    def went_well(self) -> bool:
        """Whether the model served, its forecast stepped down, and it was rolled back."""
        return None not in (self.serves_from, self.stepped_down_at, self.rolled_back_at)

    @property
    def complete_at(self) -> float | None:
        """When the last of it happened; None where some of it has not."""
        return self.returned_at if self.went_well else None


def lived(life: Life, seen: Seen, model: str, at: float) -> Life:
    """`life` with what is seen of `model` at a moment."""
    serves, stepped_down = seen.champion == model, seen.has_stepped_down
    if life.serves_from is None:
        return replace(life, serves_from=at) if serves else life
    if life.stepped_down_at is None and stepped_down:
        life = replace(life, stepped_down_at=at)
    if life.rolled_back_at is None and not serves:
        life = replace(life, rolled_back_at=at)
    if life.stepped_down_at is not None and life.returned_at is None and not stepped_down:
        life = replace(life, returned_at=at)
    return life


def headline(before: Life, life: Life, model: str) -> str:
    """What has just happened, in words; empty where nothing has."""
    return "; ".join(
        text
        for name, text in (
            ("serves_from", f"{model} serves"),
            ("stepped_down_at", "STEPPED DOWN: plans do without the forecast, as KEDA's prometheus trigger would"),
            ("rolled_back_at", f"ROLLED BACK: {model} serves no longer"),
            ("returned_at", "RETURNED: the forecast is the better one again"),
        )
        if getattr(before, name) is None and getattr(life, name) is not None
    )


def answered(plan: Plan) -> str:
    """What KEDA is answered, and which forecast on which rung says so."""
    by = f"forecast of {plan.model}" if plan.model else "no forecast"
    observed = "unknown" if plan.observed is None else f"{plan.observed:,.0f}"
    metric = "an error" if plan.metric is None else f"{plan.metric:,.0f}"
    return f"{by}, rung {plan.rung}; demand is {observed}, KEDA gets {metric}"


def why_not(plan: Plan) -> str:
    """Why the plan is not on the highest rung; empty where it is."""
    return "" if plan.rung is Rung.BOTH else "; ".join(str(one) for one in plan.reasons if one.rule == "fallback")


def clock_time(at: float) -> str:
    """Day and time of a moment, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}"

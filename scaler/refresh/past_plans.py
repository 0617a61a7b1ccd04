"""Which plans are worth keeping: noted when they are published, kept until the store has them. No I/O."""

import itertools
import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from scaler.past_plans import MINUTE_SECONDS, RENEWED_SECONDS, PastPlan
from scaler.plan import Plan
from scaler.plan.coverage import quantile_read
from scaler.series import Outlook
from scaler.telemetry.redaction import excerpt, redacted
from scaler.trigger import Trigger

MOST_WAITING = 10_000
"""plans that wait for the store: 20 MB at most"""
MOST_REPLICAS = 2**31 - 1
"""that are written: the largest integer of the column"""
LONGEST_ERROR = 300


class Matter(NamedTuple):
    """What of a plan matters: where none of it changes, the plan is the same to a person."""

    rung: str
    replicas: int | None
    planned_replicas: int | None
    model: str
    rules: frozenset[str]
    """those that gave a reason"""


class _Noted(NamedTuple):
    at: float
    matter: Matter


class PlanNotes:
    """The plans that this process has published, of every trigger that it refreshes."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._waiting: deque[PastPlan] = deque()
        self._noted: dict[str, _Noted] = {}
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """Plans that wait for the store."""
        return len(self._waiting)

    def note(self, trigger: Trigger, plan: Plan, outlook: Outlook) -> None:
        """Keep the plan where it differs from the one before, once a minute at most. A change that is undone within
        the minute is not kept."""
        matter, before = matter_of(plan, trigger.threshold), self._noted.get(trigger.key)
        if before is not None:
            is_same = before.matter == matter and abs(plan.at - before.at) < RENEWED_SECONDS
            if is_same or plan.at // MINUTE_SECONDS == before.at // MINUTE_SECONDS:
                return
        self._noted[trigger.key] = _Noted(plan.at, matter)
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(past_plan(trigger, plan, outlook, matter.replicas))

    def remove(self, key: str) -> None:
        """Forget what was noted of a trigger; what waits for the store stays."""
        self._noted.pop(key, None)

    def clear(self) -> None:
        """Forget what was noted of all triggers."""
        self._noted.clear()

    def first(self, count: int) -> Sequence[PastPlan]:
        """The plans that have waited longest."""
        return list(itertools.islice(self._waiting, count))

    def stored(self, plans: Sequence[PastPlan]) -> None:
        """The store has these; of those that `first` gave, some may have been dropped since."""
        done = {id(one) for one in plans}
        while self._waiting and id(self._waiting[0]) in done:
            self._waiting.popleft()

    def take_dropped(self) -> int:
        """How many plans the store could not take in time, since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


def matter_of(plan: Plan, threshold: float) -> Matter:
    """What of a plan matters."""
    rules = frozenset(reason.rule for reason in plan.reasons)
    return Matter(
        plan.rung.value, _replicas(plan.metric, threshold), _replicas(plan.planned, threshold), plan.model, rules
    )


def past_plan(trigger: Trigger, plan: Plan, outlook: Outlook, replicas: int | None) -> PastPlan:
    """The plan as it is kept."""
    return PastPlan(
        namespace=trigger.namespace,
        name=trigger.name,
        trigger=trigger.short_key,
        at=plan.at,
        rung=plan.rung.value,
        metric=_number(plan.metric),
        planned=_number(plan.planned),
        need=_number(plan.need),
        quantile=quantile_read(trigger, plan, outlook.remembered),
        observed=_number(plan.observed),
        active=plan.active,
        replicas=replicas,
        model=plan.model,
        error=excerpt(redacted(outlook.error), LONGEST_ERROR),
        reasons=tuple(
            {"rule": r.rule, "text": r.text, "before": _number(r.before), "after": _number(r.after)}
            for r in plan.reasons
        ),
    )


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _replicas(metric: float | None, threshold: float) -> int | None:
    return None if metric is None or not math.isfinite(metric) else min(math.ceil(metric / threshold), MOST_REPLICAS)

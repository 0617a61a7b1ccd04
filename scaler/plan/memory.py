"""What the planner remembers of one trigger, as one frozen value. Pure.

The replica that refreshes a trigger keeps its `Memory` and observes all news; an outlook carries the conclusions, so
all replicas plan alike. The rules define what is remembered: see `Rule.remembers` in rules.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scaler.plan.hpa_estimate import HPA_ESTIMATES, HpaEstimate
from scaler.plan.rule import News, Remembered
from scaler.plan.rules import RULES

NOTHING_KNOWN: Mapping[str, Any] = {}
REMEMBERED: tuple[Remembered[Any], ...] = tuple(kind for rule in RULES for kind in rule.remembers)
_FIRST_ESTIMATE = REMEMBERED.index(HPA_ESTIMATES[0])


@dataclass(frozen=True, slots=True)
class Memory:
    """One state for each of `REMEMBERED`, in that order."""

    states: tuple[Any, ...] = field(default_factory=lambda: tuple(kind.start for kind in REMEMBERED))

    @property
    def conclusions(self) -> dict[str, float]:
        """What the rules read, by name: `Outlook.remembered`."""
        found = {}
        for kind, state in zip(REMEMBERED, self.states, strict=True):
            value = kind.conclude(state)
            if value is not None:
                found[kind.name] = value
        return found

    @property
    def replicas(self) -> int | None:
        """What the HPA of the plan has by now, by the first of the estimates; None while nothing is known."""
        estimate: HpaEstimate | None = self.states[_FIRST_ESTIMATE]
        return None if estimate is None else estimate.replicas


def lasting(memory: Memory) -> dict[str, float]:
    """Of the conclusions, those that count for days, by name."""
    lasts = {kind.name for kind in REMEMBERED if kind.lasts}
    return {name: value for name, value in memory.conclusions.items() if name in lasts}


def with_lasting(memory: Memory, conclusions: Mapping[str, float], at: float) -> Memory:
    """The memory, with what was concluded at `at` and counts for days, where it has not concluded anything itself."""
    return Memory(
        tuple(
            _resumed(kind, conclusions, at)
            if kind.lasts and kind.name in conclusions and kind.conclude(state) is None
            else state
            for kind, state in zip(REMEMBERED, memory.states, strict=True)
        )
    )


def observe(memory: Memory, news: News, known: Mapping[str, Any] = NOTHING_KNOWN) -> Memory:
    """The memory after the news. known: states after the news that the caller has already, by name."""
    states = zip(REMEMBERED, memory.states, strict=True)
    return Memory(
        tuple(known[kind.name] if kind.name in known else kind.observe(state, news) for kind, state in states)
    )


def resume(conclusions: Mapping[str, float], at: float) -> Memory:
    """The memory of a replica that takes over from another, or from before a restart: what was concluded at `at`."""
    return Memory(tuple(_resumed(kind, conclusions, at) for kind in REMEMBERED))


def _resumed(kind: Remembered[Any], conclusions: Mapping[str, float], at: float) -> Any:
    conclusion = conclusions.get(kind.name, conclusions.get(kind.or_from))
    return kind.start if conclusion is None or kind.resume is None else kind.resume(conclusion, at)

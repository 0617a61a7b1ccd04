"""What was planned, for a week: what a store of it does, and its twin of a process without database."""

from collections.abc import Sequence
from typing import Protocol

from scaler.past_plans import PastPlan, PastPlansAsked


class PlanStore(Protocol):
    """Where past plans are kept. Every method raises StoreUnavailable when the database does not answer in time."""

    async def save(self, wanted: Sequence[PastPlan]) -> None:
        """Insert plans; one that is there already stays."""
        ...

    async def load(self, asked: PastPlansAsked) -> list[PastPlan]:
        """The plans that are asked for, the newest first."""
        ...

    async def sweep(self, passed: float, now: float) -> None:
        """Remove what is older than a week. passed: a moment that has passed for certain."""
        ...


class NullPlans:
    """Keeps nothing and never fails."""

    async def save(self, wanted: Sequence[PastPlan]) -> None: ...

    async def load(self, asked: PastPlansAsked) -> list[PastPlan]:
        return []

    async def sweep(self, passed: float, now: float) -> None: ...

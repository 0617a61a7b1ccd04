"""What the planner has concluded of each trigger and counts for days: where it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Concluded:
    """at: when it counted, seconds since the epoch. values: by the name that the planner's rules have for it."""

    at: float
    values: Mapping[str, float]


class ConclusionStore(Protocol):
    """Every method raises StoreUnavailable when the database does not answer in time; the caller goes on without."""

    async def save(self, found: Mapping[str, Concluded]) -> None:
        """Insert or replace, by the trigger's key; what is there from later stays."""
        ...

    async def load(self, keys: Sequence[str]) -> dict[str, Concluded]:
        """What is stored of these triggers; a row that cannot be read is left out."""
        ...

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some that are more than a week older than `passed`, a moment that has passed for certain."""
        ...


class NullConclusions:
    """Keeps nothing: there is no database."""

    async def save(self, found: Mapping[str, Concluded]) -> None: ...

    async def load(self, keys: Sequence[str]) -> dict[str, Concluded]:
        return {}

    async def sweep(self, passed: float, now: float) -> None: ...

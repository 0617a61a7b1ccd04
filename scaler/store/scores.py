"""How good forecasts turned out, for a year: what a store of it does, and its twin of a process without database."""

from collections.abc import Sequence
from typing import Protocol

from scaler.scored import ScoredDay, ScoredHour, ScoredTotal, ScoresAsked, TotalsAsked, WeekAsked, Weeks


class ScoreStore(Protocol):
    """Every method raises StoreUnavailable when the database does not answer in time."""

    async def save(self, hours: Sequence[ScoredHour]) -> None:
        """Insert hours; one that is there already stays."""
        ...

    async def days(self, asked: ScoresAsked) -> list[ScoredDay]:
        """The days that are asked for, ordered by trigger and day."""
        ...

    async def totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        """The sums of all days that are asked for, of each trigger and lead of which there are some."""
        ...

    async def weeks(self, asked: Sequence[WeekAsked], day_keeps: float) -> Weeks:
        """The sums of about a week by lead, of each of which there are some: those of a day count `day_keeps` times
        those of the next one."""
        ...

    async def sweep(self, passed: float, now: float) -> None:
        """Turn hours into days some days after they `passed`, and remove days that are older than a year."""
        ...


class NullScores:
    """Remembers nothing and never fails."""

    async def save(self, hours: Sequence[ScoredHour]) -> None: ...

    async def days(self, asked: ScoresAsked) -> list[ScoredDay]:
        return []

    async def totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        return []

    async def weeks(self, asked: Sequence[WeekAsked], day_keeps: float) -> Weeks:
        return {}

    async def sweep(self, passed: float, now: float) -> None: ...

"""Where anomalies are kept: beside the rest of the state, and of no use to any answer."""

from collections.abc import Sequence
from typing import Protocol

from scaler.anomalies import AnomaliesAsked, Anomaly


class AnomalyStore(Protocol):
    """Every method raises StoreUnavailable when the database does not answer in time; the caller goes on without."""

    async def save(self, found: Sequence[Anomaly]) -> None:
        """Insert, or let the row of the same one grow: one that two replicas have seen has one row."""
        ...

    async def load(self, asked: AnomaliesAsked, now: float) -> list[Anomaly]:
        """Those that are asked for, the newest first."""
        ...

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some that ended more than a year before `passed`, a moment that has passed for certain."""
        ...


class NoAnomalies:
    """Keeps nothing: there is no database."""

    async def save(self, found: Sequence[Anomaly]) -> None: ...

    async def load(self, asked: AnomaliesAsked, now: float) -> list[Anomaly]:
        return []

    async def sweep(self, passed: float, now: float) -> None: ...

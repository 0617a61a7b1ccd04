"""What triggers were answered with when a replica ended: where it is kept for the next start."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

KEPT_SECONDS = 900.0
"""how old a row may get: by then a process that was to start again has started"""


@dataclass(frozen=True, slots=True)
class OutlookRow:
    """at: when it was made. observed_at: its newest observation, 0 where it has none. record: the outlook as bytes;
    empty in a row that is too old to be read, or holds something else."""

    at: float
    observed_at: float
    record: bytes


class OutlookStore(Protocol):
    """Every method raises StoreUnavailable when the database does not answer in time; the caller goes on without."""

    async def save(self, rows: Mapping[str, OutlookRow]) -> None:
        """Insert or replace, by the trigger's key; the row of another replica that knows newer demand stays."""
        ...

    def load(self, most: int, now: float) -> AsyncIterator[Sequence[tuple[str, OutlookRow]]]:
        """The rows of this installation by the trigger's key, `most` of them at most, many at a time."""
        ...

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some rows that are more than KEPT_SECONDS older than `passed`, a moment that has passed for certain,
        or a day ahead."""
        ...


class NullOutlooks:
    """Keeps nothing: there is no database."""

    async def save(self, rows: Mapping[str, OutlookRow]) -> None: ...

    async def load(self, most: int, now: float) -> AsyncIterator[Sequence[tuple[str, OutlookRow]]]:
        return
        yield

    async def sweep(self, passed: float, now: float) -> None: ...

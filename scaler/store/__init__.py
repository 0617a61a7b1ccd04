"""What outlives the process, in SQL (SQLite or PostgreSQL): who is watched, and the long history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scaler.quotas import NO_LIMITS, Limits
from scaler.savings import SavedDay, SavedHour, SavingsAsked
from scaler.series import Blocks, MinuteDay


@dataclass(frozen=True, slots=True)
class WatchedRecord:
    """One trigger as KEDA sent it; parsed again at start, so a changed schema cannot break a restart."""

    key: str
    namespace: str
    name: str
    metadata: Mapping[str, str]
    last_called: float
    history_key: str = ""
    """under which its long history is kept; empty in rows of the first version, which used `key`"""


class Store(Protocol):
    """Every method raises StoreUnavailable when the database does not answer in time; the caller goes on without.

    A row that cannot be used never raises: it is left out, quarantined where there is a database, and logged.
    """

    async def identity(self) -> str:
        """What changes when rows that were written may be gone, with their tables or the file of the database."""
        ...

    async def watched(self, called_since: float, limits: Limits = NO_LIMITS) -> list[WatchedRecord]:
        """Who was called for since then. No more than can be watched again: every edit leaves a row behind."""
        ...

    async def watch(self, records: Sequence[WatchedRecord]) -> None:
        """Insert or update by key."""
        ...

    async def quarantine(self, broken: Sequence[tuple[WatchedRecord, str]]) -> None:
        """Move watched triggers, with the reason of each, to where no start reads them; one that was written again
        since it was read stays."""
        ...

    async def sweep(self, called_before: float, silence_seconds: float, now: float) -> int:
        """Remove the triggers that no replica was called for since `called_before`, and for `silence_seconds`, with
        the long history that no other trigger needs; how many."""
        ...

    async def adopt_history(self, new_keys: Mapping[str, str]) -> None:
        """Give the long history under each old key to a new one that has none."""
        ...

    async def save_blocks(self, blocks: Mapping[str, Blocks], block_seconds: int, keep_since: float) -> None:
        """Merge coarse blocks (by key and block start); of these keys, older ones than `keep_since` are dropped."""
        ...

    async def page_counts(self, keys: Sequence[str], block_seconds: int, since: float, until: float) -> dict[str, int]:
        """How many pages (of 96 blocks) are stored of each key, from the page of `since` to that of `until`."""
        ...

    async def load_blocks(self, keys: Sequence[str], block_seconds: int, since: float) -> dict[str, Blocks]: ...

    async def save_minutes(self, days: Sequence[MinuteDay]) -> None:
        """Insert or replace days. `sweep` drops those that are older than two weeks."""
        ...

    async def load_minutes(self, owners: Sequence[tuple[str, str]], days: tuple[int, int]) -> list[MinuteDay]:
        """The stored days of each (key, zone), from the first of `days` to the last. A row that holds none is
        quarantined."""
        ...

    async def save_hours(self, hours: Sequence[SavedHour]) -> None:
        """Insert hours; one that is there already stays. `sweep` drops those that are older than a year."""
        ...

    async def load_savings(self, asked: SavingsAsked) -> list[SavedDay]:
        """The days that are asked for: of one ScaledObject, or of the first ones after another. In order, and all days
        of an object or none."""
        ...

    async def set_apart(self, hashes: Sequence[str], now: float, keep_since: float) -> None:
        """Remember queries (by their hashes) that must not be joined with others; those from before `keep_since` are
        dropped."""
        ...

    async def apart(self, since: float) -> dict[str, float]:
        """The hashes that were set apart at `since` or later, and when; the newest 100,000 of them."""
        ...

    async def close(self) -> None: ...

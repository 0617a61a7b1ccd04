"""The store of a process without persistence: every restart begins empty."""

from collections.abc import Mapping, Sequence

from scaler.quotas import NO_LIMITS, Limits
from scaler.savings import SavedDay, SavedHour, SavingsAsked
from scaler.series import Blocks, MinuteDay
from scaler.store import WatchedRecord


class NullStore:
    """Remembers nothing and never fails."""

    async def identity(self) -> str:
        return ""

    async def watched(self, called_since: float, limits: Limits = NO_LIMITS) -> list[WatchedRecord]:
        return []

    async def watch(self, records: Sequence[WatchedRecord]) -> None: ...

    async def quarantine(self, broken: Sequence[tuple[WatchedRecord, str]]) -> None: ...

    async def sweep(self, called_before: float, silence_seconds: float, now: float) -> int:
        return 0

    async def adopt_history(self, new_keys: Mapping[str, str]) -> None: ...

    async def save_blocks(self, blocks: Mapping[str, Blocks], block_seconds: int, keep_since: float) -> None: ...

    async def page_counts(self, keys: Sequence[str], block_seconds: int, since: float, until: float) -> dict[str, int]:
        return {}

    async def load_blocks(self, keys: Sequence[str], block_seconds: int, since: float) -> dict[str, Blocks]:
        return {}

    async def save_minutes(self, days: Sequence[MinuteDay]) -> None: ...

    async def load_minutes(self, owners: Sequence[tuple[str, str]], days: tuple[int, int]) -> list[MinuteDay]:
        return []

    async def save_hours(self, hours: Sequence[SavedHour]) -> None: ...

    async def load_savings(self, asked: SavingsAsked) -> list[SavedDay]:
        return []

    async def set_apart(self, hashes: Sequence[str], now: float, keep_since: float) -> None: ...

    async def apart(self, since: float) -> dict[str, float]:
        return {}

    async def close(self) -> None: ...

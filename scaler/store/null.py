"""The store of a process without persistence: every restart begins empty."""

from collections.abc import Mapping, Sequence

from scaler.quotas import NO_LIMITS, Limits
from scaler.series import Blocks
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

    async def set_apart(self, hashes: Sequence[str], now: float, keep_since: float) -> None: ...

    async def apart(self, since: float) -> dict[str, float]:
        return {}

    async def close(self) -> None: ...

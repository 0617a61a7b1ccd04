"""The index of models where nothing is kept: there are no versions, and nothing can be changed."""

from scaler.errors import StoreUnavailable
from scaler.models import Champion, ModelDecision, ModelVersion

WHY = "nothing is kept: set data-dir or database"


class NullModels:
    """A `ModelIndex` without database: reads find nothing, changes raise StoreUnavailable."""

    async def publish(self, version: ModelVersion, decision: ModelDecision) -> bool:
        raise StoreUnavailable(WHY)

    async def refuse(self, decision: ModelDecision) -> None:
        raise StoreUnavailable(WHY)

    async def versions(self, name: str | None = None) -> list[ModelVersion]:
        return []

    async def champions(self) -> dict[str, Champion]:
        return {}

    async def promote(
        self, scope: str, model: str, expected: str | None, decision: ModelDecision, probation_seconds: float
    ) -> Champion:
        raise StoreUnavailable(WHY)

    async def roll_back(self, seen: Champion, decision: ModelDecision) -> Champion | None:
        raise StoreUnavailable(WHY)

    async def retire(self, model: str, decision: ModelDecision) -> None:
        raise StoreUnavailable(WHY)

    async def decisions(
        self, limit: int, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> list[ModelDecision]:
        return []

    async def lock(self, name: str, holder: str, seconds: float, now: float) -> bool:
        raise StoreUnavailable(WHY)

    async def lease(self, name: str) -> tuple[str, float] | None:
        return None

    async def unlock(self, name: str, holder: str) -> None: ...

    async def close(self) -> None: ...

"""Triggers listed in the settings. KEDA does not call for them: their plans are read from telemetry."""

from collections.abc import Sequence

from scaler.clock import Clock
from scaler.registry import Registry
from scaler.settings import ListedTrigger


async def keep_watching(
    registry: Registry, listed: Sequence[ListedTrigger], clock: Clock, every_seconds: float
) -> None:
    """Register every listed trigger again and again, often enough that none expires."""
    while True:
        now = clock.now()
        for trigger in listed:
            registry.register(trigger.namespace, trigger.name, trigger.metadata, now).listed = True
        await clock.sleep_until(now + every_seconds)

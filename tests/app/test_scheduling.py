"""Freed memory is given back to the system: after triggers were forgotten, and from time to time."""

import asyncio
from collections.abc import Callable

import pytest

from scaler.app.scheduling import (
    MANY_FORGOTTEN,
    RELEASE_ANYWAY_SECONDS,
    RELEASE_SECONDS,
    release_memory,
    release_unused,
)
from scaler.registry import Registry
from scaler.testing import ManualClock
from scaler.trigger import TriggerRules


async def test_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after many triggers were forgotten; otherwise seldom, since a burst of calls leaves free memory, too."""
    clock, registry = ManualClock(), Registry(TriggerRules(), refresh_seconds=15)
    released: list[float] = []

    async def noted(work: Callable[[], None]) -> None:
        assert work is release_memory
        released.append(clock.now())

    monkeypatch.setattr(asyncio, "to_thread", noted)
    releasing = asyncio.create_task(release_unused(registry, clock))
    await clock.advance(RELEASE_SECONDS)
    registry.forgotten += MANY_FORGOTTEN
    await clock.advance(RELEASE_SECONDS)
    await clock.advance(RELEASE_ANYWAY_SECONDS)
    releasing.cancel()

    assert released == [2 * RELEASE_SECONDS, 2 * RELEASE_SECONDS + RELEASE_ANYWAY_SECONDS]

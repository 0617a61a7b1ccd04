"""Triggers that are registered while the model and the database are still being opened."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from scaler.app.early import EarlyRegistrations
from scaler.errors import CacheUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.registry import Registry
from scaler.series import Observation, Outlook
from scaler.testing import ManualClock
from scaler.trigger import TriggerRules

NOW = 1_700_000_000.0


def outlook(demand: float) -> Outlook:
    return Outlook(NOW, Observation(NOW, demand, demand, demand), None)


async def test_they_are_kept_and_answered_from_what_replicas_published() -> None:
    """Also those registered before the cache was opened; one that no replica knows waits for the engine."""
    clock, memory = ManualClock(NOW), SharedMemory()
    registry = Registry(TriggerRules(default_server="http://p:9090"), 15.0, on_new=lambda one: early.add(one))  # noqa: PLW0108 - made next
    early = EarlyRegistrations(registry, clock)
    before, unknown = (registry.register("shop", name, {"query": "q", "threshold": "1"}, NOW) for name in ("a", "b"))
    await MemoryCache("other", memory).publish({before.trigger.key: outlook(70.0)}, 60)
    receiving = asyncio.create_task(early.receive_from(MemoryCache("this", memory)))
    await asyncio.sleep(0.01)
    after = registry.register("shop", "c", {"query": "q", "threshold": "1"}, NOW)
    await MemoryCache("other", memory).publish({after.trigger.key: outlook(80.0)}, 60)
    await asyncio.sleep(0.01)
    receiving.cancel()
    with suppress(asyncio.CancelledError):
        await receiving
    assert [registry.answer(one, NOW).plan.metric for one in (before, after)] == [70.0, 80.0]
    assert unknown.current is None
    assert early.all == [before, unknown, after]
    unknown.forget()
    assert early.take() == [before, after]
    assert early.all == [], "what is forgotten later is kept by nobody"


async def test_a_cache_that_fails_is_asked_again_for_the_next() -> None:
    """One failure neither ends the task nor reaches the caller."""
    calls: list[Sequence[str]] = []

    class Failing(MemoryCache):
        async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
            calls.append(keys)
            raise CacheUnavailable("no answer in time")

    registry = Registry(TriggerRules(default_server="http://p:9090"), 15.0, on_new=lambda one: early.add(one))  # noqa: PLW0108 - made next
    early = EarlyRegistrations(registry, ManualClock(NOW))
    receiving = asyncio.create_task(early.receive_from(Failing()))
    for name in ("a", "b"):
        registry.register("shop", name, {"query": "q", "threshold": "1"}, NOW)
        await asyncio.sleep(0.01)
    assert [len(keys) for keys in calls] == [1, 1]
    assert not receiving.done()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving

"""7. No stale leader overrides newer knowledge: a replica that is stopped while it refreshes, and goes on later."""

import asyncio
import signal
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import permutations
from pathlib import Path

import pytest
import redis as redis_client
from hypothesis import given
from hypothesis import strategies as st

from scaler.forecast import ForecastCache
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.forecast.record import ORDER_FORMAT, ORDER_OFFSET
from scaler.forecast.redis_cache import PREFIX, RedisCache
from scaler.refresh.coordination import LEASE_INTERVALS, Replicas
from scaler.registry import Registry
from scaler.series import Observation, Outlook
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import TriggerRules
from tests.isolation.test_04_shared_records import outlook
from tests.isolation.world import Replica, bystander, replica
from tests.servers.front import Front, slow, wait_for_requests
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer

NOW = 1_700_000_000.0
STALE_SECONDS = 15.0
DAY = 86_400.0
CLOCK = f"vector(time() % {DAY:.0f})"
"""a demand that shows when it was observed, exact also as float32"""


class Shared:
    """What lies in Redis for the only trigger there."""

    def __init__(self, server: RedisServer) -> None:
        self._client = redis_client.Redis(unix_socket_path=str(server.socket))
        self._client.flushall()

    def observed_at(self) -> float:
        """The moment of the observation in the record."""
        (name,) = self._client.keys(f"{PREFIX}outlook:*")
        return float(struct.unpack_from(ORDER_FORMAT, self._client.get(name), ORDER_OFFSET)[1])

    def holder(self) -> bytes:
        """Token and name of the replica that holds the lease; empty without."""
        names = self._client.keys(f"{PREFIX}lease:*")
        return (names and self._client.get(names[0])) or b""


def until(holds: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


WANTED = bystander(query=CLOCK, maxStaleness=f"{STALE_SECONDS:g}s")


def observed(scaler: Replica) -> float | None:
    """When the demand that is answered now was observed; None where the answer is an error."""
    call = scaler.ask(WANTED)
    if call.number is None:
        return None
    now = time.time()
    age = (now - call.number) % DAY
    assert age < STALE_SECONDS + 6, f"answered although it is {age:.1f} s old"
    return now - age


def follow(shared: Shared, scalers: list[Replica], seconds: float) -> None:
    """Answers and records never go back, whoever wrote them."""
    newest, answered = shared.observed_at(), 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        at = shared.observed_at()
        assert at >= newest, f"the record went back by {newest - at:.1f} s"
        newest = at
        numbers = [number for one in scalers if (number := observed(one)) is not None]
        assert numbers, f"neither replica has an answer: {[one.calls[-1].error for one in scalers]}"
        answered = max(answered, *numbers)
        time.sleep(0.05)
    assert answered >= newest - 11
    assert newest > time.time() - 20, "nobody refreshes"


@pytest.mark.server
@pytest.mark.parametrize("moment", ["between two ticks", "while it waits for Prometheus"])
def test_a_stopped_leader_does_not_bring_back_old_demand(
    tmp_path: Path, metrics: PrometheusServer, before_metrics: Front, redis: RedisServer, moment: str
) -> None:
    """Two processes: the other takes over, and what the first publishes when it goes on never replaces newer demand."""
    shared = Shared(redis)
    options = ("--redis", redis.url)
    with (
        replica(tmp_path, before_metrics.url, *options, name="one") as first,
        replica(tmp_path, before_metrics.url, *options, name="two") as second,
    ):
        until(lambda: observed(first) is not None)
        until(lambda: observed(second) is not None)
        leader = shared.holder()
        if moment != "between two ticks":
            before_metrics.rules.append(slow(1.0, "time()"))
            before_metrics.asked.clear()
            wait_for_requests(before_metrics, "time()", 1)
        first.process.process.send_signal(signal.SIGSTOP)
        stopped_at = time.time()
        before_metrics.rules.clear()
        try:
            until(lambda: shared.holder() not in (b"", leader))
            until(lambda: shared.observed_at() > stopped_at + 10)
        finally:
            first.process.process.send_signal(signal.SIGCONT)
        follow(shared, [first, second], 13)
        until(lambda: observed(first) is not None)


# One step at a time, on both caches


@asynccontextmanager
async def two(kind: str, server: RedisServer) -> AsyncIterator[tuple[ForecastCache, ForecastCache]]:
    server.command("FLUSHALL")
    memory = SharedMemory()
    pair: list[ForecastCache] = [
        RedisCache(server.url, name) if kind == "redis" else MemoryCache(name, memory) for name in ("one", "two")
    ]
    try:
        yield pair[0], pair[1]
    finally:
        for cache in pair:
            await cache.close()


kinds = pytest.mark.parametrize("kind", ["redis", "memory"])
pytestmark = pytest.mark.server


@kinds
async def test_nothing_is_taken_from_a_replica_that_lost_the_lease(redis: RedisServer, kind: str) -> None:
    """Not even what looks newer: another one decides by now."""
    async with two(kind, redis) as (old, new):
        assert await old.lease(["a"], 0.2) == {"a"}
        await asyncio.sleep(0.3)
        assert await new.lease(["a"], 60) == {"a"}
        await old.publish({"a": outlook(NOW + 100, value=1.0)}, 60)
        assert await new.receive(["a"]) == {}
        await new.publish({"a": outlook(NOW)}, 60)
        assert (await old.receive(["a"]))["a"].counts_from == NOW + 1
        assert await old.lease(["a"], 60) == set()
        await old.publish({"a": outlook(NOW + 15)}, 60)  # knows now that it works without a lease
        assert (await new.receive(["a"]))["a"].counts_from == NOW + 16


@kinds
async def test_a_lease_taken_back_is_a_new_one(redis: RedisServer, kind: str) -> None:
    """Who leases again publishes again; a renewed lease keeps its token."""
    async with two(kind, redis) as (one, other):
        for number, holder in enumerate((one, other, one)):
            assert await holder.lease(["a"], 60) == {"a"}
            assert await holder.lease(["a"], 60) == {"a"}
            await holder.publish({"a": outlook(NOW + 15 * number)}, 60)
            assert (await other.receive(["a"]))["a"].counts_from == NOW + 15 * number + 1
            await holder.release(["a"])


async def test_tokens_rise_where_the_last_one_is_lost(redis: RedisServer) -> None:
    """As when a server that lags behind takes over: records in it may have later tokens than its counter."""
    async with two("redis", redis) as (one, other):
        assert await one.lease(["a"], 60) == {"a"}
        await one.publish({"a": outlook(NOW)}, 60)
        for lost in (("DEL", f"{PREFIX}token"), ("SET", f"{PREFIX}token", "5"), ("SET", f"{PREFIX}token", "9" * 15)):
            redis.command("DEL", f"{PREFIX}lease:a")
            redis.command(*lost)
            assert await other.lease(["a"], 60) == {"a"}
            await other.publish({"a": outlook(NOW + 15)}, 60)
            assert (await one.receive(["a"]))["a"].counts_from == NOW + 16
            await other.release(["a"])


KNOWN = {
    "nothing observed": Outlook(NOW + 31, None, outlook(NOW).forecast),
    "older demand, told late": Outlook(NOW + 45, Observation(NOW - 15, 1.0, 1.0, 1.0), outlook(NOW).forecast),
    "older forecast": Outlook(NOW + 30, Observation(NOW, 1.0, 1.0, 1.0), outlook(NOW - 15).forecast),
    "earlier moment": Outlook(NOW + 1, Observation(NOW, 1.0, 1.0, 1.0), outlook(NOW).forecast),
    "newest": Outlook(NOW + 2, Observation(NOW, 1.0, 1.0, 1.0), outlook(NOW).forecast),
}


@kinds
async def test_what_knows_more_wins_in_every_order(redis: RedisServer, kind: str) -> None:
    """By the observation, then by the forecast, then by the moment from which it counts."""
    async with two(kind, redis) as (one, other):
        for number, order in enumerate(permutations(KNOWN.values())):
            key = f"key-{number}"
            for each in order:
                await one.publish({key: each}, 60)
            assert (await other.receive([key]))[key].order == KNOWN["newest"].order


@given(st.permutations(list(KNOWN.values())))
def test_so_it_does_in_the_memory_of_a_replica(order: list[Outlook]) -> None:
    """Whatever arrives last."""
    registry = Registry(TriggerRules("http://prometheus"), 15.0)
    one = registry.register("shop", "web", {"query": "vector(1)", "threshold": "10"}, NOW)
    for each in order:
        registry.receive(one.trigger.key, each, NOW + 20)
    known = registry.answer(one, NOW + 50).outlook
    assert known.order == KNOWN["newest"].order


@pytest.mark.parametrize("step", [LEASE_INTERVALS * 15 + 1, -LEASE_INTERVALS * 15 - 1, 3600.0])
async def test_nothing_is_published_once_the_leases_may_have_run_out(step: float) -> None:
    """By the clock right before publishing; the next lease opens the way again."""
    clock, memory, telemetry = ManualClock(NOW), SharedMemory(), Telemetry()
    replicas, other = Replicas(MemoryCache("one", memory), clock, telemetry, 15.0), MemoryCache("two", memory)
    await replicas.lease(["a"])
    if step > 0:
        await clock.advance(step)
    else:
        clock.step_back(-step)
    await replicas.publish({"a": outlook(NOW)})
    assert await other.receive(["a"]) == {}
    await replicas.lease(["a"])
    await replicas.publish({"a": outlook(NOW)})
    assert set(await other.receive(["a"])) == {"a"}


async def test_nor_after_a_stop_that_the_clock_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock was set back by as much as the process was stopped."""
    memory, up = SharedMemory(), [1000.0]
    monkeypatch.setattr("scaler.refresh.coordination.time.monotonic", lambda: up[0])
    replicas = Replicas(MemoryCache("one", memory), ManualClock(NOW), Telemetry(), 15.0)
    await replicas.lease(["a"])
    up[0] += 31
    await replicas.publish({"a": outlook(NOW)})
    assert await MemoryCache("two", memory).receive(["a"]) == {}

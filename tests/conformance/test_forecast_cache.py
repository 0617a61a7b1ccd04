"""The same checks over every forecast cache, each seen from two replicas."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pytest

from scaler.errors import CacheUnavailable
from scaler.forecast import ForecastCache
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.forecast.redis_cache import RedisCache
from scaler.series import Forecast, Observation, Outlook
from tests.servers.redis import redis_server
from tests.servers.redis_cluster import redis_cluster

KEYS = [f"shop/app-{number}/0f" for number in range(1203)]
LONG = 60.0


@dataclass
class Replicas:
    one: ForecastCache
    two: ForecastCache


class Server(Protocol):
    """A server that can be lost, and comes back at the same address without what it held."""

    url: str

    def stop(self) -> None: ...

    def start(self) -> None: ...


def outlook(counts_from: float, demand: float = 1.0) -> Outlook:
    quantiles = np.full((4, 2), demand, np.float32)
    forecast = Forecast(counts_from, 60.0, (0.5, 0.9), quantiles, (), None, "seasonal@1")
    return Outlook(counts_from, Observation(counts_from - 1, demand, demand, demand), forecast)


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


@dataclass
class Place:
    """Where replicas meet: `open` gives the cache of a replica, by its name and a name for what it shares."""

    open: Callable[[str, str], ForecastCache]
    server: Server | None = None

    def replicas(self, shared: str) -> Replicas:
        return Replicas(self.open("one", shared), self.open("two", shared))


@contextmanager
def in_memory() -> Iterator[Place]:
    memories: defaultdict[str, SharedMemory] = defaultdict(SharedMemory)
    yield Place(lambda replica, shared: MemoryCache(replica, memories[shared]))


@contextmanager
def at_redis(started: Callable[[], AbstractContextManager[Server]]) -> Iterator[Place]:
    with started() as server:
        yield Place(lambda replica, shared: RedisCache(server.url, replica, f"headway:{{{shared}}}:"), server)


PLACES: dict[str, Callable[[], AbstractContextManager[Place]]] = {
    "memory": in_memory,
    "redis": partial(at_redis, redis_server),
    "cluster of one": partial(at_redis, partial(redis_cluster, 1)),
    "cluster of three": partial(at_redis, partial(redis_cluster, 3)),
}
"""a new implementation is one line here"""
WITH_SERVER = [pytest.param(name, marks=pytest.mark.server) for name in PLACES if name != "memory"]


@pytest.fixture(scope="module", params=["memory", *WITH_SERVER])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with PLACES[request.param]() as opened:
        yield opened


@pytest.fixture
async def replicas(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[Replicas]:
    pair = place.replicas(request.node.name)
    yield pair
    await pair.one.close()
    await pair.two.close()


async def test_what_one_publishes_both_receive(replicas: Replicas) -> None:
    """More outlooks than fit one call arrive under their keys; unknown keys are left out."""
    await replicas.one.publish({key: outlook(1000.0, demand) for demand, key in enumerate(KEYS)}, LONG)
    for cache in (replicas.one, replicas.two):
        received = await cache.receive([*KEYS, "shop/unknown/0f"])
        assert list(received) == KEYS
        assert [o.observation.value for o in received.values() if o.observation] == list(range(len(KEYS)))


async def test_nothing_in_nothing_out(replicas: Replicas) -> None:
    """Empty requests are answered with nothing."""
    await replicas.one.publish({}, LONG)
    await replicas.one.release([])
    assert await replicas.one.receive([]) == {}
    assert await replicas.one.lease([], LONG) == set()


@pytest.mark.parametrize("key", ["ns/" + "ü" * 200 + "/1", 'a"\\ \n/b/\x00'])
async def test_any_text_is_a_key(replicas: Replicas, key: str) -> None:
    """Keys with quotes, line breaks, NUL and other alphabets arrive as they were, in wakes as well."""
    async with aclosing(replicas.two.wakes()) as wakes:
        assert await anext(wakes) == []
        await replicas.one.publish({key: outlook(1000.0)}, LONG)
        assert await anext(wakes) == [key]
    assert list(await replicas.two.receive([key])) == [key]
    assert await replicas.two.lease([key], LONG) == {key}


async def test_the_newest_wins_whoever_comes_last(replicas: Replicas) -> None:
    """An outlook that counts from an earlier moment does not replace a newer one; a later one does."""
    await replicas.one.publish({"a": outlook(2000.0, 2.0), "b": outlook(1000.0, 1.0)}, LONG)
    await replicas.two.publish({"a": outlook(1999.0, 9.0), "b": outlook(1001.0, 3.0)}, LONG)
    received = await replicas.one.receive(["a", "b"])
    assert {key: o.counts_from for key, o in received.items()} == {"a": 2000.0, "b": 1001.0}


async def test_outlooks_expire(replicas: Replicas) -> None:
    """After its time an outlook is absent, and no longer keeps an older one out."""
    await replicas.one.publish({"a": outlook(2000.0)}, 0.05)

    async def gone() -> bool:
        return await replicas.one.receive(["a"]) == {}

    await eventually(gone)
    await replicas.two.publish({"a": outlook(1000.0)}, LONG)
    assert (await replicas.one.receive(["a"]))["a"].counts_from == 1000.0


async def test_a_trigger_is_leased_to_one_replica(replicas: Replicas) -> None:
    """Who asks first gets the lease, and keeps it when asking again; the other gets only what is free."""
    first, rest = KEYS[:600], KEYS[600:]
    assert await replicas.one.lease(first, LONG) == set(first)
    assert await replicas.two.lease(KEYS, LONG) == set(rest)
    assert await replicas.one.lease(KEYS, LONG) == set(first)


async def test_simultaneous_requests_share_without_overlap(replicas: Replicas) -> None:
    """Two replicas that ask at once get every trigger between them, and none twice."""
    one, two = await asyncio.gather(replicas.one.lease(KEYS, LONG), replicas.two.lease(KEYS, LONG))
    assert one | two == set(KEYS)
    assert one & two == set()


async def test_holders_of_leases_are_counted(replicas: Replicas) -> None:
    """Each replica sees how many of these leases each one holds; free ones count for nobody."""
    await replicas.one.lease(KEYS[:700], LONG)
    await replicas.two.lease(KEYS[:1000], LONG)
    expected = {replicas.one.replica_id: 700, replicas.two.replica_id: 300}
    assert await replicas.one.holders(KEYS) == await replicas.two.holders(KEYS) == expected
    assert await replicas.one.holders([]) == {}


async def test_renewal_prolongs_a_lease(replicas: Replicas) -> None:
    """A short lease that was renewed for long is not free after its first time."""
    await replicas.one.lease(["renewed", "left"], 0.2)
    assert await replicas.one.lease(["renewed"], LONG) == {"renewed"}

    async def taken_over() -> bool:
        return "left" in await replicas.two.lease(["left"], LONG)

    await eventually(taken_over)
    assert await replicas.two.lease(["renewed"], LONG) == set()


async def test_an_expired_lease_is_taken_over_and_not_given_back(replicas: Replicas) -> None:
    """A replica that stalls loses its lease to another and does not get it back by renewing."""
    await replicas.one.lease(["a"], 0.05)

    async def taken_over() -> bool:
        return await replicas.two.lease(["a"], LONG) == {"a"}

    await eventually(taken_over)
    assert await replicas.one.lease(["a"], LONG) == set()


async def test_only_own_leases_are_released(replicas: Replicas) -> None:
    """Releasing frees what is one's own at once, and nothing of another replica's."""
    await replicas.one.lease(["a"], LONG)
    await replicas.two.lease(["b"], LONG)
    await replicas.one.release(["a", "b", "never leased"])
    assert await replicas.two.lease(["a"], LONG) == {"a"}
    assert await replicas.one.lease(["b"], LONG) == set()


async def test_a_publication_wakes_the_others(replicas: Replicas) -> None:
    """Another replica's publication wakes, one's own does not, and neither is one that came too late to count."""
    async with aclosing(replicas.two.wakes()) as wakes:
        assert await anext(wakes) == []
        await replicas.two.publish({"own": outlook(1000.0)}, LONG)
        await replicas.one.publish({"own": outlook(999.0)}, LONG)
        await replicas.one.publish({"own": outlook(999.0), "new": outlook(1000.0)}, LONG)
        assert await anext(wakes) == ["new"]


async def test_every_published_key_wakes(replicas: Replicas) -> None:
    """However a large publication is split up, the wakes name all its keys."""
    async with aclosing(replicas.two.wakes()) as wakes:
        await anext(wakes)
        await replicas.one.publish(dict.fromkeys(KEYS, outlook(1000.0)), LONG)
        woken: list[str] = []
        while len(woken) < len(KEYS):
            woken += await asyncio.wait_for(anext(wakes), 15)
    assert woken == KEYS


async def test_closing_ends_the_wakes(replicas: Replicas) -> None:
    """A loop over wakes ends quietly when the cache is closed."""
    subscribed = asyncio.Event()

    async def follow() -> None:
        async for _ in replicas.two.wakes():
            subscribed.set()

    following = asyncio.create_task(follow())
    await asyncio.wait_for(subscribed.wait(), 15)
    await replicas.two.close()
    await asyncio.wait_for(following, 15)


OPERATIONS: dict[str, Callable[[ForecastCache], Awaitable[object]]] = {
    "publish": lambda cache: cache.publish({"a": outlook(1000.0)}, LONG),
    "receive": lambda cache: cache.receive(["a"]),
    "lease": lambda cache: cache.lease(["a"], LONG),
    "release": lambda cache: cache.release(["a"]),
    "wakes": lambda cache: anext(aiter(cache.wakes())),
}


@pytest.mark.parametrize("place", WITH_SERVER, indirect=True)
async def test_a_lost_server_is_reported_and_used_again(place: Place, replicas: Replicas) -> None:
    """While the server is lost every operation raises CacheUnavailable; afterwards each works, between replicas too."""
    server = place.server
    assert server is not None
    wakes = aiter(replicas.two.wakes())
    assert await anext(wakes) == []
    server.stop()
    try:
        with pytest.raises(CacheUnavailable):
            await asyncio.wait_for(anext(wakes), 15)
        for operation in OPERATIONS.values():
            with pytest.raises(CacheUnavailable):
                await operation(replicas.one)
    finally:
        server.start()

    async def works_again() -> bool:
        with suppress(CacheUnavailable):
            for operation in OPERATIONS.values():
                await operation(replicas.one)
            return True
        return False

    await eventually(works_again)
    assert await replicas.one.lease(["a"], LONG) == {"a"}
    async with aclosing(replicas.two.wakes()) as again:
        assert await anext(again) == []
        await replicas.one.publish({"b": outlook(1000.0)}, LONG)
        assert await anext(again) == ["b"]
    assert list(await replicas.two.receive(["a", "b"])) == ["a", "b"]
    assert await replicas.two.lease(["a", "b"], LONG) == {"b"}

"""5. State knows whose it is: installations that share one Redis."""

from pathlib import Path

import pytest

from scaler.forecast.redis_cache import RedisCache, prefix_of
from tests.isolation.test_04_shared_records import outlook
from tests.isolation.world import bystander, replica
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.server


@pytest.mark.parametrize(("one", "two"), [("", "staging"), ("staging", "production"), ("a", "a-b"), ("v3", "")])
async def test_installations_share_nothing(redis: RedisServer, one: str, two: str) -> None:
    """Neither outlooks nor leases; the keys of all begin with what the permissions of the server's user name."""
    redis.command("FLUSHALL")
    caches = [RedisCache(redis.url, name or "none", prefix_of(name)) for name in (one, two)]
    try:
        for cache in caches:
            assert await cache.lease(["a"], 60) == {"a"}
        await caches[0].publish({"a": outlook()}, 60)
        assert await caches[1].receive(["a"]) == {}
        assert set(await caches[0].receive(["a"])) == {"a"}
        assert all(key.startswith("headway:") for key in redis.command("KEYS", "*"))
    finally:
        for cache in caches:
            await cache.close()


def test_two_environments_answer_their_own_demand(
    tmp_path: Path, metrics: PrometheusServer, redis: RedisServer
) -> None:
    """The same ScaledObject, query and server address in both; what differs is behind the address."""
    redis.command("FLUSHALL")
    wanted = bystander()
    production = ("--redis", redis.url, "--installation", "production")
    staging = ("--redis", redis.url, "--installation", "staging")
    with (
        replica(tmp_path, metrics.url, *production, name="production") as one,
        replica(tmp_path, metrics.url, *staging, name="staging") as two,
    ):
        one.until_value(wanted, 1000)
        two.until_value(wanted, 1000)
        leases = redis.command("KEYS", "headway:*lease:*")
    assert {key.split(":")[1] for key in leases} == {"production", "staging"}
    assert len(leases) == 2

"""Reaching a Redis that is no plain server: URLs and their options, clusters, what is refused and in which words."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from scaler.errors import CacheUnavailable, SettingsError
from scaler.forecast.redis_cache import MOST_VALUE_BYTES, PREFIX, RECORDS_PER_CALL, RedisCache
from scaler.forecast.redis_replies import MOST_REPLY_BYTES
from scaler.series import Observation, Outlook
from scaler.settings.redis_url import server_name
from tests.servers.process import free_port, running, wait_until
from tests.servers.redis import redis_server, server_binary
from tests.servers.redis_cluster import RedisCluster, redis_cluster

KEYS = [f"shop/{{app}}-{number}/0f" for number in range(200)]
OUTLOOK = Outlook(1000.0, Observation(999.0, 1.0, 2.0, 3.0), None, "no forecast yet")


@asynccontextmanager
async def cache_at(url: str, replica: str = "one", prefix: str = PREFIX) -> AsyncIterator[RedisCache]:
    cache = RedisCache(url, replica, prefix)
    try:
        yield cache
    finally:
        await cache.close()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://user:pa%40ss@cache.example:6380/2?socket_timeout=3", "redis://cache.example:6380/2"),
        ("rediss://:p@cache.example", "rediss://cache.example"),
        ("unix://user@/run/redis.sock?password=secret", "unix:///run/redis.sock"),
    ],
)
def test_the_name_of_a_server_holds_no_secret(url: str, name: str) -> None:
    """User, password and options are not part of what is shown."""
    assert server_name(url) == name


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://cache:6379", "begin with redis://, rediss:// or unix://"),
        ("redis+sentinel://cache:26379", "begin with redis://"),
        ("cache:6379", "begin with redis://"),
        ("", "begin with redis://"),
        ("redis://cache:port/0", "the port in the URL is a number"),
        ("redis://cache:6379,other:6379/0", "the port in the URL is a number"),
        ("redis://cache/headway", "the number of a database"),
        ("redis://cache/0/1", "the number of a database"),
        ("redis://cache/0?colour=blue", "unknown option 'colour' in the URL. Known are db, username"),
        ("redis://cache/0?decode_responses=true", "unknown option 'decode_responses' in the URL. Headway stores bytes"),
        ("redis://cache/0?protocol=3", "unknown option 'protocol'"),
        ("redis://cache/0?ssl=true", "rediss://"),
        ("redis://cache/0?cluster=true", "A cluster is noticed without an option"),
        ("redis://cache/0?ssl_ca_certs=/ca.pem", "only a rediss:// URL has TLS"),
        ("rediss://cache/0?ssl_cert_reqs=maybe", "ssl_cert_reqs='maybe' in the URL: must be one of"),
        ("redis://cache/0?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis://cache/0?db=first", "Invalid value for 'db'"),
        ("redis://cache/0?password=s3cret&nothing", r"\?NAME=VALUE"),
        ("redis://[::1/0", "IPv6"),
        ("redis://:s3cret/x@cache:6379", "percent-encoded"),
        ("redis://:s3cret@x@cache:6379", "percent-encoded"),
        ("redis://:s3cret?x@cache:6379", "percent-encoded"),
        ("redis://:s3cret#x@cache:6379", "percent-encoded"),
        ("redis://cache/0?password=s3cret#x", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str, rule: str) -> None:
    """The rule is named when the cache is made, and nothing of the password."""
    with pytest.raises(SettingsError, match=rule) as caught:
        RedisCache(url, "one")
    assert "s3cret" not in str(caught.value)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster(3) as started:
        yield started


def test_all_keys_share_a_slot(cluster: RedisCluster) -> None:
    """Whatever is in the name of a trigger, one node of a cluster holds its outlook and its lease."""
    owners = {cluster.owner(f"{PREFIX}{kind}:{key}").port for kind in ("outlook", "lease") for key in KEYS}
    assert len(owners) == 1


@pytest.mark.server
@pytest.mark.parametrize("number", range(3))
async def test_any_node_leads_to_the_keys(cluster: RedisCluster, number: int) -> None:
    """The URL may lead to any node, and replicas whose URLs lead to different ones share everything."""
    async with cache_at(cluster.nodes[number].url) as one, cache_at(cluster.url, "two") as two:
        async with aclosing(two.wakes()) as wakes:
            assert await anext(wakes) == []
            await one.publish({f"{number}/{key}": OUTLOOK for key in KEYS}, 60)
            assert await asyncio.wait_for(anext(wakes), 10)
        assert len(await two.receive([f"{number}/{key}" for key in KEYS])) == len(KEYS)
        assert await one.lease([str(number)], 60) == {str(number)}
        assert await two.lease([str(number)], 60) == set()


@pytest.mark.server
async def test_keys_that_move_to_another_node_are_followed(cluster: RedisCluster) -> None:
    """When another node takes over the slot, the next operation finds it, without an error."""
    async with cache_at(cluster.url) as cache:
        for node in (*cluster.nodes, cluster.nodes[0]):
            await cache.publish({"a": OUTLOOK}, 60)
            if cluster.owner(PREFIX) is not node:
                cluster.move(PREFIX, node)
            await asyncio.gather(cache.lease(["a"], 60), cache.receive(["a"]), cache.publish({"a": OUTLOOK}, 60))
            assert list(await cache.receive(["a"])) == ["a"]
            assert node.command("EXISTS", f"{PREFIX}outlook:a") == 1


@pytest.mark.server
async def test_replicas_of_an_earlier_version_are_not_disturbed() -> None:
    """During an upgrade old and new replicas use the same server, and neither sees keys of the other."""
    with redis_server() as server:
        async with cache_at(server.url, "old", "headway:") as old, cache_at(server.url, "new") as new:
            await old.publish({"a": OUTLOOK}, 60)
            assert await new.receive(["a"]) == {}
            assert await old.lease(["a"], 60) == await new.lease(["a"], 60) == {"a"}
            async with Redis.from_url(server.url) as raw:
                assert set(await raw.keys("headway:*")) == set(await raw.keys("*"))


@pytest.mark.server
async def test_only_database_0_of_a_cluster(cluster: RedisCluster) -> None:
    """Another database than 0 is an error that names the rule."""
    async with cache_at(cluster.url.removesuffix("0") + "3") as cache:
        with pytest.raises(CacheUnavailable, match="database"):
            await cache.receive(["a"])


@pytest.mark.server
async def test_a_cluster_without_all_slots_is_reported() -> None:
    """A cluster that is not complete yet is unavailable, in words."""
    with redis_server(["--cluster-enabled", "yes", "--cluster-port", str(free_port())]) as server:
        async with cache_at(server.url) as cache:
            with pytest.raises(CacheUnavailable, match="does not serve every slot"):
                await cache.receive(["a"])


@pytest.mark.server
async def test_a_replica_that_only_reads_is_reported() -> None:
    """A URL that leads to a replica of the primary is an error that names the rule."""
    with redis_server() as primary, redis_server(["--replicaof", f"127.0.0.1 {primary.port}"]) as replica:
        async with cache_at(replica.url) as cache:
            with pytest.raises(CacheUnavailable, match="must lead to the primary"):
                await cache.lease(["a"], 60)


@pytest.mark.server
async def test_a_sentinel_is_reported() -> None:
    """A Sentinel holds no keys: the error asks for the address of the primary."""
    with sentinel() as port:
        async with cache_at(f"redis://127.0.0.1:{port}/0") as cache:
            for operation in (cache.receive(["a"]), cache.lease(["a"], 60), cache.publish({"a": OUTLOOK}, 60)):
                with pytest.raises(CacheUnavailable, match="for a Sentinel, give the address of the primary"):
                    await operation


@contextmanager
def sentinel() -> Iterator[int]:
    """The port of a running Sentinel."""
    with redis_server() as primary, TemporaryDirectory() as folder:
        port = free_port()
        configuration, log = Path(folder) / "sentinel.conf", Path(folder) / "sentinel.log"
        configuration.write_text(f"port {port}\nsentinel monitor headway 127.0.0.1 {primary.port} 1\n")
        with running([str(server_binary()), configuration, "--sentinel"], log) as process:
            wait_until(lambda: bool(socket.create_connection(("127.0.0.1", port), 1).close() is None), process, log)
            yield port


NOT_REDIS = {
    "http": b"HTTP/1.1 400 Bad Request\r\nServer: password=s3cret\r\n\r\n",
    "no number": b":abc\r\n" * 9,
    "a redirect to nowhere": b"-MOVED nowhere\r\n" * 9,
    "text": b"s3cret\r\n" * 9,
}


@pytest.mark.parametrize("answer", NOT_REDIS.values(), ids=NOT_REDIS.keys())
async def test_a_server_that_is_no_redis_is_reported(answer: bytes) -> None:
    """Whatever answers at the address, each operation fails with CacheUnavailable, and its text is not repeated."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, cache_at(f"redis://127.0.0.1:{port}/0") as cache:
        for operation in (cache.receive(["a"]), cache.lease(["a"], 60), cache.release(["a"]), anext(cache.wakes())):
            with pytest.raises(CacheUnavailable, match=r"does not answer as a Redis does|closed") as caught:
                await operation
            assert "s3cret" not in str(caught.value)


ENDLESS = {
    "a value of 4 GB": (b"$4000000000\r\n", b"x" * 65_536),
    "100 million numbers": (b"*100000000\r\n", b":1\r\n" * 16_384),
    "many values": (b"*100000000\r\n", b"$65520\r\n" + b"x" * 65_520 + b"\r\n"),
}


@pytest.mark.parametrize(("begin", "piece"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_reply_is_read_up_to_a_size(begin: bytes, piece: bytes) -> None:
    """Beyond it, no more is taken from whatever answers."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(OSError):
            await reader.read(65536)
            writer.write(begin)
            while not reader.at_eof() and sent < 4 * MOST_REPLY_BYTES:
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", "one", timeout_seconds=30)
    async with listener:
        with pytest.raises(CacheUnavailable, match="does not answer as a Redis does"):
            await cache.receive(["a"])
        await cache.close()
    assert sent < 2 * MOST_REPLY_BYTES


async def test_the_largest_reply_that_is_asked_for_is_read() -> None:
    """A chunk of records of the largest size."""
    largest = b"x" * MOST_VALUE_BYTES

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"*%d\r\n" % RECORDS_PER_CALL)
            writer.writelines([b"$%d\r\n%s\r\n" % (len(largest), largest)] * RECORDS_PER_CALL)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", "one", timeout_seconds=30)
    async with listener:
        assert await cache.receive([str(number) for number in range(RECORDS_PER_CALL)]) == {}
        assert cache.refused == RECORDS_PER_CALL
        await cache.close()


@pytest.mark.server
@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("", "user or password of the URL is refused"),
        (":wr0ng@", "user or password of the URL is refused"),
        ("nobody:wr0ng@", "user or password of the URL is refused"),
        ("reader:s3cret@", "lacks a permission"),
    ],
)
async def test_a_user_who_may_not_is_reported_without_the_password(user: str, reason: str) -> None:
    """Wrong credentials and missing permissions are named; what the server says of them is not repeated."""
    with redis_server() as server:
        server.command("ACL", "SETUSER", "reader", "on", ">s3cret", "~other:*", "+@read")
        server.command("CONFIG", "SET", "requirepass", "s3cret")
        async with cache_at(server.url.replace("redis://", f"redis://{user}")) as cache:
            with pytest.raises(CacheUnavailable, match=reason) as caught:
                await cache.receive(["a"])
    assert "wr0ng" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.server
async def test_the_permissions_that_are_needed() -> None:
    """A user with the keys and channels headway:* and no other permission than the documented ones works."""
    commands = (
        "eval",
        "set",
        "del",
        "getrange",
        "pttl",
        "time",
        "publish",
        "subscribe",
        "ping",
        "select",
    )
    with redis_server() as server:
        server.command(
            "ACL", "SETUSER", "headway", "on", ">s3cret", "~headway:*", "&headway:*", *[f"+{name}" for name in commands]
        )
        url = server.url.replace("redis://", "redis://headway:s3cret@")
        async with cache_at(url) as cache, cache_at(url, "two") as other, aclosing(other.wakes()) as wakes:
            assert await anext(wakes) == []
            await cache.publish({"a": OUTLOOK}, 60)
            assert await anext(wakes) == ["a"]
            assert list(await cache.receive(["a"])) == ["a"]
            assert await cache.lease(["a"], 60) == {"a"}
            await cache.release(["a"])

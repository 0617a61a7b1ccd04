"""The Redis cache when things go wrong: server away, silent or back again, rubbish values, odd URLs."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trustme
from redis.asyncio import Redis

from scaler.errors import CacheUnavailable
from scaler.forecast import redis_cache
from scaler.forecast.record import pack
from scaler.forecast.redis_cache import PREFIX, RedisCache
from scaler.series import Observation, Outlook
from tests.servers.redis import RedisServer, redis_server

OPERATIONS: dict[str, Callable[[RedisCache], Awaitable[object]]] = {
    "publish": lambda cache: cache.publish({"a": outlook(1000.0)}, 60),
    "receive": lambda cache: cache.receive(["a"]),
    "lease": lambda cache: cache.lease(["a"], 60),
    "release": lambda cache: cache.release(["a"]),
    "wakes": lambda cache: anext(cache.wakes()),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
pytestmark = pytest.mark.server


def outlook(counts_from: float) -> Outlook:
    return Outlook(counts_from, Observation(counts_from - 1, 1.0, 2.0, 3.0), None, "no forecast yet")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@asynccontextmanager
async def cache_at(url: str, timeout_seconds: float = 0.3) -> AsyncIterator[RedisCache]:
    cache = RedisCache(url, "one", timeout_seconds=timeout_seconds)
    try:
        yield cache
    finally:
        await cache.close()


@asynccontextmanager
async def tls_front(server: RedisServer, context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a TLS listener in front of the server, as a service mesh or a managed Redis puts one."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(server.socket))
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def works(cache: RedisCache) -> None:
    await cache.publish({"a": outlook(1000.0)}, 60)
    assert (await cache.receive(["a"]))["a"].counts_from == 1000.0
    assert await cache.lease(["a"], 60) == {"a"}


@each_operation
async def test_down_at_the_start_then_up(
    server: RedisServer, operation: Callable[[RedisCache], Awaitable[object]]
) -> None:
    """Without a server every operation says so; when it appears, the same cache works."""
    server.stop()
    async with cache_at(server.url) as cache:
        with pytest.raises(CacheUnavailable, match=f"redis://127.0.0.1:{server.port}/0"):
            await operation(cache)
        server.start()
        await operation(cache)
        await works(cache)


@each_operation
async def test_gone_in_between_then_back(
    server: RedisServer, operation: Callable[[RedisCache], Awaitable[object]]
) -> None:
    """A server that restarts breaks the operations while it is away, not those after."""
    async with cache_at(server.url) as cache:
        await works(cache)
        server.stop()
        with pytest.raises(CacheUnavailable):
            await operation(cache)
        server.start()
        await operation(cache)
        await works(cache)


@each_operation
async def test_a_paused_server_is_given_up_on_and_used_again(
    server: RedisServer, operation: Callable[[RedisCache], Awaitable[object]]
) -> None:
    """A server that holds its connections but answers nothing is unavailable in bounded time, on old and new ones."""
    async with cache_at(server.url) as used, cache_at(server.url) as fresh:
        await works(used)
        server.pause()
        for cache in (used, fresh):
            with pytest.raises(CacheUnavailable):
                await asyncio.wait_for(operation(cache), 10)
        server.resume()
        for cache in (used, fresh):
            await operation(cache)
            await works(cache)


@pytest.mark.parametrize("failure", ["stop", "pause"])
async def test_a_lost_subscription_is_reported_and_can_be_entered_again(
    server: RedisServer, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for wakes ends when the server stops or falls silent; entering again hears what comes then."""
    monkeypatch.setattr(redis_cache, "QUIET_SECONDS", 0.2)
    async with cache_at(server.url) as cache, cache_at(server.url) as other:
        wakes = cache.wakes()
        assert await anext(wakes) == []
        getattr(server, failure)()
        with pytest.raises(CacheUnavailable):
            await asyncio.wait_for(anext(wakes), 10)
        server.start() if failure == "stop" else server.resume()
        async with aclosing(cache.wakes()) as again:
            assert await anext(again) == []
            publisher = RedisCache(server.url, "two")
            await publisher.publish({"a": outlook(1000.0)}, 60)
            await publisher.close()
            assert await anext(again) == ["a"]
        await works(other)


async def test_a_quiet_subscription_lives(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence for a long time is not a failure."""
    monkeypatch.setattr(redis_cache, "QUIET_SECONDS", 0.02)
    async with cache_at(server.url) as cache, aclosing(cache.wakes()) as wakes:
        await anext(wakes)
        waiting = asyncio.ensure_future(anext(wakes))
        await asyncio.sleep(0.5)
        publisher = RedisCache(server.url, "two")
        await publisher.publish({"a": outlook(1000.0)}, 60)
        await publisher.close()
        assert await asyncio.wait_for(waiting, 10) == ["a"]


async def test_a_foreign_notice_is_passed_over(server: RedisServer) -> None:
    """Messages on the channel of others wake no replica and break nothing."""
    async with cache_at(server.url) as cache, aclosing(cache.wakes()) as wakes, Redis.from_url(server.url) as raw:
        await anext(wakes)
        for message in (b"", b"\xff\xfe", b"{}", b"7", b'["two"]', b'["two","a"]', b'["two",[],1]', b"null"):
            await raw.publish(f"{PREFIX}published", message)
        await raw.publish(f"{PREFIX}published", json.dumps(["two", ["a"]]))
        assert await anext(wakes) == ["a"]


async def test_rubbish_counts_as_absent_and_is_reported(server: RedisServer) -> None:
    """Foreign, damaged and wrongly typed values are left out, counted and logged; the others arrive."""
    damaged = bytearray(pack(outlook(1000.0)))
    damaged[20] ^= 1
    async with cache_at(server.url) as cache, Redis.from_url(server.url) as raw:
        await cache.publish({"good": outlook(1000.0)}, 60)
        await raw.set(f"{PREFIX}outlook:foreign", b"hello")
        await raw.set(f"{PREFIX}outlook:damaged", bytes(damaged))
        await raw.rpush(f"{PREFIX}outlook:list", b"hello")
        with structlog.testing.capture_logs() as logs:
            assert list(await cache.receive(["foreign", "good", "damaged", "list"])) == ["good"]
    assert cache.refused == 2
    assert [(log["event"], log["count"], log["first_key"]) for log in logs] == [("cache_values_refused", 2, "foreign")]


async def test_rubbish_is_overwritten(server: RedisServer) -> None:
    """Neither a foreign value, nor one from the far future that would never expire, keeps an outlook out."""
    rubbish = {"text": b"hello", "future": pack(outlook(9e9))}
    async with cache_at(server.url) as cache, Redis.from_url(server.url) as raw:
        for key, value in rubbish.items():
            await raw.set(f"{PREFIX}outlook:{key}", value)
        await raw.rpush(f"{PREFIX}outlook:list", b"hello")
        await cache.publish(dict.fromkeys([*rubbish, "list"], outlook(1000.0)), 60)
        received = await cache.receive([*rubbish, "list"])
    assert {key: o.counts_from for key, o in received.items()} == dict.fromkeys([*rubbish, "list"], 1000.0)


async def test_a_foreign_lease_holds_nothing_back_for_ever(server: RedisServer) -> None:
    """A lease without an end, or of another type, was not written by a replica and is taken."""
    async with cache_at(server.url) as cache, Redis.from_url(server.url) as raw:
        await raw.set(f"{PREFIX}lease:endless", b"somebody")
        await raw.rpush(f"{PREFIX}lease:list", b"somebody")
        assert await cache.lease(["endless", "list"], 60) == {"endless", "list"}
        assert await raw.pttl(f"{PREFIX}lease:endless") > 0


async def test_a_wrong_password_is_unavailable_and_never_shown() -> None:
    """A refused login names the server and the reason, not the password; the right one gets in."""
    with redis_server(["--requirepass", "s3cret"]) as server:
        host = f"127.0.0.1:{server.port}/0"
        async with cache_at(f"redis://:wr0ng@{host}") as cache:
            with pytest.raises(CacheUnavailable, match=host) as caught:
                await cache.receive(["a"])
        assert "wr0ng" not in str(caught.value)
        async with cache_at(f"redis://:s3cret@{host}") as cache:
            await works(cache)


async def test_a_full_server_is_unavailable_for_writing() -> None:
    """A server out of memory refuses to store, and still serves what it has."""
    with redis_server(["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]) as server:
        async with cache_at(server.url) as cache:
            with pytest.raises(CacheUnavailable, match="publishing"):
                await cache.publish({"a": outlook(1000.0)}, 60)
            assert await cache.receive(["a"]) == {}


async def test_a_unix_socket(server: RedisServer) -> None:
    """unix:// URLs are served."""
    async with cache_at(f"unix://{server.socket}") as cache:
        await works(cache)


async def test_tls(server: RedisServer, tmp_path: Path) -> None:
    """rediss:// URLs are served, and a certificate of an unknown authority is refused."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with tls_front(server, context) as port:
        async with cache_at(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}", 2.0) as cache:
            await works(cache)
        async with cache_at(f"rediss://127.0.0.1:{port}/0", 2.0) as cache:
            with pytest.raises(CacheUnavailable, match=r"(?i)certificate"):
                await works(cache)


async def test_answers_while_outlooks_travel(server: RedisServer) -> None:
    """Publishing and receiving many outlooks lets other work on the event loop run in between."""
    outlooks = {f"ns/app-{number}/0": outlook(1000.0) for number in range(3000)}
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(other_work())
    async with cache_at(server.url, 2.0) as cache:
        await cache.publish(outlooks, 60)
        await cache.receive(list(outlooks))
    working.cancel()
    assert turns > 2 * len(outlooks) / redis_cache.RECORDS_PER_CALL

"""The connection to a Redis or Valkey server, alone or as a cluster: URL, redirects, time limits, and errors in words.

All keys of one user of this module share a hash tag, so one node of a cluster holds them all. Whichever node the URL
leads to names that node in its answer (MOVED), which is then asked directly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from scaler.errors import CacheUnavailable, SettingsError
from scaler.forecast.redis_replies import BoundedParser
from scaler.forecast.redis_tls import TlsConnection
from scaler.settings.redis_url import check_redis_url, server_name
from scaler.telemetry.redaction import causes, excerpt, os_error_text

T = TypeVar("T")

CONNECT_SECONDS = 1.0
MOST_REDIRECTS = 3

_REASONS: tuple[tuple[type[RedisError], str], ...] = (
    (RedisTimeout, "no answer in time"),
    (AuthenticationError, "user or password of the URL is refused, or the server wants one"),
    (AuthorizationError, "the user of the URL is not allowed to connect"),
    (NoPermissionError, "the user of the URL lacks a permission: on keys and channels headway:*, and on the commands"),
    (InvalidResponse, "the server does not answer as a Redis does"),
    (BusyLoadingError, "the server is still loading its data"),
    (OutOfMemoryError, "the memory of the server is full"),
    (ReadOnlyError, "the server is a read-only replica: the URL must lead to the primary"),
    (ClusterDownError, "the cluster is down or does not serve every slot"),
    (MovedError, "the nodes of the cluster do not agree who holds the keys"),
    (AskError, "the cluster is moving the keys to another node"),
    (TryAgainError, "the cluster is moving the keys to another node"),
)
_RESPONSES = {
    "SELECT is not allowed in cluster mode": "a cluster has only database 0: the URL ends with /0",
    "DB index is out of range": "the server has no database of that number",
    "unknown command": "the server lacks a command: Redis 5 or later, or Valkey, is needed; "
    "for a Sentinel, give the address of the primary instead",
}
"""by a part of the server's text"""


class RedisConnection:
    """Asks the server at `url` (redis://, rediss:// or unix://); in a cluster, the node that holds the keys.

    Connects when first used, and again when needed. `name` is the server without user, password and options.
    `timeout_seconds` bounds one round trip. Raises SettingsError for a URL that cannot be used.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._first = _client(url, timeout_seconds)
        self.name = server_name(url)
        self._node = self._first

    async def ask(self, question: Callable[[Redis], Awaitable[T]]) -> T:
        """The answer to one command. To be called within `translated`."""
        for _ in range(MOST_REDIRECTS):
            try:
                return await question(self._node)
            except MovedError as moved:
                await self._use(_node_at(self._node, moved.host, moved.port))
        return await question(self._node)

    def subscription(self) -> PubSub:
        """Of the node that is asked now: in a cluster, every node passes on what is published at any other."""
        return self._node.pubsub()

    @asynccontextmanager
    async def translated(self, doing: str, calls: int = 1, seconds: float | None = None) -> AsyncIterator[None]:
        """Bounds what is done within, and turns every failure of the server into CacheUnavailable.

        Many calls get a fiftieth of the time limit more for each.
        """
        limit = seconds or self.timeout_seconds * (1 + calls / 50)
        try:
            async with asyncio.timeout(limit):
                yield
        except Exception as error:  # whatever redis-py raises where the server is no Redis
            # Names are resolved again, and another node may hold the keys by now.
            await self._use(self._first)
            raise CacheUnavailable(f"{self.name}: {doing}: {reason(error)}") from error

    async def close(self) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self.timeout_seconds):
                await self._node.aclose()
                await self._first.aclose()

    async def _use(self, node: Redis) -> None:
        """Ask this node from now on. The idle connections of the last one are closed."""
        last, self._node = self._node, node
        with suppress(RedisError, OSError):
            await last.connection_pool.disconnect(inuse_connections=False)


def reason(error: BaseException) -> str:
    """Why the server did not do what was asked, in words that may be shown."""
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    if isinstance(error, TimeoutError):
        return "no answer in time"
    for cause in causes(error):
        if isinstance(cause, OSError):
            return os_error_text(cause)
    if not isinstance(error, RedisError):
        return f"the server does not answer as a Redis does ({type(error).__name__})"
    text = excerpt(str(error)) or type(error).__name__
    if isinstance(error, ResponseError):
        return next((words for part, words in _RESPONSES.items() if part in text), text)
    return text


def _client(url: str, timeout_seconds: float) -> Redis:
    try:
        check_redis_url(url)
        client = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=min(CONNECT_SECONDS, timeout_seconds),
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            parser_class=BoundedParser,
        )
        if url.startswith("rediss:"):
            client.connection_pool.connection_class = TlsConnection
        # Some values are read only here.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsError(f"redis: {excerpt(str(error), 600)}") from error
    return client


def _node_at(known: Redis, host: str, port: int) -> Redis:
    """A node of the same cluster, reached in the same way as a known one. An empty host is the host of that one."""
    pool: Any = known.connection_pool
    if "host" not in pool.connection_kwargs:
        raise RedisError("a cluster cannot be reached through a unix socket: use redis:// or rediss://")
    if host in ("", "?"):
        host = pool.connection_kwargs["host"]
    kwargs = {**pool.connection_kwargs, "host": host, "port": port}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **kwargs))

"""The `ForecastCache` that replicas share through Redis (or Valkey): outlooks, leases and wakes.

Under the prefix: `outlook:KEY` (a packed outlook, expiring), `lease:KEY` (a replica's id, expiring), and the channel
`published`, whose messages are JSON `[replica, [key, …]]`. The scripts below run atomically on the server, one call
per chunk of keys. The prefix has a hash tag, so that one node of a cluster holds all keys.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from scaler.chunks import chunks
from scaler.errors import CacheUnavailable
from scaler.forecast.record import COUNTS_FROM_OFFSET, MARK, RecordInvalid, pack, unpack
from scaler.forecast.redis_connection import RedisConnection
from scaler.series import FURTHEST_AHEAD_SECONDS, Outlook

log = structlog.get_logger()

PREFIX = "headway:{v2}:"
"""what stands in the braces alone decides on the slot of a key. The number changes with what the keys mean, so that
during an upgrade old and new replicas do not read each other's keys."""

RECORDS_PER_CALL = 50
"""outlooks in one call: about 0.2 MB, and two or three milliseconds of this event loop"""
LEASES_PER_CALL = 500
QUIET_SECONDS = 5.0
"""without a wake for this long, the subscription is checked"""

# A known record is kept where it is whole, of this version, expiring, and counts from a later moment than the new one.
_PUBLISH = f"""
local replica, channel, milliseconds, prefix = unpack(ARGV, 1, 4)
local function counts_from(record)
  return (struct.unpack('<d', record, {COUNTS_FROM_OFFSET + 1}))
end
local function is_newer(known, record, key)
  return type(known) == 'string' and #known == {COUNTS_FROM_OFFSET + 8}
    and known:sub(1, {len(MARK)}) == record:sub(1, {len(MARK)})
    and counts_from(known) > counts_from(record)
    and counts_from(known) < tonumber(redis.call('TIME')[1]) + {FURTHEST_AHEAD_SECONDS}
    and redis.call('PTTL', key) > 0
end
local taken = {{}}
for i, key in ipairs(KEYS) do
  local record = ARGV[i + 4]
  if not is_newer(redis.pcall('GETRANGE', key, 0, {COUNTS_FROM_OFFSET + 7}), record, key) then
    redis.call('SET', key, record, 'PX', milliseconds)
    taken[#taken + 1] = key:sub(#prefix + 1)
  end
end
if #taken > 0 then
  redis.call('PUBLISH', channel, cjson.encode({{replica, taken}}))
end
return #taken
"""

# A lease that never expires was not written by us, and must not hold a trigger back for ever.
_LEASE = """
local replica, milliseconds = unpack(ARGV)
local own = {}
for i, key in ipairs(KEYS) do
  local holder = redis.pcall('GET', key)
  if not holder or holder == replica or type(holder) == 'table' or redis.call('PTTL', key) < 0 then
    redis.call('SET', key, replica, 'PX', milliseconds)
    own[#own + 1] = i
  end
end
return own
"""

_RELEASE = """
for i, key in ipairs(KEYS) do
  if redis.pcall('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


class RedisCache:
    """A cache shared by all replicas with the same server and prefix. Connects when first used, and again when needed.

    `url`: redis://, rediss:// or unix://; `replica_id` is this process's own name among them; `prefix` has a hash tag.
    `timeout_seconds` bounds one round trip; an operation over many keys gets a fiftieth of it more per call it takes.
    Raises SettingsError for a URL that cannot be used. `refused` counts received values that were no outlooks.
    """

    def __init__(self, url: str, replica_id: str, prefix: str = PREFIX, timeout_seconds: float = 2.0) -> None:
        self.refused = 0
        self._replica_id = replica_id
        self._outlooks, self._leases = f"{prefix}outlook:", f"{prefix}lease:"
        self._channel = f"{prefix}published"
        self._timeout_seconds = timeout_seconds
        self._closed = False
        self._redis = RedisConnection(url, timeout_seconds)

    async def publish(self, outlooks: Mapping[str, Outlook], seconds: float) -> None:
        head = (self._replica_id, self._channel, _milliseconds(seconds), self._outlooks)
        parts = list(chunks(list(outlooks), RECORDS_PER_CALL))
        async with self._redis.translated("publishing", len(parts)):
            for chunk in parts:
                records = [pack(outlooks[key]) for key in chunk]
                await self._run(_PUBLISH, self._outlooks, chunk, *head, *records)

    async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
        parts = list(chunks(keys, RECORDS_PER_CALL))
        received: dict[str, Outlook] = {}
        refused: list[tuple[str, RecordInvalid]] = []
        async with self._redis.translated("receiving", len(parts)):
            for chunk in parts:
                records = await self._records(chunk)
                for key, record in zip(chunk, records, strict=True):
                    if record is None:
                        continue
                    try:
                        received[key] = unpack(record)
                    except RecordInvalid as error:
                        refused.append((key, error))
        self._report_refused(refused)
        return received

    async def lease(self, keys: Sequence[str], seconds: float) -> set[str]:
        parts = list(chunks(keys, LEASES_PER_CALL))
        own: set[str] = set()
        async with self._redis.translated("leasing", len(parts)):
            for chunk in parts:
                taken = await self._run(_LEASE, self._leases, chunk, self._replica_id, _milliseconds(seconds))
                own.update(chunk[position - 1] for position in taken)
        return own

    async def release(self, keys: Sequence[str]) -> None:
        parts = list(chunks(keys, LEASES_PER_CALL))
        async with self._redis.translated("releasing", len(parts)):
            for chunk in parts:
                await self._run(_RELEASE, self._leases, chunk, self._replica_id)

    async def wakes(self) -> AsyncIterator[list[str]]:
        subscription = self._redis.subscription()
        try:
            async with self._redis.translated("subscribing"):
                await subscription.subscribe(self._channel)
            quiet_seconds = self._timeout_seconds  # until the subscription is confirmed
            while not self._closed:
                message = await self._next_message(subscription, quiet_seconds)
                quiet_seconds = QUIET_SECONDS
                if message["type"] == "subscribe":
                    yield []
                elif message["type"] == "message":
                    sender, keys = _notice(message["data"])
                    if keys and sender != self._replica_id:
                        yield keys
        except CacheUnavailable:
            if not self._closed:
                raise
        finally:
            with suppress(RedisError, OSError):
                await subscription.aclose()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        self._closed = True
        await self._redis.close()

    async def _records(self, keys: Sequence[str]) -> list[Any]:
        names = [self._outlooks + key for key in keys]
        return await self._redis.ask(lambda redis: redis.mget(names))

    async def _run(self, script: str, prefix: str, keys: Sequence[str], *arguments: Any) -> Any:
        names = [prefix + key for key in keys]
        return await self._redis.ask(lambda redis: redis.eval(script, len(names), *names, *arguments))

    async def _next_message(self, subscription: PubSub, quiet_seconds: float) -> dict[str, Any]:
        """The next message of any type; a connection that is quiet for this long is checked."""
        async with self._redis.translated("waiting for wakes", seconds=quiet_seconds + 2 * self._timeout_seconds):
            message = await subscription.get_message(timeout=quiet_seconds)
            if message is None:
                await subscription.ping()
                message = await subscription.get_message(timeout=self._timeout_seconds)
            if message is None:
                raise TimeoutError
            return dict(message)

    def _report_refused(self, refused: list[tuple[str, RecordInvalid]]) -> None:
        if refused:
            self.refused += len(refused)
            key, error = refused[0]
            log.warning(
                "cache_values_refused", server=self._redis.name, count=len(refused), first_key=key, reason=str(error)
            )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _notice(data: bytes) -> tuple[str, list[str]]:
    """Sender and keys of one message; no keys where it is none of ours."""
    try:
        sender, keys = json.loads(data)
    except (ValueError, TypeError):
        return "", []
    return str(sender), [str(key) for key in keys] if isinstance(keys, list) else []

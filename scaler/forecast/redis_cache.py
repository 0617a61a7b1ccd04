"""The `ForecastCache` that replicas share through Redis (or Valkey): outlooks, leases and wakes.

Under the prefix: `outlook:KEY` (a packed outlook, signed where there is a key, expiring), `lease:KEY` (a fencing token
and a replica's id, expiring), `token` (the last fencing token), and the channel `published`, whose messages are JSON
`[replica, [key, …]]`. The scripts (redis_scripts.py) run atomically on the server, one call per chunk of keys. The
prefix has a hash tag, so that one node of a cluster holds all keys.

Whatever the server holds is taken for foreign: sizes are bounded before a value is fetched, and a value that cannot be
used is as good as none, for its own key alone.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from scaler.chunks import chunks
from scaler.errors import CacheUnavailable
from scaler.forecast.record import MOST_RECORD_BYTES, RecordInvalid, pack, unpack
from scaler.forecast.redis_connection import RedisConnection
from scaler.forecast.redis_scripts import FETCH, HOLDERS, LEASE, PUBLISH, RELEASE
from scaler.forecast.signing import SIGNATURE_BYTES, Signer
from scaler.series import Outlook

log = structlog.get_logger()

RECORDS_PER_CALL = 50
"""outlooks in one call: about 0.2 MB, and two or three milliseconds of this event loop"""
LEASES_PER_CALL = 500
QUIET_SECONDS = 5.0
"""without a wake for this long, the subscription is checked"""
MOST_NOTICE_BYTES, LONGEST_KEY = 128 * 1024, 1024
"""of one message; characters of one key in it"""
NO_TOKEN = (0, 0.0)
TOKENS_KEPT_SECONDS = 7200.0
"""a replica that was stopped for longer has no lease; then the order of outlooks alone decides"""
MOST_VALUE_BYTES = MOST_RECORD_BYTES + SIGNATURE_BYTES


def prefix_of(installation: str = "") -> str:
    """What the keys of an installation begin with; all of them begin with `headway:`.

    What stands in the braces alone decides on the slot of a key. The number changes with what the keys mean, so that
    during an upgrade old and new replicas do not read each other's keys.
    """
    return f"headway:{installation}:{{v3}}:" if installation else "headway:{v3}:"


PREFIX = prefix_of()


class RedisCache:
    """A cache shared by all replicas with the same server and prefix. Connects when first used, and again when needed.

    `url`: redis://, rediss:// or unix://; `replica_id` is this process's own name among them; `prefix` has a hash tag.
    `timeout_seconds` bounds one round trip; an operation over many keys gets a fiftieth of it more per call it takes.
    With a `signer`, outlooks are signed, and those that are not are refused. Raises SettingsError for a URL that cannot
    be used. `refused` counts received values that were no outlooks.
    """

    def __init__(
        self,
        url: str,
        replica_id: str,
        prefix: str = PREFIX,
        timeout_seconds: float = 2.0,
        signer: Signer | None = None,
    ) -> None:
        self.refused = 0
        self._signer = signer
        self._tokens: dict[str, tuple[int, float]] = {}
        """of the leases that this replica holds, as far as it knows, and when it was last sure"""
        self._next_sweep = 0.0
        self._replica_id = replica_id
        self._outlooks, self._leases = f"{prefix}outlook:", f"{prefix}lease:"
        self._channel, self._token = f"{prefix}published", f"{prefix}token"
        self._timeout_seconds = timeout_seconds
        self._closed = False
        self._redis = RedisConnection(url, timeout_seconds)

    @property
    def replica_id(self) -> str:
        return self._replica_id

    async def publish(self, outlooks: Mapping[str, Outlook], seconds: float) -> None:
        head = (self._replica_id, self._channel, _milliseconds(seconds), self._outlooks, self._leases)
        refused: list[tuple[str, RecordInvalid]] = []
        parts = list(chunks(list(outlooks), RECORDS_PER_CALL))
        self._refresh_keys()
        async with self._redis.translated("publishing", len(parts)):
            for chunk in parts:
                records: dict[str, bytes] = {}
                for key in chunk:
                    try:
                        records[key] = self._packed(key, outlooks[key])
                    except RecordInvalid as error:
                        refused.append((key, error))
                names = [*(self._outlooks + key for key in records), *(self._leases + key for key in records)]
                if names:
                    await self._run(PUBLISH, names, *head, *records.values())
        if refused:
            first, why = refused[0]
            log.warning("cache_values_not_shared", count=len(refused), first_key=first, reason=str(why))

    async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
        parts = list(chunks(keys, RECORDS_PER_CALL))
        self._refresh_keys()
        received: dict[str, Outlook] = {}
        refused: list[tuple[str, RecordInvalid]] = []
        async with self._redis.translated("receiving", len(parts)):
            for chunk in parts:
                values = await self._run(FETCH, [self._outlooks + key for key in chunk], MOST_VALUE_BYTES)
                for key, value in zip(chunk, values, strict=True):
                    if value is None:
                        continue
                    try:
                        received[key] = self._unpacked(key, value)
                    except RecordInvalid as error:
                        refused.append((key, error))
        self._report_refused(refused)
        return received

    async def lease(self, keys: Sequence[str], seconds: float) -> set[str]:
        parts = list(chunks(keys, LEASES_PER_CALL))
        own: set[str] = set()
        async with self._redis.translated("leasing", len(parts)):
            for chunk in parts:
                names = [self._token, *(self._leases + key for key in chunk)]
                taken, tokens = await self._run(LEASE, names, self._replica_id, _milliseconds(seconds))
                for key in chunk:
                    self._tokens.pop(key, None)
                now = time.monotonic()
                mine = {chunk[position - 1]: (int(token), now) for position, token in zip(taken, tokens, strict=True)}
                self._tokens |= mine
                own |= mine.keys()
        self._sweep()
        return own

    async def holders(self, keys: Sequence[str]) -> dict[str, int]:
        parts = list(chunks(keys, LEASES_PER_CALL))
        found: Counter[str] = Counter()
        async with self._redis.translated("reading leases", len(parts)):
            for chunk in parts:
                holders = await self._run(HOLDERS, [self._leases + key for key in chunk])
                found.update(holder.decode(errors="replace") for holder in holders if holder)
        return dict(found)

    async def release(self, keys: Sequence[str]) -> None:
        parts = list(chunks(keys, LEASES_PER_CALL))
        async with self._redis.translated("releasing", len(parts)):
            for chunk in parts:
                await self._run(RELEASE, [self._leases + key for key in chunk], self._replica_id)
        for key in keys:
            self._tokens.pop(key, None)

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

    async def _run(self, script: str, names: Sequence[str], *arguments: Any) -> Any:
        return await self._redis.ask(lambda redis: redis.eval(script, len(names), *names, *arguments))

    def _sweep(self) -> None:
        """Forget tokens of triggers that are no longer watched."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + TOKENS_KEPT_SECONDS
        self._tokens = {key: one for key, one in self._tokens.items() if now - one[1] < TOKENS_KEPT_SECONDS}

    def _refresh_keys(self) -> None:
        if self._signer is not None:
            self._signer.refresh()

    def _packed(self, key: str, outlook: Outlook) -> bytes:
        record = pack(outlook, self._tokens.get(key, NO_TOKEN)[0])
        return record if self._signer is None else self._signer.signed(self._outlooks + key, record)

    def _unpacked(self, key: str, value: Any) -> Outlook:
        if not isinstance(value, bytes):
            raise RecordInvalid(f"a value has at most {MOST_VALUE_BYTES} bytes, this one more")
        record = value if self._signer is None else self._signer.verified(self._outlooks + key, value)
        if record is None:
            raise RecordInvalid("not signed with a key of redis-signing-key-file")
        return unpack(record)

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
    if len(data) > MOST_NOTICE_BYTES:
        return "", []
    try:
        sender, keys = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return "", []
    if not isinstance(sender, str) or not isinstance(keys, list) or len(keys) > RECORDS_PER_CALL:
        return "", []
    return sender, [key for key in keys if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY]

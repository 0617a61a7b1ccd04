"""4. Shared records: what lies in Redis is taken for foreign, and hurts nothing but its own key."""

import asyncio
import json
import random
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from scaler.decide import decide
from scaler.errors import NotReady, SettingsError, SourceUnavailable
from scaler.forecast import redis_cache
from scaler.forecast.record import MARK, MOST_RECORD_BYTES, RecordInvalid, pack, unpack
from scaler.forecast.redis_cache import PREFIX, RedisCache
from scaler.forecast.signing import ROTATION_SECONDS, SIGNATURE_BYTES, Signer
from scaler.plan.memory import observe, resume
from scaler.plan.rule import News
from scaler.registry import Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import PolicyName, Trigger, TriggerRules
from tests.isolation.world import BYSTANDER, bystander, figure, replica
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer

NOW = 1_700_000_000.0
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
KEY = f"{BYSTANDER}/orders/0123456789abcdef"


def outlook(at: float = NOW, value: float = 1000.0, steps: int = 12) -> Outlook:
    rising = np.linspace(value, 2 * value, steps, dtype=np.float32)[:, None] * np.linspace(
        0.5, 1.5, 8, dtype=np.float32
    )
    forecast = Forecast(at, 60.0, LEVELS, rising, (1, 5, 10), rising[[0, 4, 9]], "seasonal@1")
    seen = Observation(at, value, value, 2 * value)
    return Outlook(at + 1, seen, forecast, "slow", {"replicas": 3.0, "growth": 1.5})


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


RECORD = pack(outlook())
BODY = RECORD[:-4]
TRIGGERS = [
    Trigger(
        *("shop", f"web-{number}", "vector(1)", threshold, "http://prometheus"),
        policy=policy,
        lead_time_seconds=lead,
        quantile=quantile,
        key=f"shop/web-{number}/0",
    )
    for number, (policy, threshold, lead, quantile) in enumerate(
        [
            (PolicyName.AGGRESSIVE, 10.0, 120.0, 0.9),
            (PolicyName.BALANCED, 1e-6, 7200.0, 0.5),
            (PolicyName.CONSERVATIVE, 9e15, 30.0, 0.999),
        ]
    )
]
interesting = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e-300, 1e15, 1e16, 1e300, -1e300, NOW, NOW + 29, NOW + 61, 1e11]),
    st.floats(width=64),
    st.floats(width=32),
)


def can_be_planned_from(record: bytes) -> None:
    """Whatever is accepted: at its own time, long before and long after, by every kind of trigger, and taken over."""
    try:
        read = unpack(record)
    except RecordInvalid:
        return
    start = read.counts_from
    moments = [start, start - 31, start + 14.9, start + 100, start - 3600, start + 7200, start + 1e7, 0.0, NOW]
    for trigger in TRIGGERS:
        for now in moments:
            plan = decide(trigger, read, now, 15.0)
            assert plan.metric is None or 0 <= plan.metric <= 9.2e15
        memory = resume(read.remembered, start)
        observe(memory, News(trigger, NOW, read.observation, read.forecast, 1.0, 15.0))
    registry = Registry(TriggerRules("http://prometheus"), 15.0)
    one = registry.register("shop", "web", {"query": "vector(1)", "threshold": "10"}, NOW)
    registry.receive(one.trigger.key, read, NOW)
    for now in (NOW, NOW + 40, NOW - 3600):
        with suppress(SourceUnavailable, NotReady):
            registry.answer(one, now)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A well-sealed record, in which numbers, bytes and lengths are others."""
    body = bytearray(BODY)
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.integers(0, 3))
        at = draw(st.integers(0, len(body) - 9) | st.sampled_from(range(4, 88)))
        if kind == 0:
            struct.pack_into("<d", body, at // 8 * 8, draw(interesting))
        elif kind == 1:
            struct.pack_into("<f", body, at // 4 * 4, draw(st.floats(width=32)))
        elif kind == 2:
            struct.pack_into("<H", body, at // 2 * 2, draw(st.sampled_from([0, 1, 2, 8, 12, 255, 2880, 65535])))
        else:
            body[at] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([0, 0, 0, 1, 8]))
    return sealed(bytes(body[: len(body) - cut]))


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_whatever_is_accepted_can_be_planned_from(record: bytes) -> None:
    """Mutated records are refused, or give a plan within KEDA's numbers."""
    can_be_planned_from(record)


@st.composite
def generated(draw: st.DrawFn) -> Outlook:
    """An outlook of the right shape with numbers of any size."""
    base = outlook(steps=draw(st.integers(1, 12).filter(lambda steps: steps >= 10)))
    assert base.forecast is not None
    number = st.sampled_from([NOW, NOW + 1, NOW - 1, 0.0, 15.0, 60.0]) | interesting
    forecast = replace(base.forecast, start=draw(number), step_seconds=draw(st.sampled_from([1.0, 60.0]) | interesting))
    seen = Observation(draw(number), abs(draw(interesting)), abs(draw(interesting)), abs(draw(interesting)))
    remembered = {"replicas": draw(interesting), "growth": draw(st.floats(1, 2))}
    return Outlook(
        draw(number),
        draw(st.sampled_from([seen, None])),
        draw(st.sampled_from([forecast, None])),
        draw(st.text(max_size=30)),
        draw(st.sampled_from([remembered, {}])),
    )


@given(generated())
@settings(max_examples=300, deadline=None)
@example(replace(outlook(), forecast=replace(outlook().forecast, step_seconds=5e-324)))  # type: ignore[type-var]
def test_so_can_whatever_numbers_are_in_it(made: Outlook) -> None:
    """As a replica with a broken bundle or clock would publish it."""
    with suppress(RecordInvalid, OverflowError):
        can_be_planned_from(pack(made))


def test_thousands_of_random_changes_raise_nothing_else() -> None:
    """The attack that was seen: single bytes of the header and of the numbers, sealed again."""
    chance = random.Random(15)
    for _ in range(3000):
        body = bytearray(BODY)
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(4, 120 if chance.random() < 0.7 else len(body))] = chance.randrange(256)
        can_be_planned_from(sealed(bytes(body)))


# Over a real Redis


@asynccontextmanager
async def replicas(redis: RedisServer, *signers: Signer | None) -> AsyncIterator[Sequence[RedisCache]]:
    redis.command("FLUSHALL")
    caches = [RedisCache(redis.url, f"replica-{n}", signer=signer) for n, signer in enumerate(signers)]
    try:
        yield caches
    finally:
        for cache in caches:
            await cache.close()


async def put(redis: RedisServer, key: str, value: bytes) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.set(f"{PREFIX}outlook:{key}", value, px=60_000)


async def get(redis: RedisServer, key: str) -> bytes:
    async with Redis.from_url(redis.url) as client:
        return bytes(await client.get(f"{PREFIX}outlook:{key}"))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("a" * 40)
    return path


@pytest.mark.server
async def test_what_is_not_signed_is_refused(redis: RedisServer, key_file: Path) -> None:
    """With a key, a replica takes only what a replica with that key wrote, under that very key and unchanged."""
    async with replicas(redis, Signer(key_file), Signer(key_file), None) as (one, two, unsigned):
        await one.publish({KEY: outlook(), "other": outlook(value=1.0)}, 60)
        assert set(await two.receive([KEY, "other"])) == {KEY, "other"}
        assert await unsigned.receive([KEY]) == {}
        signed, small = await get(redis, KEY), await get(redis, "other")
        forged = bytearray(signed)
        forged[40] ^= 1
        foreign = pack(outlook(value=0.0))
        for value in (foreign, small, bytes(forged), foreign + bytes(SIGNATURE_BYTES), signed[:-1], b"x", signed[-32:]):
            await put(redis, KEY, value)
            assert await two.receive([KEY]) == {}, value[:8]
        await put(redis, KEY, signed)
        assert set(await two.receive([KEY])) == {KEY}


@pytest.mark.server
async def test_the_key_can_be_changed_while_replicas_run(redis: RedisServer, tmp_path: Path) -> None:
    """First as a second line everywhere, then as the first; what the old key signed counts for an hour longer."""
    files, time = [tmp_path / "one", tmp_path / "two"], [0.0]
    old, new = "o" * 32, "n" * 32
    for file in files:
        file.write_text(old)
    async with replicas(redis, *(Signer(file, lambda: time[0]) for file in files)) as (one, two):
        at = NOW
        for first, second in [
            (f"{old}\n{new}", old),
            (f"{old}\n{new}", f"{old}\n{new}\n"),
            (f"{new}\n{old}", f"{old}\n{new}"),
            (new, new),
        ]:
            at += 15
            await one.publish({KEY: outlook(at)}, 60)
            files[0].write_text(first)
            files[1].write_text(second)
            assert set(await two.receive([KEY])) == {KEY}
            at += 1
            await one.publish({KEY: outlook(at)}, 60)
            assert set(await two.receive([KEY])) == {KEY}, (first, second)
        await put(redis, KEY, await get(redis, KEY))
        files[1].write_text("x" * 32)
        assert set(await two.receive([KEY])) == {KEY}
        time[0] += ROTATION_SECONDS + 1
        assert await two.receive([KEY]) == {}


@pytest.mark.parametrize("content", ["", "short", "a" * 31, "\n".join(["a" * 40] * 5), "a" * 5000])
def test_a_key_file_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path, content: str) -> None:
    """By the name of the setting; the content is not repeated."""
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(SettingsError, match="redis-signing-key-file") as caught:
        Signer(path)
    assert not content or content not in str(caught.value)


@pytest.mark.server
async def test_a_huge_value_is_not_fetched(redis: RedisServer) -> None:
    """Nor does it hide the others of the same call; a publication replaces it."""
    async with replicas(redis, None) as (cache,):
        await cache.publish({"a": outlook()}, 60)
        redis.command("SETRANGE", f"{PREFIX}outlook:huge", 200_000_000, "x")
        redis.command("PEXPIRE", f"{PREFIX}outlook:huge", 60_000)
        redis.command("SETRANGE", f"{PREFIX}lease:huge", 200_000_000, "x")
        redis.command("CLIENT", "REPLY", "ON")
        before = sent_bytes(redis)
        assert set(await cache.receive(["a", "huge"])) == {"a"}
        assert sent_bytes(redis) - before < 2 * MOST_RECORD_BYTES
        await cache.publish({"huge": outlook()}, 60)
        assert set(await cache.receive(["a", "huge"])) == {"a", "huge"}
        assert await cache.lease(["huge"], 60) == {"huge"}


def sent_bytes(redis: RedisServer) -> int:
    info = redis.command("INFO", "stats")
    found = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
    return int(found["total_net_output_bytes"])


@pytest.mark.server
@pytest.mark.parametrize("kind", ["outlook", "lease", "token"])
@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", "x"),
        ("HSET", "x", "y"),
        ("SADD", "x"),
        ("XADD", "*", "x", "y"),
        ("SET", "\x00\xff{"),
        ("SET", "9" * 400),
    ],
    ids=["list", "hash", "set", "stream", "bytes", "digits"],
)
async def test_a_key_of_another_type_hurts_nothing_else(
    redis: RedisServer, kind: str, command: tuple[str, ...]
) -> None:
    """Publishing, receiving and leasing work for every other key, and for this one as well."""
    async with replicas(redis, None, None) as (one, two):
        redis.command(command[0], f"{PREFIX}token" if kind == "token" else f"{PREFIX}{kind}:a", *command[1:])
        assert await one.lease(["a", "b"], 60) == {"a", "b"}
        assert await two.lease(["a", "b"], 60) == set()
        await one.publish({"a": outlook(), "b": outlook()}, 60)
        assert set(await two.receive(["a", "b"])) == {"a", "b"}
        await one.release(["a", "b"])
        assert await two.lease(["a", "b"], 60) == {"a", "b"}


@pytest.mark.server
@pytest.mark.parametrize(
    "value", ["99999999999999999999 other", "1 other", "-1 other", "nan other", "1e300 other", " other"]
)
async def test_a_forged_lease_does_not_hold_a_trigger_for_long(redis: RedisServer, value: str) -> None:
    """Without an end, or with a far one, or a token that cannot be, it is none."""
    async with replicas(redis, None) as (cache,):
        redis.command("SET", f"{PREFIX}lease:a", value)
        redis.command("SET", f"{PREFIX}lease:b", value, "EX", 10**6)
        assert await cache.lease(["a", "b"], 60) == {"a", "b"}


@pytest.mark.server
@pytest.mark.parametrize(
    "notice",
    [
        b"[" * 100_000,
        b'["x", [' + b'"y",' * 2_000_000 + b'"y"]]',
        json.dumps(["x", ["y" * 5000]]).encode(),
        json.dumps(["x", [f"k{n}" for n in range(51)]]).encode(),
        json.dumps(["x", [1, None, {"a": 1}, ["b"], ""]]).encode(),
        json.dumps([["x"], ["y"]]).encode(),
        b'{"a": 1, "b": 2}',
        b"\xff\xfe",
        b"1e999999",
    ],
    ids=lambda notice: repr(notice[:12]),
)
async def test_a_forged_wake_is_passed_over(redis: RedisServer, notice: bytes) -> None:
    """And the next one of a replica is heard."""
    async with replicas(redis, None, None) as (one, two), aclosing(two.wakes()) as wakes:
        assert await anext(wakes) == []
        async with Redis.from_url(redis.url) as client:
            await client.publish(f"{PREFIX}published", notice)
        await one.publish({KEY: outlook()}, 60)
        async with asyncio.timeout(10):
            assert await anext(wakes) == [KEY]


@given(st.binary(max_size=2000) | st.text().map(lambda text: json.dumps(["x", [text]]).encode()))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_notice_is_keys_or_nothing(data: bytes) -> None:
    """Whatever bytes come."""
    sender, keys = redis_cache._notice(data)
    assert isinstance(sender, str)
    assert all(isinstance(key, str) and 0 < len(key) <= redis_cache.LONGEST_KEY for key in keys)


@pytest.mark.server
def test_replicas_answer_on_while_every_record_is_forged(
    tmp_path: Path, metrics: PrometheusServer, redis: RedisServer, key_file: Path
) -> None:
    """A zero from the near future, written over every outlook again and again: with a key, nobody takes it."""
    redis.command("FLUSHALL")
    wanted = bystander()
    options = ("--redis", redis.url, "--redis-signing-key-file", str(key_file))
    with (
        replica(tmp_path, metrics.url, *options, name="one") as one,
        replica(tmp_path, metrics.url, *options, name="two") as two,
    ):
        for each in (one, two):
            each.until_value(wanted, 1000)
        answers = []
        for _ in range(24):
            now = float(redis.command("TIME")[0])
            for name in redis.command("KEYS", f"{PREFIX}outlook:*"):
                forged = pack(Outlook(now + 20, Observation(now + 20, 0.0, 0.0, 0.0), None), 1e12)
                overwrite(redis, name, forged)
            answers += [*one.poll(wanted, 0.25), *two.poll(wanted, 0.25)]
        refused = [figure(each, "headway_cache_refused_total") for each in (one, two)]
    assert {call.number for call in answers} == {1000.0}
    assert "cache_values_refused" in one.log() + two.log()
    assert sum(refused) > 0


def overwrite(redis: RedisServer, name: str, value: bytes) -> None:
    import redis as client_library

    with client_library.Redis(unix_socket_path=str(redis.socket)) as client:
        client.set(name, value, px=60_000)
        client.publish(f"{PREFIX}published", json.dumps(["forger", [name.removeprefix(f"{PREFIX}outlook:")]]))


def test_the_mark_is_of_this_layout() -> None:
    """A record of another version is never read as one of this."""
    assert RECORD.startswith(MARK)

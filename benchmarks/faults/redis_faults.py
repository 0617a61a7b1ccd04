"""Redis, which the replicas share: down, hanging, emptied, full, and with records that none of them wrote."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from random import Random
from typing import Any

import redis
from redis.exceptions import RedisError

from scaler.commands.check.keda_client import OurTrigger
from scaler.settings import Settings
from tests.servers.redis import RedisServer, redis_server

from .suite import Fault, Run, down, hanging, one_by_one
from .world import replicas, settled, triggers

FAMILY = "Redis"
REPLICAS = 3
NEIGHBOUR = "neighbour-with-little"
FORGE_EVERY_SECONDS = 0.1
Forgery = Callable[[bytes, Random], bytes]


def flipped(record: bytes, random: Random) -> bytes:
    """One to eight bytes of it changed."""
    damaged = bytearray(record)
    for _ in range(random.randint(1, 8)):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return bytes(damaged)


def sealed(change: Forgery) -> Forgery:
    """The same with a checksum that is right, as whoever knows the layout would write it."""
    import struct
    import zlib

    def forge(record: bytes, random: Random) -> bytes:
        body = change(record[:-4], random)
        return body + struct.pack("<I", zlib.crc32(body))

    return forge


def cut(record: bytes, random: Random) -> bytes:
    """Its beginning alone."""
    return record[: random.randrange(len(record))]


def foreign(_: bytes, random: Random) -> bytes:
    """What another program would store."""
    return random.choice([b"", b"{}", b"0", b"\x80\x04N.", b"x" * 100_000, random.randbytes(500)])


class Redis:
    """The faults of one server."""

    def __init__(self, server: RedisServer, random: Random) -> None:
        self.server, self.random = server, random

    @contextmanager
    def flushed(self) -> Iterator[None]:
        self._command("FLUSHALL")
        yield

    @contextmanager
    def restarted(self) -> Iterator[None]:
        self.server.stop()
        self.server.start()
        yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """Every write is refused."""
        self._command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self._command("CONFIG", "SET", "maxmemory", "1")
        try:
            yield
        finally:
            self._command("CONFIG", "SET", "maxmemory", "0")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """It has become the replica of a server that is not there, as after a failover."""
        self._command("REPLICAOF", "127.0.0.1", "9")
        try:
            yield
        finally:
            self._command("REPLICAOF", "NO", "ONE")

    @contextmanager
    def disconnecting(self) -> Iterator[None]:
        """All connections are closed several times a second."""
        with self._repeated(lambda client: client.execute_command("CLIENT", "KILL", "TYPE", "normal")):
            yield

    @contextmanager
    def wrong_types(self) -> Iterator[None]:
        """Lists where records and leases were."""

        def spoil(client: Any) -> None:
            for key in client.scan_iter("*headway*", count=1000):
                client.delete(key)
                client.rpush(key, "a", "b")

        with self._repeated(spoil):
            yield

    @contextmanager
    def leases_held_by_nobody(self) -> Iterator[None]:
        """Each lease belongs to a replica that does not exist."""

        def take(client: Any) -> None:
            for key in client.scan_iter("*lease*", count=1000):
                client.set(key, "nobody", px=60_000)

        with self._repeated(take):
            yield
        with self._client() as client:
            for key in client.scan_iter("*lease*", count=1000):
                client.delete(key)

    def forged(self, forge: Forgery) -> Callable[[], Any]:
        """Records are replaced as fast as they are published, and the replicas are woken for them."""

        @contextmanager
        def injected() -> Iterator[None]:
            def replace(client: Any) -> None:
                for key in client.scan_iter("*outlook*", count=1000):
                    with suppress(RedisError):
                        record = client.get(key)
                        if record:
                            client.set(key, forge(record, self.random), px=60_000)
                self._wake(client)

            with self._repeated(replace):
                yield

        return injected

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """The records of this moment again and again, over newer ones."""
        with self._client() as client:
            old = {key: client.get(key) for key in client.scan_iter("*outlook*", count=1000)}

        def restore(again: Any) -> None:
            for key, record in old.items():
                again.set(key, record, px=60_000)
            self._wake(again)

        with self._repeated(restore):
            yield

    @contextmanager
    def exchanged(self) -> Iterator[None]:
        """The record of a neighbour with little demand in the place of the bystander's."""

        def exchange(client: Any) -> None:
            keys = list(client.scan_iter("*outlook*", count=1000))
            little = [client.get(key) for key in keys if NEIGHBOUR.encode() in key]
            for key in keys:
                if NEIGHBOUR.encode() not in key and little and little[0]:
                    client.set(key, little[0], px=60_000)
            self._wake(client)

        with self._repeated(exchange):
            yield

    @contextmanager
    def forged_messages(self) -> Iterator[None]:
        """Nonsense on every channel."""
        texts = [b"", b"[", b"[]", b'["x", 5]', b'["x", ["' + b"k" * 100_000 + b'"]]', b"\xff" * 100, b"null"]

        def publish(client: Any) -> None:
            for channel in client.pubsub_channels("*"):
                for text in texts:
                    client.publish(channel, text)

        with self._repeated(publish):
            yield

    def _wake(self, client: Any) -> None:
        import json

        keys = [key.split(b"outlook:", 1)[-1].decode(errors="replace") for key in client.scan_iter("*outlook*")]
        for channel in client.pubsub_channels("*"):
            client.publish(channel, json.dumps(["somebody", keys]))

    @contextmanager
    def _repeated(self, work: Callable[[Any], object]) -> Iterator[None]:
        ends = threading.Event()

        def run() -> None:
            while not ends.is_set():
                with suppress(RedisError, OSError), self._client() as client:
                    while not ends.wait(FORGE_EVERY_SECONDS):
                        work(client)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join(10)

    def _client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.server.socket))

    def _command(self, *parts: str) -> None:
        self.server.command(*parts)


def faults(server: Redis) -> list[Fault]:
    injected: dict[str, Callable[[], Any]] = {
        "down": partial(down, server.server),
        "hanging": partial(hanging, server.server),
        "restarted empty": server.restarted,
        "flushed": server.flushed,
        "full: writes refused": server.full,
        "read-only after a failover": server.read_only,
        "connections closed": server.disconnecting,
        "values of another type": server.wrong_types,
        "leases held by nobody": server.leases_held_by_nobody,
        "forged: bytes flipped": server.forged(flipped),
        "forged: bytes flipped, checksum right": server.forged(sealed(flipped)),
        "forged: cut short": server.forged(cut),
        "forged: foreign values": server.forged(foreign),
        "forged: messages": server.forged_messages,
        "replayed: old records over newer ones": server.replayed,
    }
    return [Fault(name, one, long_seconds=26 if name in LONG else 14) for name, one in injected.items()]


LONG = ("down", "hanging")
QUICK = ("down", "flushed", "forged: bytes flipped, checksum right", "signed: bytes flipped")


def run_family(run: Run) -> None:
    """Three replicas that share one Redis; the bystander asks them in turn. First without a signing key, then with."""
    _group(run, "unsigned", (), faults)
    if "redis_signing_key_file" not in Settings.model_fields:
        run.left_out.append("records that are signed: this version has no signing key")
        return
    key = run.place("redis-key") / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    _group(run, "signed", ("--redis-signing-key-file", str(key)), _signed_faults)


def _signed_faults(server: Redis) -> list[Fault]:
    """What only a signature keeps out."""
    return [
        Fault("signed: a neighbour's record for the bystander's", server.exchanged, long_seconds=14),
        Fault("signed: bytes flipped", server.forged(flipped), long_seconds=14),
    ]


def _group(run: Run, name: str, options: tuple[str, ...], made: Callable[[Redis], list[Fault]]) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        given = ("--prometheus", run.prometheus.url, "--redis", server.url, *options)
        group = stack.enter_context(replicas(run.place(f"redis-{name}"), REPLICAS, *given))
        wanted = triggers(run.prometheus.url)
        neighbour = OurTrigger(0, NEIGHBOUR, "little", {"query": "vector(10)", "threshold": "1", "mode": "reactive"})
        group.until_forecast([*wanted, neighbour])
        watches = stack.enter_context(group.watched(wanted))
        settled(watches, REPLICAS)
        chosen = [one for one in made(Redis(server, run.random)) if not run.quick or one.name in QUICK]
        one_by_one(run, FAMILY, chosen, watches, REPLICAS, run.times(4, 2))

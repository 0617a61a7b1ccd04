"""What a hostile neighbour sends, in a process of its own: `python -m … KIND ADDRESS COUNT`. Prints how calls ended."""

import itertools
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping

import grpc

from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub

AT_ONCE = 64
TIMEOUT_SECONDS = 20.0


def calls(address: str, count: int, metadata: Callable[[int], Mapping[str, str]]) -> Counter[str]:
    """So many IsActive calls, AT_ONCE at a time."""
    ended: Counter[str] = Counter()
    with grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)]) as channel:
        ask = ExternalScalerStub(channel).IsActive  # type: ignore[no-untyped-call]
        numbers = iter(range(count))
        while part := list(itertools.islice(numbers, AT_ONCE)):
            under_way = [
                ask.future(
                    wire.ScaledObjectRef(namespace="shop", name=f"flood-{n}", scalerMetadata=dict(metadata(n))),
                    timeout=TIMEOUT_SECONDS,
                )
                for n in part
            ]
            for one in under_way:
                error = one.exception()
                ended["OK" if error is None else error.code().name] += 1
    return ended


def triggers(address: str, count: int) -> Counter[str]:
    """A trigger each, all different."""
    return calls(address, count, lambda n: {"query": f"sum(flood_{n})", "threshold": "10"})


def edits(address: str, count: int) -> Counter[str]:
    """A ScaledObject that is edited again and again: every edit is a new trigger."""

    ended: Counter[str] = Counter()
    with grpc.insecure_channel(address) as channel:
        ask = ExternalScalerStub(channel).IsActive  # type: ignore[no-untyped-call]
        for n in range(count):
            given = {"query": f"sum(edit_{n})", "threshold": "10"}
            try:
                ask(wire.ScaledObjectRef(namespace="shop", name="edited", scalerMetadata=given), timeout=0.05)
                ended["OK"] += 1
            except grpc.RpcError as error:
                ended[error.code().name] += 1
    return ended


def keys(address: str, count: int) -> Counter[str]:
    """Metadata of 70,000 keys."""
    many = {f"key{n}": "x" for n in range(70_000)}
    return calls(address, count, lambda n: many)


def values(address: str, count: int) -> Counter[str]:
    """Metadata of three megabytes."""
    return calls(address, count, lambda n: {"query": "(" * 3_000_000, "threshold": "1"})


def streams(address: str, count: int) -> Counter[str]:
    """Streams that are opened and kept for 20 s."""
    ended: Counter[str] = Counter()
    with grpc.insecure_channel(address) as channel:
        follow = ExternalScalerStub(channel).StreamIsActive  # type: ignore[no-untyped-call]
        opened = [
            follow(
                wire.ScaledObjectRef(
                    namespace="shop", name=f"s-{n % 50}", scalerMetadata={"query": "vector(1)", "threshold": "1"}
                )
            )
            for n in range(count)
        ]
        time.sleep(20)
        for one in opened:
            ended["refused" if one.done() else "open"] += 1
            one.cancel()
    return ended


def connections(address: str, count: int) -> Counter[str]:
    """Idle connections, for 20 s. Also against the HTTP port."""
    return _held_open(address, count, b"")


def readers(address: str, count: int) -> Counter[str]:
    """HTTP requests whose answers nobody reads, for 20 s."""
    return _held_open(address, count, b"GET /api/v1/plans?limit=500 HTTP/1.1\r\nHost: a\r\n\r\n" * 20)


def _held_open(address: str, count: int, sent: bytes) -> Counter[str]:
    host, _, port = address.rpartition(":")
    opened, ended = [], Counter[str]()
    for _ in range(count):
        try:
            one = socket.create_connection((host, int(port)), timeout=2)
            one.sendall(sent)
            opened.append(one)
            ended["open"] += 1
        except OSError:
            ended["refused"] += 1
    time.sleep(20)
    for one in opened:
        one.close()
    return ended


KINDS = {
    "triggers": triggers,
    "edits": edits,
    "keys": keys,
    "values": values,
    "streams": streams,
    "connections": connections,
    "readers": readers,
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))

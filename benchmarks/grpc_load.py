"""A load client light enough to measure the server, not itself.

A client made of grpc's own Python costs as much per call as the server does, so both kinds of server would look alike
behind it. This one speaks just enough HTTP/2 for unary calls over one connection (as KEDA's single connection per
address): requests are joined from prepared frames, of replies only their frames are read. It takes a tenth of the
server's time.
"""

import math
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK = 1, 1
_NO_ERROR = bytes(4)
"""a server that answered before it read the end of the request resets the stream this way; the answer counts"""
_SERVICE = "/externalscaler.ExternalScaler/"


@dataclass(frozen=True, slots=True)
class Call:
    """One prepared unary call: two frames in which only the stream's number is missing."""

    before: bytes
    between: bytes
    after: bytes

    def frames(self, stream: int) -> bytes:
        number = struct.pack(">I", stream)
        return b"".join((self.before, number, self.between, number, self.after))


def call(method: str, message: bytes) -> Call:
    """The call of a method of KEDA's service with a serialised message."""
    headers = _header_block(_SERVICE + method)
    body = struct.pack(">BI", 0, len(message)) + message
    return Call(_frame_start(len(headers), _HEADERS, 4), headers + _frame_start(len(body), _DATA, _END_STREAM), body)


@dataclass(slots=True)
class Seen:
    """What a run saw. Times in seconds, one per call (and per cycle of three)."""

    seconds: float
    calls: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def per_second(self) -> float:
        return len(self.calls) / self.seconds

    def quantile_ms(self, level: float) -> float:
        """The quantile of the calls' times, in milliseconds; NaN without any."""
        times = sorted(self.calls) or [math.nan]
        return 1000 * times[min(len(times) - 1, int(level * len(times)))]


class Connection:
    """One HTTP/2 connection with prior knowledge, used by one thread."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._received = b""
        self._out: list[bytes] = [
            _PREFACE,
            _frame(_SETTINGS, 0, 0, b""),
            _frame(_WINDOW_UPDATE, 0, 0, b"\x3f\xff\x00\x00"),
        ]
        self._next_stream = 1
        self._answered: set[int] = set()

    def close(self) -> None:
        self._selector.close()
        self._socket.close()

    def start(self, made: Call) -> int:
        """Queue a call; returns the number of its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._out.append(made.frames(stream))
        return stream

    def exchange(self, wait_seconds: float | None = None) -> Iterator[tuple[int, bool]]:
        """Send what is queued, wait for replies (with a time limit), yield each ended stream and whether it was OK."""
        if self._out:
            self._socket.sendall(b"".join(self._out))
            self._out.clear()
        if self._selector.select(wait_seconds):
            received = self._socket.recv(1 << 18)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._received += received
            yield from self._ended()

    def _ended(self) -> Iterator[tuple[int, bool]]:
        data, at = self._received, 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == _DATA:
                self._answered.add(stream)
            elif kind == _HEADERS and flags & _END_STREAM:
                # a reply with a message and then trailers is a success: an error comes as trailers alone
                yield stream, stream in self._answered
                self._answered.discard(stream)
            elif kind != _HEADERS:
                self._control(kind, flags, data[at + 9 : at + 9 + size])
            at += 9 + size
        self._received = data[at:]

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RST_STREAM and payload != _NO_ERROR):
            raise ConnectionError(f"the server ended the stream or connection: {payload!r}")


def closed_loop(port: int, cycles: Sequence[Sequence[Call]], concurrency: int, seconds: float) -> Seen:
    """`concurrency` callers, each making the calls of one cycle after another, each call when the last is answered."""
    connection = Connection(port)
    todo = _endless(cycles)
    clock = time.perf_counter
    begun: dict[int, tuple[float, Iterator[Call]]] = {}

    def next_call(cycle: Iterator[Call]) -> None:
        made = next(cycle, None)
        if made is None:
            cycle = iter(next(todo))
            made = next(cycle)
        begun[connection.start(made)] = (clock(), cycle)

    for _ in range(concurrency):
        next_call(iter(()))
    seen = Seen(seconds)
    started = clock()
    while clock() - started < seconds:
        for stream, ok in connection.exchange():
            since, cycle = begun.pop(stream)
            seen.calls.append(clock() - since)
            seen.failed += not ok
            next_call(cycle)
    seen.seconds = clock() - started
    connection.close()
    return seen


def open_loop(port: int, cycles: Sequence[Sequence[Call]], per_second: float, seconds: float) -> Seen:
    """Calls at fixed moments whether or not earlier ones are answered; times count from the moment they were due."""
    connection = Connection(port)
    calls = (made for cycle in _endless(cycles) for made in cycle)
    clock = time.perf_counter
    due: dict[int, float] = {}
    seen = Seen(seconds)
    started = clock()
    count, total = 0, int(per_second * seconds)
    while count < total or due:
        now = clock()
        while count < total and (moment := started + count / per_second) <= now:
            due[connection.start(next(calls))] = moment
            count += 1
        wait = max(0.0, started + count / per_second - clock()) if count < total else 5.0
        for stream, ok in connection.exchange(wait):
            seen.calls.append(clock() - due.pop(stream))
            seen.failed += not ok
    connection.close()
    return seen


def _endless(cycles: Sequence[Sequence[Call]]) -> Iterator[Sequence[Call]]:
    while True:
        yield from cycles


def _header_block(path: str) -> bytes:
    """HPACK without its dynamic table: indexed names where the static table has them, literal values."""
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(path),
            b"\x01" + _text("headway.headway:50051"),
            b"\x0f\x10" + _text("application/grpc"),
            b"\x00" + _text("te") + _text("trailers"),
            b"\x0f\x2b" + _text("grpc-go/1.75.0"),
        )
    )


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def _frame_start(size: int, kind: int, flags: int) -> bytes:
    return struct.pack(">I", size)[1:] + bytes([kind, flags])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _frame_start(len(payload), kind, flags) + struct.pack(">I", stream) + payload

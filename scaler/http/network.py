"""How bytes of a foreign server reach httpx: in small pieces, one in each round of the event loop, with a short head.

httpx takes 64 KiB at a time and parses it in one go: 44 ms where it is full of interim answers (1xx). It discards these
and waits for another answer, for ever if they do not end.
"""

# ruff: noqa: ASYNC109 - httpcore's interface has these timeouts

import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from scaler.errors import HeadwayError
from scaler.turns import Turns

HEAD_PIECE_BYTES = 1024
"""parsed in about a millisecond, whatever it holds"""
BODY_PIECE_BYTES = 4096
"""of a body httpx parses no more than it hands on"""
MOST_HEAD_BYTES = 16 * 2**10
"""status line and headers, with interim answers before them; nginx and Go's clients allow less and more than that"""


class HeadTooLong(HeadwayError):
    """More bytes of headers and interim answers than a server needs."""


class _Head:
    """What one request has read of the head of its answer."""

    def __init__(self) -> None:
        self.size = 0

    def add(self, size: int) -> None:
        self.size += size
        if self.size > MOST_HEAD_BYTES:
            raise HeadTooLong


_awaited: ContextVar[_Head | None] = ContextVar("_awaited", default=None)


class SmallPieces(httpx.AsyncHTTPTransport):
    """The transport of httpx, with bounded reads. Raises HeadTooLong besides httpx's own errors."""

    def __init__(self, turns: Turns, **options: Any) -> None:
        super().__init__(**options)
        pool: Any = self._pool
        # httpx offers no way to pass a network backend on to the pool; a test sees whether this one is used
        pool._network_backend = _Backend(pool._network_backend, turns)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with its body yet to be read."""
        token = _awaited.set(_Head())
        try:
            return await super().handle_async_request(request)
        finally:
            _awaited.reset(token)


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: httpcore.AsyncNetworkBackend, turns: Turns) -> None:
        self._network = network
        self._turns = turns

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._turns)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, turns: Turns) -> None:
        self._stream = stream
        self._turns = turns

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        head = _awaited.get()
        piece = await self._stream.read(min(max_bytes, HEAD_PIECE_BYTES if head else BODY_PIECE_BYTES), timeout)
        if head:
            head.add(len(piece))
        await self._turns.turn()
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._turns)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

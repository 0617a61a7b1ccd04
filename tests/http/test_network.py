"""What a metric server sends reaches httpx in small pieces, each in a turn of its own, and its head is bounded."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest
import trustme

from scaler.http.network import BODY_PIECE_BYTES, HEAD_PIECE_BYTES, MOST_HEAD_BYTES, HeadTooLong, SmallPieces
from scaler.turns import Turns

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
BODY = b"x" * 200_000


@dataclass
class Counting(Turns):
    """How often somebody waited for a turn."""

    count: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def turn(self) -> None:
        self.count += 1
        await super().turn()


@dataclass
class Server:
    """Sends the same bytes for every request."""

    port: int = 0
    connections: int = 0
    turns: Counting = field(default_factory=Counting)


@asynccontextmanager
async def sending(first: bytes, endless: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    it = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(first)
                while endless:
                    writer.write(endless * 100)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()


async def asked(it: Server, verify: ssl.SSLContext | bool = False, times: int = 1) -> list[bytes]:
    """The bodies of `times` requests over one connection."""
    scheme = "http" if verify is False else "https"
    async with httpx.AsyncClient(transport=SmallPieces(it.turns, verify=verify), trust_env=False) as client:
        return [(await client.get(f"{scheme}://localhost:{it.port}/")).content for _ in range(times)]


@pytest.mark.parametrize(
    ("first", "endless"),
    [(b"", INTERIM), (b"HTTP/1.1 200 OK\r\n", b"A: 1\r\n"), (b"HTTP/1.1 200 OK\r\nA: ", b"1")],
    ids=["interim answers", "headers", "one header"],
)
async def test_a_head_without_an_end_is_refused(first: bytes, endless: bytes) -> None:
    """It is read to the limit, a piece in each turn."""
    async with sending(first, endless) as it:
        with pytest.raises(HeadTooLong):
            await asyncio.wait_for(asked(it), 20)
        assert it.turns.count >= MOST_HEAD_BYTES // HEAD_PIECE_BYTES


@pytest.mark.parametrize("first", [OK, 5 * INTERIM + OK], ids=["none", "five interim answers"])
async def test_the_limit_is_of_one_answer(first: bytes) -> None:
    """A connection that is kept may bring any number of answers."""
    times = 2 * MOST_HEAD_BYTES // len(first)
    async with sending(first) as it:
        assert await asked(it, times=times) == [b"ok"] * times
        assert it.connections == 1


async def test_a_body_comes_in_small_pieces() -> None:
    """Long as it is, the head's limit does not hold for it."""
    async with sending(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)) as it:
        assert await asked(it) == [BODY]
        assert it.turns.count >= len(BODY) // BODY_PIECE_BYTES


async def test_tls_is_read_the_same_way() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    async with sending(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY), tls=server) as it:
        assert await asked(it, client) == [BODY]
        assert it.turns.count >= len(BODY) // BODY_PIECE_BYTES
    async with sending(b"", INTERIM, tls=server) as it:
        with pytest.raises(HeadTooLong):
            await asyncio.wait_for(asked(it, client), 20)


async def test_others_run_between_two_pieces() -> None:
    """Forty connections full of interim answers pass one piece in each round of the event loop."""
    async with sending(b"", INTERIM) as it:
        flood = [asyncio.create_task(asked(it)) for _ in range(40)]
        rounds = 0
        while not all(task.done() for task in flood):
            await asyncio.sleep(0)
            rounds += 1
        refused = await asyncio.gather(*flood, return_exceptions=True)
    assert [type(one) for one in refused] == [HeadTooLong] * 40
    assert rounds >= 40 * MOST_HEAD_BYTES // HEAD_PIECE_BYTES

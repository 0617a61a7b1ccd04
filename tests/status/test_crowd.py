"""Callers that open connections and never finish a request, or never read an answer. Each local address is a client."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from scaler.registry import Registry
from scaler.settings import Settings
from scaler.status import connections, shares
from scaler.status.application import InTurns
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from scaler.turns import ANSWER_ROUNDS
from tests.servers.process import until_async

CROWD, OTHER = "127.0.0.2", "127.0.0.3"


class Port:
    """An HTTP port with 2,000 triggers: its /metrics is longer than all buffers on the way."""

    def __init__(self, share: int = 16) -> None:
        self.telemetry = Telemetry()
        registry = Registry(TriggerRules("http://p"), 15)
        for number in range(2000):
            registry.register("shop", f"web-{number}", {"query": "a", "threshold": "1", "mode": "reactive"}, 1.0)
        settings = Settings(http_address="127.0.0.1:0", http_max_connections_per_client=share)
        self.server = StatusServer(settings, registry, self.telemetry, dict, lambda key: None, lambda: 1.0)
        self.number = 0

    async def open(self, client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the system takes megabytes for the reader
        own.setblocking(False)
        own.bind((client, 0))
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", self.number))
        return await asyncio.open_connection(sock=own, limit=1024)

    async def half(self, client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection with the beginning of a request."""
        reader, writer = await self.open(client)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
        return reader, writer

    async def get(self, client: str, path: str) -> int:
        """The status of one answer, read to its end; 0 where there is none."""
        reader, writer = await self.open(client)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            text = await reader.read(-1)
        except ConnectionError:
            return 0
        finally:
            writer.close()
        return int(text.split()[1]) if text else 0

    def refused(self, reason: str) -> float:
        return self.telemetry.registry.get_sample_value("headway_http_refused_total", {"reason": reason}) or 0.0


@asynccontextmanager
async def port(share: int = 16) -> AsyncIterator[Port]:
    it = Port(share)
    it.number = await it.server.start()
    yield it
    await it.server.stop()


async def test_half_requests_keep_nobody_out_and_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hundreds of unfinished requests open, others are answered at once; the unfinished ones are ended."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 5.0)
    async with port() as it:
        held = [await it.half(CROWD) for _ in range(260)]
        async with asyncio.timeout(20):
            assert [await it.get(OTHER, path) for path in ("/livez", "/metrics")] == [200, 200]
        async with asyncio.timeout(30):
            ended = [await _rest(reader) for reader, _ in held]
        assert it.refused("connections") > 100, "all that came while the client had its places"
        assert await it.get(CROWD, "/livez") == 200
    assert set(ended) == {b""}


async def test_probes_are_answered_beyond_the_share() -> None:
    """A client that holds all its connections still gets probes answered, and a reason for everything else."""
    async with port(share=3) as it:
        held = [await it.half(CROWD) for _ in range(3)]
        found = [await it.get(CROWD, path) for path in ("/livez", "/readyz", "/metrics", "/api/v1/plans")]
        assert found == [200, 200, 429, 429]
        assert it.refused("share") == 2
        for _, writer in held:
            writer.close()
        await until_async(lambda: it.server._ports[0]._door._places._taken == 0)
        assert await it.get(CROWD, "/metrics") == 200


async def test_the_share_is_of_one_client() -> None:
    """Another address has its own."""
    async with port(share=2) as it:
        held = [await it.half(CROWD) for _ in range(2)]
        assert (await it.get(CROWD, "/metrics"), await it.get(OTHER, "/metrics")) == (429, 200)
        assert len(held) == 2


async def test_who_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that its client leaves unread is ended; what is kept for it meanwhile is bounded."""
    monkeypatch.setattr(connections, "STALLED_SECONDS", 1.0)
    async with port() as it:
        reader, writer = await it.open(CROWD)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await until_async(lambda: len(it.server._ports[0]._server.server_state.tasks) == 1)
        [connection] = it.server._ports[0]._server.server_state.connections
        await until_async(connection.transport.get_write_buffer_size)
        assert connection.transport.get_write_buffer_size() < 256 * 1024
        await until_async(lambda: it.refused("slow") == 1, seconds=30)
        await until_async(lambda: not it.server._ports[0]._server.server_state.tasks)
        del reader, writer


@pytest.mark.parametrize("framing", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
async def test_who_sends_an_endless_body_is_disconnected(framing: str) -> None:
    """The answer has long been sent; each megabyte would keep the loop from other work."""
    async with port() as it:
        reader, writer = await it.open(CROWD)
        writer.write(f"POST /livez HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        assert b"405" in await reader.readline()

        async def send() -> None:
            for _ in range(1000):
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()

        with pytest.raises(ConnectionError):
            await send()
        assert it.refused("body") == 1


async def test_requests_in_a_row_are_no_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may send many before it reads the first answer."""
    monkeypatch.setattr(connections, "MOST_UNASKED_BYTES", 300_000)
    async with port() as it:
        reader, writer = await it.open(CROWD)
        request = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 4000 + b"\r\n\r\n"

        async def send() -> None:
            for _ in range(500):
                writer.write(request)
                await writer.drain()

        sending = asyncio.create_task(send())
        for _ in range(500):
            assert (await reader.readuntil(b'"alive":true}')).startswith(b"HTTP/1.1 200")
        await sending
        assert it.refused("body") == 0
        writer.close()


async def test_a_slow_reader_is_disconnected_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then is progress, but not for ever."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 2.0)
    async with port() as it:
        reader, writer = await it.open(CROWD)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

        async def sip() -> None:
            for _ in range(1000):
                await reader.read(10_000)
                await asyncio.sleep(0.1)

        sipping = asyncio.create_task(sip())
        await until_async(lambda: it.refused("slow") == 1)
        sipping.cancel()


async def test_unread_short_answers_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each answer fits into the buffers, and the client asks for one after another."""
    monkeypatch.setattr(connections, "STALLED_SECONDS", 1.0)
    async with port() as it:
        _, writer = await it.open(CROWD)
        writer.write(b"GET /api/v1/plans HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        await until_async(lambda: it.refused("slow") == 1, seconds=30)


def test_the_client_with_most_connections_gives_one_to_another() -> None:
    """When all places are taken by many addresses, a newcomer gets one of those of whoever has most."""
    ended = []
    places = shares.Places(most_per_client=4, most=8)
    for client in ("a", "a", "b", "a", "a", "b", "c", "c"):
        place = places.take(client)
        assert place is not None
        place.end = lambda client=client: ended.append(client)
    newcomer = places.take("d")
    assert newcomer is not None
    assert ended == ["a"]
    assert places.take("d") is not None
    assert ended == ["a", "a"]
    assert places.take("d") is None, "it would now have as many as those who have most"
    places.release(newcomer)
    places.release(newcomer)
    assert places.take("d") is not None
    assert places.take("d") is None


def test_a_client_ends_its_own_oldest_spare_connection() -> None:
    """A kubelet with the address of a crowd gets its probe answered; those of the share stay."""
    ended: list[int] = []
    places = shares.Places(most_per_client=2)
    for number in range(2 + 3 * shares.SPARE_PER_CLIENT):
        place = places.take("a")
        assert place is not None
        assert place.spare is (number >= 2)
        place.end = lambda number=number: ended.append(number)
    assert ended == list(range(2, 2 + 2 * shares.SPARE_PER_CLIENT))


async def test_turns_go_round_the_clients() -> None:
    """A client with one piece of work waits for one piece of each other client, not for all of them."""
    turns = shares.Turns()
    done: list[str] = []

    async def work(client: str, pieces: int) -> None:
        for _ in range(pieces):
            await turns.mine(client)
            done.append(client)

    crowd = [asyncio.create_task(work("crowd", 50)) for _ in range(10)]
    await asyncio.sleep(0)
    await work("other", 20)
    assert done.count("crowd") <= 25
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    await work("other", 1)


@pytest.mark.parametrize("clients", ["aabbc", "a"])
async def test_a_call_is_answered_between_two_pieces_of_work(clients: str) -> None:
    """An answer to KEDA takes several rounds of the loop; each would wait for another piece of a page."""
    turns = shares.Turns()
    in_round = [0]

    async def work(client: str) -> None:
        for _ in range(30):
            await turns.mine(client)
            in_round[-1] += 1

    working = [asyncio.create_task(work(client)) for client in clients]
    while not all(one.done() for one in working):
        in_round.append(0)
        await asyncio.sleep(0)
    rounds = [number for number, pieces in enumerate(in_round) if pieces]
    assert (max(in_round), sum(in_round)) == (1, 30 * len(clients))
    assert min(after - before for before, after in pairwise(rounds)) >= ANSWER_ROUNDS


def test_turns_go_on_in_another_event_loop() -> None:
    """The one that gave them may have ended between two of them."""
    turns = shares.Turns()
    for _ in range(3):
        asyncio.run(asyncio.wait_for(turns.mine("a"), 5))


async def test_one_small_request_begins_in_each_round_of_the_loop() -> None:
    """Thousands of probes on some connections do not fill a round; those of other clients come in between."""
    begun: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["client"][0])

    guarded = InTurns(app, shares.Turns())
    requests = [{"client": ("crowd", 1), "state": {}}] * 20 + [{"client": ("crowd", 1), "state": {"spare": True}}]
    requests.append({"client": ("other", 1), "state": {}})
    for scope in requests:
        asyncio.create_task(guarded(scope, None, None))  # noqa: RUF006
    rounds = []
    while len(begun) < 22:
        before = len(begun)
        await asyncio.sleep(0)
        rounds.append(len(begun) - before)
    assert max(rounds) == 1
    assert begun[:3].count("other") == 1
    assert begun[:3] == ["crowd", "crowd", "other"], "its share, a connection beyond it, and the other client"


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""

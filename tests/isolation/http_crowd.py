"""A hostile client of the HTTP port, as a process of its own: `python -m tests.isolation.http_crowd KIND ADDRESS FROM`.

It prints `ready` when all its connections are made, and goes on until it is ended.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

MANY = 300


async def connection(address: str, client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One connection from the address `client`, with a small receive buffer."""
    host, _, port = address.rpartition(":")
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    own.bind((client, 0))
    await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
    return await asyncio.open_connection(sock=own, limit=4096)


async def unread(address: str, client: str) -> None:
    """Asks for much and reads nothing."""
    _, writer = await connection(address, client)
    writer.write(REQUEST * 20)
    await asyncio.sleep(3600)


async def half(address: str, client: str) -> None:
    """Sends the head of a request and never its end."""
    _, writer = await connection(address, client)
    writer.write(REQUEST[:-2] + b"X: ")
    await asyncio.sleep(3600)


async def scrape(address: str, client: str) -> None:
    """Reads /metrics as fast as it can."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(client, 0), limit=2**20)
    writer.write(REQUEST)
    while await reader.read(2**20):
        pass


async def flood(address: str, client: str) -> None:
    """Sends small requests one after another, without waiting for answers, and reads these."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(client, 0), limit=2**20)

    async def send() -> None:
        while True:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while await reader.read(2**20):
            pass
    finally:
        sending.cancel()


KINDS: dict[str, tuple[Callable[[str, str], Awaitable[None]], int]] = {
    "unread": (unread, MANY),
    "half": (half, MANY),
    "scrape": (scrape, 32),
    "flood": (flood, 32),
}


async def main(kind: str, address: str, client: str) -> None:
    attack, count = KINDS[kind]

    async def again() -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(20):
                    await attack(address, client)
            await asyncio.sleep(0.2)

    crowd = [asyncio.create_task(again()) for _ in range(count)]
    await asyncio.sleep(1)
    print("ready", flush=True)
    await asyncio.gather(*crowd)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

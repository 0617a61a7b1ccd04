"""A TCP forwarder before a server: connections can be refused, reset, held or cut in the middle of an answer."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from tests.servers.process import free_port


class Mode(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    RESET = "reset"
    HOLD = "hold"
    CUT = "cut"
    TRICKLE = "trickle"


CUT_AFTER_BYTES = 120
TRICKLE_SECONDS = 0.2


class Wire:
    """A running forwarder to `port` of this machine."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.port = free_port()
        self.mode = Mode.PASS
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @contextmanager
    def running(self) -> Iterator["Wire"]:
        thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        thread.start()
        self._run(self._listen())
        try:
            yield self
        finally:
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(5)

    @contextmanager
    def broken(self, mode: Mode) -> Iterator[None]:
        """What happens to connections meanwhile; those that are open are broken off."""
        self.mode = mode
        self._run(self._break())
        if mode is Mode.REFUSE:
            self._run(self._close())
        try:
            yield
        finally:
            self.mode = Mode.PASS
            self._run(self._break())
            if self._server is None:
                self._run(self._listen())

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._break()

    async def _break(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.mode is Mode.RESET:
                writer.transport.abort()
            elif self.mode is Mode.HOLD:
                await reader.read()
            else:
                await self._forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        self._open.add(far_writer)
        there = asyncio.create_task(self._copy(reader, far_writer, Mode.PASS))
        try:
            await self._copy(far_reader, writer, self.mode)
        finally:
            self._open.discard(far_writer)
            there.cancel()
            far_writer.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, mode: Mode) -> None:
        with suppress(OSError):
            while data := await source.read(65536 if mode is not Mode.TRICKLE else 20):
                if mode is Mode.CUT:
                    sink.write(data[:CUT_AFTER_BYTES])
                    await sink.drain()
                    sink.transport.abort()
                    return
                if mode is Mode.TRICKLE:
                    await asyncio.sleep(TRICKLE_SECONDS)
                sink.write(data)
                await sink.drain()

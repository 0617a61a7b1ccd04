"""A connection to PostgreSQL that is closed in the thread of its event loop, also where it is only found as garbage."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg


class LoopConnection(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's connection. Python collects garbage in any thread, and a socket that another thread than the loop's
    closes crashes the process."""

    __slots__ = ()

    def __del__(self) -> None:
        if self._protocol is None or self.is_closed():
            return
        loop: asyncio.AbstractEventLoop = self._loop
        with suppress(RuntimeError):  # the loop has ended, and its sockets with it
            loop.call_soon_threadsafe(self.terminate)


async def connect(dsn: str, **options: Any) -> LoopConnection:
    """As asyncpg.connect."""
    made: LoopConnection = await asyncpg.connect(dsn, connection_class=LoopConnection, **options)
    return made

"""Answers that are read while others are still under way."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from scaler.errors import DependencyError

Answers: TypeAlias = Sequence[tuple[int, float | DependencyError]]
"""what some of the triggers asked for got: (the trigger's position, its demand or its error)"""
Arriving: TypeAlias = AsyncGenerator[Answers, None]
Put: TypeAlias = Callable[[Answers], None]


async def arriving(ask: Callable[[Put], Awaitable[None]]) -> Arriving:
    """What `ask` puts, at once. A reader that stops early cancels it; its exception is raised after what it put."""
    ready: asyncio.Queue[Answers | None] = asyncio.Queue()
    asking = asyncio.ensure_future(ask(ready.put_nowait))
    asking.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (answers := await ready.get()) is not None:
            yield answers
        await asking
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking

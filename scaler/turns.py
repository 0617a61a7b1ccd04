"""Work that nobody may do all at once: one piece of it in each round of the event loop, and calls in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from scaler.chunks import chunks

T = TypeVar("T")

ANSWER_ROUNDS = 5
"""rounds of the event loop from the arrival of a gRPC call to its answer"""


async def let_calls_through() -> None:
    """Return when calls that wait now have been answered."""
    for _ in range(ANSWER_ROUNDS):
        await asyncio.sleep(0)


async def in_pieces(items: Sequence[T], size: int) -> AsyncIterator[Sequence[T]]:
    """Slices of at most `size` items, in order; waiting calls are answered between two of them."""
    for number, piece in enumerate(chunks(items, size)):
        if number:
            await let_calls_through()
        yield piece


class Turns:
    """Lets one caller pass in each round of the event loop, in their order.

    asyncio runs all that is ready before it looks at the sockets again: of a crowd, all that have arrived would be
    served before any call that arrives meanwhile.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def turn(self) -> None:
        """Return when it is this caller's turn."""
        async with self._one:
            await asyncio.sleep(0)

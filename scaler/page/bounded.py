"""Reads of the store for one page: each fails alone, and all together take bounded time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scaler.errors import StoreUnavailable

PAGE_SECONDS = 5.0
"""that all reads of one page may take"""

Asked = TypeVar("Asked")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Found]):
    """What was read, or why nothing could be."""

    found: Found | None
    notice: str = ""


@dataclass(slots=True)
class BoundedReads:
    """The reads of one request. Create it within the event loop."""

    until: float = field(default_factory=lambda: asyncio.get_running_loop().time() + PAGE_SECONDS)

    async def __call__(self, read: Callable[[Asked], Awaitable[Found]] | None, asked: Asked) -> Answer[Found]:
        """read: None in a process that cannot."""
        if read is None:
            return Answer(None, "this process reads no database")
        try:
            async with asyncio.timeout_at(self.until):
                return Answer(await read(asked))
        except TimeoutError:
            return Answer(None, "the database has not answered in time")
        except StoreUnavailable as error:
            return Answer(None, str(error))

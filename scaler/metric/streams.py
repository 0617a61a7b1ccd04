"""Open push streams: each is told its current state, then every change, until we end it with OK."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable

_SLICE = 500
"""streams looked at before other work gets its turn; one look costs a few microseconds"""


class Streams:
    """All open push streams of this process.

    lifetime_seconds: a stream ends (with OK: KEDA is back after 2 s, and only then without a growing wait) after
    0.75 to 1 times this.
    look_seconds: how often the state is compared with what was last told.
    """

    def __init__(self, lifetime_seconds: float, look_seconds: float = 1.0) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._look_seconds = look_seconds
        self._open: set[_Stream] = set()
        self._draining = False

    def __len__(self) -> int:
        return len(self._open)

    async def messages(self, look: Callable[[], bytes | None]) -> AsyncGenerator[bytes, None]:
        """`look()` now and whenever it changes; None (nothing is known) is not told. Ends with the stream's time.

        What `look` raises, the stream raises.
        """
        stream = _Stream(look)
        lifetime = self.lifetime_seconds * random.uniform(0.75, 1)
        timer = asyncio.get_running_loop().call_later(lifetime, stream.end)
        self._open.add(stream)
        try:
            while True:
                message = stream.next()
                if message is not None:
                    yield message
                elif stream.ended or self._draining:
                    return
                else:
                    await stream.wake()
        finally:
            timer.cancel()
            self._open.discard(stream)

    async def run(self) -> None:
        """Look at every stream once per `look_seconds`, for ever."""
        while True:
            await asyncio.sleep(self._look_seconds)
            for count, stream in enumerate(list(self._open), start=1):
                stream.wake_if_changed()
                if count % _SLICE == 0:
                    await asyncio.sleep(0)

    def look(self) -> None:
        """Look at every stream now, without waiting for the next second."""
        for stream in list(self._open):
            stream.wake_if_changed()

    def drain(self) -> None:
        """End all streams; one that is opened later ends after its first message."""
        self._draining = True
        for stream in self._open:
            stream.end()


class _Stream:
    __slots__ = ("_look", "_told", "_woken", "ended")

    def __init__(self, look: Callable[[], bytes | None]) -> None:
        self._look = look
        self._told: bytes | None = None
        self._woken = asyncio.Event()
        self.ended = False

    def next(self) -> bytes | None:
        """What is to be told now, if it differs from what was told last."""
        state = self._look()
        if state is None or state == self._told:
            return None
        self._told = state
        return state

    def wake_if_changed(self) -> None:
        try:
            state = self._look()
        except Exception:  # noqa: BLE001 - the stream's own task looks again, and fails where it is handled
            self._woken.set()
            return
        if state is not None and state != self._told:
            self._woken.set()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    async def wake(self) -> None:
        await self._woken.wait()
        self._woken.clear()

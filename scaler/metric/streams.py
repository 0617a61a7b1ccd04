"""Open push streams: each sends its current state, then every change, until we end it with OK."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

from scaler.quotas import NO_LIMITS, Limits, Quota

Wake: TypeAlias = Callable[[float], None]
"""called with the seconds until something new may count"""

Follow: TypeAlias = Callable[[Wake], AbstractContextManager[None]]
"""has `Wake` called at every change, while the context is open"""

LOOK_SECONDS = 5.0
"""how often every stream is looked at: activity also changes as time passes, without a new outlook"""

_TIMER_SECONDS = 0.01
"""timers fire a little early; a look before the moment would find nothing new"""

_SLICE = 500
"""streams looked at before other work gets its turn; one look costs a few microseconds"""


def _never(_: Wake) -> AbstractContextManager[None]:
    return nullcontext()


class Streams:
    """All open push streams of this process.

    lifetime_seconds: a stream ends (with OK: KEDA is back after 2 s, and only then without a growing wait) after
    0.75 to 1 times this.
    look_seconds: how often the state of every stream is compared with what it sent last.
    """

    def __init__(self, lifetime_seconds: float, look_seconds: float = LOOK_SECONDS, limits: Limits = NO_LIMITS) -> None:
        self.lifetime_seconds = lifetime_seconds
        self.quota = Quota("streams", limits, "Use external-push only where a workload scales from zero")
        self._look_seconds = look_seconds
        self._open: set[_Stream] = set()
        self._draining = False

    def __len__(self) -> int:
        return len(self._open)

    async def messages(
        self, namespace: str, look: Callable[[], bytes | None], follow: Follow = _never
    ) -> AsyncGenerator[bytes, None]:
        """`look()` now and whenever it changes; None (nothing is known) is not sent. Ends with the stream's time.

        `follow` wakes this stream alone. What `look` raises, the stream raises; QuotaReached where `namespace`, or all
        together, have too many streams.
        """
        self.quota.check(namespace)
        self.quota.take(namespace)
        stream = _Stream(look)
        lifetime = self.lifetime_seconds * random.uniform(0.75, 1)
        timer = asyncio.get_running_loop().call_later(lifetime, stream.end)
        self._open.add(stream)
        try:
            with follow(stream.wake_in):
                while True:
                    message = stream.next()
                    if message is not None:
                        yield message
                    elif stream.ended or self._draining:
                        return
                    else:
                        await stream.woken()
        finally:
            stream.ended = True
            timer.cancel()
            self._open.discard(stream)
            self.quota.give_back(namespace)

    async def run(self) -> None:
        """Look at every stream once per `look_seconds`, for ever."""
        while True:
            await asyncio.sleep(self._look_seconds)
            for count, stream in enumerate(list(self._open), start=1):
                stream.wake_if_changed()
                if count % _SLICE == 0:
                    await asyncio.sleep(0)

    def drain(self) -> None:
        """End all streams; one that is opened later ends after its first message."""
        self._draining = True
        for stream in self._open:
            stream.end()


class _Stream:
    __slots__ = ("_look", "_sent", "_woken", "ended")

    def __init__(self, look: Callable[[], bytes | None]) -> None:
        self._look = look
        self._sent: bytes | None = None
        self._woken = asyncio.Event()
        self.ended = False

    def next(self) -> bytes | None:
        """What is to be sent now, if it differs from what was sent last."""
        state = self._look()
        if state is None or state == self._sent:
            return None
        self._sent = state
        return state

    def wake_in(self, seconds: float) -> None:
        if seconds <= 0:
            self.wake_if_changed()
        else:
            asyncio.get_running_loop().call_later(seconds + _TIMER_SECONDS, self.wake_if_changed)

    def wake_if_changed(self) -> None:
        if self.ended:
            return
        try:
            state = self._look()
        except Exception:  # noqa: BLE001 - the stream's own task looks again, and fails where it is handled
            self._woken.set()
            return
        if state is not None and state != self._sent:
            self._woken.set()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    async def woken(self) -> None:
        await self._woken.wait()
        self._woken.clear()

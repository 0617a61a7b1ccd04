"""Waiting for one of a server's slots: by turns of the namespaces (fair_queue.py), within their shares (lanes.py)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scaler.history.fair_queue import FairQueue
from scaler.history.lanes import Lane, Shares, Turn


class Slots:
    """The slots of one server."""

    def __init__(self, slots: int) -> None:
        self._shares = Shares(slots)
        self._queue: FairQueue[Turn, asyncio.Future[None]] = FairQueue()

    @asynccontextmanager
    async def taken(self, turn: Turn, until: float | None = None) -> AsyncIterator[None]:
        """A slot, as soon as it is this turn's. Raises TimeoutError where that is not before `until` (loop time)."""
        go = asyncio.get_running_loop().create_future()
        place = self._queue.put(turn, go)
        self._start_more()
        try:
            async with asyncio.timeout_at(until):
                await go
        except BaseException:
            self._queue.remove(place)
            if go.done() and not go.cancelled():
                self._give_back(turn)
            raise
        try:
            yield
        finally:
            self._give_back(turn)

    def waiting(self) -> Counter[Lane]:
        """How many requests wait, by lane."""
        by_lane: Counter[Lane] = Counter()
        for turn, count in self._queue.waiting().items():
            by_lane[turn.lane] += count
        return by_lane

    def _give_back(self, turn: Turn) -> None:
        self._shares.give_back(turn)
        self._start_more()

    def _start_more(self) -> None:
        while (next_one := self._queue.take(self._shares.may_take)) is not None:
            turn, go = next_one
            if not go.done():  # a cancelled one has no use for a slot
                self._shares.take(turn)
                go.set_result(None)

"""Waiting for one of a server's slots: by turns of the namespaces (fair_queue.py), within their shares (lanes.py)."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scaler.history.fair_queue import FairQueue
from scaler.history.lanes import Lane, Shares, Turn


class Slots:
    """The slots of one server."""

    def __init__(self, slots: int) -> None:
        self._shares = Shares(slots)
        self._queues: OrderedDict[Lane, FairQueue[str, asyncio.Future[None]]]
        self._queues = OrderedDict((lane, FairQueue()) for lane in Lane)
        """one for each lane: thousands that wait in a full one cost the others nothing"""

    @asynccontextmanager
    async def taken(self, turn: Turn, rank: int = 0, until: float | None = None) -> AsyncIterator[None]:
        """A slot, as soon as it is this turn's; lower ranks go first.

        Raises TimeoutError where that is not before `until` (loop time).
        """
        go = asyncio.get_running_loop().create_future()
        queue = self._queues[turn.lane]
        place = queue.put(turn.namespace, go, rank)
        self._start_more()
        try:
            async with asyncio.timeout_at(until):
                await go
        except BaseException:
            queue.remove(place)
            if go.done() and not go.cancelled():
                self._give_back(turn)
            raise
        try:
            yield
        finally:
            self._give_back(turn)

    def waiting(self) -> Counter[Lane]:
        """How many requests wait, by lane."""
        return +Counter({lane: len(queue) for lane, queue in self._queues.items()})

    def _give_back(self, turn: Turn) -> None:
        self._shares.give_back(turn)
        self._start_more()

    def _start_more(self) -> None:
        while any(map(self._starts_one, list(self._queues))):
            pass

    def _starts_one(self, lane: Lane) -> bool:
        """Whether a request of this lane could begin; its next turn comes after the other lanes'."""
        if not self._shares.is_open(lane):
            return False
        next_one = self._queues[lane].take(lambda namespace: self._shares.may_take(Turn(lane, namespace)))
        if next_one is None:
            return False
        namespace, go = next_one
        if not go.done():  # a cancelled one has no use for a slot
            self._shares.take(Turn(lane, namespace))
            go.set_result(None)
            self._queues.move_to_end(lane)
        return True

"""Shares of the HTTP port: which client may hold a further connection, and whose piece of work comes next."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from scaler.turns import let_calls_through

MOST_CONNECTIONS = 256
"""held at the same time by all clients: with what a connection keeps in memory, about 64 MB"""

SPARE_PER_CLIENT = 32
"""connections of a client beyond its share, for probes only: a kubelet may have the address of a neighbour"""


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place. spare: it is beyond its client's share."""

    client: str
    spare: bool
    end: Callable[[], None] = field(default=lambda: None)
    """closes the connection at once"""


class Places:
    """Who holds how many connections. When all places are taken, the client with most of them gives one to a client
    with fewer, so that nobody keeps another out.

    refused: called for each connection that gets no place or loses it.
    """

    def __init__(
        self, most_per_client: int, most: int = MOST_CONNECTIONS, refused: Callable[[], None] = lambda: None
    ) -> None:
        self._most_per_client = most_per_client
        self._most = most
        self._refused = refused
        self._taken = 0
        self._held: dict[str, dict[Place, None]] = {}

    def take(self, client: str) -> Place | None:
        """A place for a new connection of `client`; None where it holds as many as others who need one.

        Beyond its share and the spare places, the oldest of these ends: a probe takes a moment only.
        """
        held = self._held.get(client, {})
        if len(held) >= self._most_per_client + SPARE_PER_CLIENT:
            self._end(next(place for place in held if place.spare))
        if self._taken >= self._most and not self._make_room(len(held)):
            self._refused()
            return None
        place = Place(client, spare=sum(not one.spare for one in held) >= self._most_per_client)
        self._held.setdefault(client, {})[place] = None
        self._taken += 1
        return place

    def release(self, place: Place) -> None:
        """Give a place back; again does nothing."""
        held = self._held.get(place.client, {})
        if place in held:
            del held[place]
            self._taken -= 1
            if not held:
                del self._held[place.client]

    def _make_room(self, own: int) -> bool:
        most = max(self._held.values(), key=len)
        if len(most) <= own + 1:
            return False
        self._end(next(iter(most)))
        return True

    def _end(self, place: Place) -> None:
        self.release(place)
        place.end()
        self._refused()


class Turns:
    """One piece of work after the other, clients in turn, and calls of KEDA are answered in between: neither a crowd of
    scrapes nor one client with many of them delays an answer, or the scrape of another client, by more than a piece."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._giving: asyncio.Task[None] | None = None

    async def mine(self, client: str) -> None:
        """Wait until a piece of work of `client` may run."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        if self._giving is None:
            self._giving = loop.create_task(self._give(), name="turns of the http port")
        await turn

    async def _give(self) -> None:
        try:
            while self._waiting:
                turn = self._next()
                if not turn.done():
                    turn.set_result(None)
                    await let_calls_through()
        finally:
            self._giving = None  # also where an event loop ends, and another one goes on with the same turns

    def _next(self) -> "asyncio.Future[None]":
        client = next(iter(self._waiting))
        queue = self._waiting.pop(client)
        turn = queue.popleft()
        if queue:
            self._waiting[client] = queue  # behind the others
        return turn

"""Connections of the HTTP port: accepted as long as their client has a place, and ended when they make no progress."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from uvicorn.protocols.http.h11_impl import H11Protocol

from scaler.status.shares import Place, Places

HANDSHAKE_SECONDS = 5.0
"""how long a client may take for the TLS handshake"""

HANDSHAKES_AT_A_TIME = 4
"""of one client: each is a millisecond's work that cannot be divided"""

HEAD_SECONDS = 10.0
"""how long a client may take to send the head of a request"""

SPARE_HEAD_SECONDS = 2.0
"""the same on a connection beyond its client's share, which is for probes"""

STALLED_SECONDS = 10.0
"""in this time a client must read 48 kB of an answer that is longer than its buffers, or all that is left of it"""

ANSWER_SECONDS = 60.0
"""how long an answer may take, from the head of its request to its last byte; a scraper waits ten seconds"""

CLOSING_SECONDS = 5.0
"""how long a connection that is being closed may take to send the rest"""

MOST_UNASKED_BYTES = 512 * 1024
"""that a client may send while one request is under way or read: the heads of those that wait. No request has a body"""

LOOK_SECONDS = 1.0
"""how often a connection is looked at"""

UNSENT_BYTES = 128 * 1024
"""what the operating system may keep for a client that does not read; by itself it keeps up to 4 MB"""

PAUSE_SECONDS = 0.1
"""pause of accepting while the process has no file descriptors left"""

Tls = Callable[[], ssl.SSLContext]
"""the context of a new connection; another one once the files have changed"""

Make = Callable[[Place], "Connection"]


class Door:
    """Accepts connections at a listening socket. `run` does so until cancelled. tls: None for plain HTTP."""

    def __init__(
        self,
        listening: socket.socket,
        places: Places,
        make: Make,
        tls: Tls | None,
    ) -> None:
        self._listening = listening
        self._places = places
        self._make = make
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._handshakes: WeakValueDictionary[tuple[str, bool], asyncio.Semaphore] = WeakValueDictionary()
        """those of clients that have a handshake under way"""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except OSError:  # no file descriptors left, or the client is gone already
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            place = self._places.take(_client(address))
            if place is None:
                accepted.close()
                continue
            opening = loop.create_task(self._open(accepted, place), name="http connection")
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
            place.end = partial(_cancel, opening)

    async def _open(self, accepted: socket.socket, place: Place) -> None:
        """Hand an accepted socket to its connection, after the TLS handshake where there is one."""
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)
            if self._tls is None:
                await loop.connect_accepted_socket(lambda: self._make(place), accepted)
                return
            own = self._handshakes.setdefault((place.client, place.spare), asyncio.Semaphore(HANDSHAKES_AT_A_TIME))
            async with own:
                await loop.connect_accepted_socket(
                    lambda: self._make(place),
                    accepted,
                    ssl=self._tls(),
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=CLOSING_SECONDS,
                )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            accepted.close()
            self._places.release(place)
        except asyncio.CancelledError:
            accepted.close()
            self._places.release(place)
            raise


def _cancel(opening: "asyncio.Task[None]") -> None:
    opening.cancel()


def _client(address: Any) -> str:
    """The address that connections are counted by, an IPv4 address in the same form on sockets of both kinds."""
    return str(address[0]).removeprefix("::ffff:") if isinstance(address, tuple) else ""


class Connection(H11Protocol):
    """One connection. uvicorn itself waits for ever for a head, and for a client that does not read.

    tls: as of the Door. A connection that began with other files ends after the answer under way.
    """

    def __init__(
        self,
        place: Place,
        released: Callable[[Place], None],
        refused: Callable[[str], None],
        tls: Tls | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._tls = tls
        self._place = place
        self._released = released
        self._refused = refused
        self._looking: asyncio.TimerHandle | None = None
        self._answering: Any = None
        """the request that was under way at the last look"""
        self._since = 0.0
        """when that request, or the wait for a head, was first seen"""
        self._receiving: Any = None
        self._unasked_bytes = 0
        """received since that request began"""
        self._paused_since: float | None = None
        self._closing_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {"client": self._place.client, "spare": self._place.spare, "certified": _certified(transport)}
        self._place.end = transport.abort
        self._since = self.loop.time()
        self._looking = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._released(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not self._receiving:
            self._receiving, self._unasked_bytes = self.cycle, 0
        self._unasked_bytes += len(data)
        if self._unasked_bytes > MOST_UNASKED_BYTES:
            self._refused("body")
            self.transport.abort()

    def pause_writing(self) -> None:
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()

    def _look(self) -> None:
        """End what is late; look again otherwise."""
        now = self.loop.time()
        self._looking = self.loop.call_later(LOOK_SECONDS, self._look)
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
        answering = self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if answering is not self._answering:
            self._answering, self._since = answering, now
        if _later(self._closing_since, now, CLOSING_SECONDS):
            self.transport.abort()
        elif _later(self._paused_since, now, STALLED_SECONDS) or (answering and now - self._since > ANSWER_SECONDS):
            self._refused("slow")
            self.transport.abort()
        elif answering is None and now - self._since > (SPARE_HEAD_SECONDS if self._place.spare else HEAD_SECONDS):
            self.transport.close()
        elif self._is_outdated():
            if answering is None:
                self.transport.close()
            else:
                answering.keep_alive = False

    def _is_outdated(self) -> bool:
        """Whether the certificates of the handshake may be trusted no longer."""
        encrypted = self.transport.get_extra_info("ssl_object")
        return self._tls is not None and encrypted is not None and encrypted.context is not self._tls()


def _later(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds


def _certified(transport: asyncio.Transport) -> bool:
    """Whether the client has brought a certificate; the handshake has verified it."""
    encrypted = transport.get_extra_info("ssl_object")
    return encrypted is not None and bool(encrypted.getpeercert(binary_form=True))

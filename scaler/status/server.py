"""The HTTP port on the event loop that serves KEDA: uvicorn, without its signal handlers and its own logging."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from time import time

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from scaler.discovery import Discoveries
from scaler.errors import SettingsError
from scaler.registry import Registry
from scaler.settings import Settings
from scaler.status.report import Explain
from scaler.status.routes import Bounded, Missing, RequestIds, StatusRoutes
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.redaction import os_error_text

log = structlog.get_logger()

REQUEST_SECONDS = 10.0
"""how long a caller may take to send the head of a request"""

GOODBYE_SECONDS = 1.0
"""how long open requests may take once the port closes"""


class StatusServer:
    """The HTTP port. `start` opens it, `stop` closes it; it handles no signals."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        telemetry: Telemetry,
        readiness: Missing,
        explain: Explain,
        now: Callable[[], float] = time,
        discoveries: Discoveries | None = None,
    ) -> None:
        self._address = settings.http_address
        routes = StatusRoutes(registry, telemetry, readiness, explain, now, discoveries)
        self._app = RequestIds(Bounded(routes.app()))
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Open the port and return its number. Raises SettingsError with the reason where that fails."""
        listening = _listening(self._address)
        self._server = _Server(
            uvicorn.Config(
                self._app,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                http=_Connection,
                timeout_graceful_shutdown=int(GOODBYE_SECONDS),
            )
        )
        self._serving = asyncio.create_task(self._server.serve([listening]), name="status")
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Close the port; requests under way get a moment to finish."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.gather(self._serving, return_exceptions=True)


class _Connection(H11Protocol):
    """Ends connections on which no complete request arrives; uvicorn itself waits for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(REQUEST_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        under_way = self.cycle is not None and not self.cycle.response_complete
        if self._late is not None and under_way:
            self._late.cancel()
            self._late = None
        elif self._late is None and not under_way:
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(target)
            listening.listen(256)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise SettingsError(f"http-address={address!r}: cannot listen: {os_error_text(error)}") from None
    listening.setblocking(False)
    return listening

"""The HTTP port on the event loop that serves KEDA: uvicorn, without its signal handlers, logging and sockets."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from time import time
from typing import Any, TypeAlias

import uvicorn

from scaler.discovery import Discoveries
from scaler.errors import SettingsError
from scaler.files import FollowedFiles, reason_of
from scaler.registry import Registry
from scaler.settings import Settings
from scaler.status.access import Access, AccessRules
from scaler.status.application import NO_PAGES, InTurns, Pages, RequestIds
from scaler.status.connections import Connection, Door
from scaler.status.reads import NOTHING, Reads
from scaler.status.report import Explain
from scaler.status.routes import StatusRoutes
from scaler.status.sessions import Sessions
from scaler.status.shares import Places, Turns
from scaler.status.shown import Missing, Shown
from scaler.status.stored import one_at_a_time
from scaler.status.token import token_file
from scaler.status.writing import Writing
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.process_figures import HTTP_REFUSALS
from scaler.telemetry.redaction import os_error_text

LARGEST_HEAD = 16 * 1024
"""bytes of a request's head"""

GOODBYE_SECONDS = 1.0
"""how long open requests may take once the port closes"""


class StatusServer:
    """The HTTP port, and the probe port where there is one. `start` opens them, `stop` closes them; it handles no
    signals. probe_port: 0 without one. Making one raises SettingsError for a token that cannot be used."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        telemetry: Telemetry,
        readiness: Missing,
        explain: Explain,
        now: Callable[[], float] = time,
        discoveries: Discoveries | None = None,
        reads: Reads = NOTHING,
        pages: Callable[[Shown, StatusRoutes], Pages] = lambda shown, api: NO_PAGES,
    ) -> None:
        self.probe_port = 0
        self._settings = settings
        self._telemetry = telemetry
        self._turns = Turns()
        self._rules = _access(settings, now)
        sessions, writing = self._rules.sessions, Writing(settings.http_writes, settings.http_user_header)
        reads = one_at_a_time(reads)
        shown = Shown(registry, telemetry, readiness, explain, now, discoveries, reads, self._turns, sessions, writing)
        self._routes = StatusRoutes(shown)
        self._pages = pages(shown, self._routes)
        self._ports: list[_Port] = []
        for reason in HTTP_REFUSALS:
            telemetry.count("http_refused", 0, reason=reason)

    async def start(self) -> int:
        """Open the ports and return the number of the HTTP port. Raises SettingsError with the reason where that
        fails."""
        settings = self._settings
        tls = None if settings.http_tls == "off" else _tls(settings)
        main = await self._open("http-address", settings.http_address, self._routes.app(self._pages), self._rules, tls)
        if settings.probe_address:
            rules = AccessRules()
            self.probe_port = await self._open(
                "probe-address", settings.probe_address, self._routes.probe_app(), rules, None
            )
        return main

    async def stop(self) -> None:
        """Close the ports; requests under way get a moment to finish."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # those that take longer are no fault
        await asyncio.gather(*(port.stop() for port in self._ports))

    async def _open(self, setting: str, address: str, app: Any, rules: AccessRules, tls: "_Tls | None") -> int:
        listening = _listening(setting, address)
        guarded = InTurns(RequestIds(Access(app, rules, self._refuse)), self._turns)
        port = _Port(listening, guarded, self._settings.http_max_connections_per_client, tls, self._refuse)
        self._ports.append(port)
        port.start()
        return int(listening.getsockname()[1])

    def _refuse(self, reason: str) -> None:
        self._telemetry.count("http_refused", reason=reason)


class _Port:
    """uvicorn behind one listening socket, with connections that a Door accepts."""

    def __init__(
        self, listening: socket.socket, app: Any, share: int, tls: "_Tls | None", refused: Callable[[str], None]
    ) -> None:
        self._listening = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=LARGEST_HEAD,
                timeout_graceful_shutdown=int(GOODBYE_SECONDS),
            )
        )
        places = Places(share, refused=partial(refused, "connections"))
        config, state = self._server.config, self._server.server_state
        context = None if tls is None else tls.current
        self._door = Door(
            listening,
            places,
            lambda place: Connection(
                place, places.release, refused, context, config=config, server_state=state, app_state={}
            ),
            context,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # else each malformed request is a line of the log
        self._tasks = [
            asyncio.create_task(self._server.serve([]), name="http port"),
            asyncio.create_task(self._door.run(), name="http door"),
        ]

    async def stop(self) -> None:
        serving, accepting = self._tasks
        accepting.cancel()
        self._server.should_exit = True
        await asyncio.gather(serving, accepting, return_exceptions=True)
        self._listening.close()


_Tls: TypeAlias = FollowedFiles[ssl.SSLContext]


def _tls(settings: Settings) -> _Tls:
    """What the HTTP port shows and asks for in a handshake; another one when the files change.

    A client certificate is asked for, and required later, by path: the kubelet has none for its probes.
    Raises SettingsError where the files cannot be used at the start.
    """
    authorities = settings.tls_client_ca if settings.http_tls == "mtls" else None
    paths = [path for path in (settings.tls_cert, settings.tls_key, authorities) if path is not None]

    def read() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # OpenSSL would ask the terminal for a password
            context.load_cert_chain(paths[0], paths[1], password="")
            if authorities is not None:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.load_verify_locations(authorities)
        except (OSError, ValueError) as error:
            raise SettingsError(f"TLS files {', '.join(map(str, paths))}: {reason_of(error)}") from None
        context.set_alpn_protocols(["http/1.1"])
        return context

    followed = FollowedFiles(paths, read)
    followed.current()
    return followed


def _access(settings: Settings, now: Callable[[], float]) -> AccessRules:
    """What requests at the HTTP port must bring. Raises SettingsError for a token that cannot be used."""
    hosts, certificate = settings.http_allowed_hosts, settings.http_tls == "mtls"
    if settings.http_token_file is None:
        return AccessRules(None, hosts, certificate)
    token = token_file(settings.http_token_file).current
    return AccessRules(token, hosts, certificate, Sessions(token, now, settings.http_tls != "off"))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listening(setting: str, address: str) -> socket.socket:
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
        raise SettingsError(f"{setting}={address!r}: cannot listen: {os_error_text(error)}") from None
    listening.setblocking(False)
    return listening

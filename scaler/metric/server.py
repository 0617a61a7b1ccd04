"""The gRPC port: grpc.aio, on uvloop where the process runs on it (docs/decisions/0002-server-kind.md)."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from scaler.errors import SettingsError
from scaler.metric.certificates import TlsFiles, credentials
from scaler.metric.servicer import Servicer
from scaler.metric.streams import Streams
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.telemetry.redaction import os_error_text
from scaler.trigger.sizes import MOST_REQUEST_BYTES

MOST_PENDING = 4000
"""calls of one method that wait for the event loop: about a second of its work. gRPC keeps each with its request, also
when the client has given it up; beyond, it cancels some new ones, and all from 1.25 times this"""

MOST_CALLS_OF_ONE_CONNECTION = 2000
"""beside push streams: an operator of KEDA brings all its calls over one connection, and its client waits beyond"""

MOST_HEADER_BYTES = 8192
"""of all headers of a call; KEDA sends a few hundred"""

HANDSHAKE_SECONDS = 10.0
"""for a new connection to say what it wants; gRPC's default is two minutes"""

_INT32_MAX = 2**31 - 1

SERVICE = wire.DESCRIPTOR.services_by_name["ExternalScaler"]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the port is opened. Times in seconds."""

    address: str = "0.0.0.0:50051"
    """HOST:PORT; port 0 takes a free one"""
    tls: TlsFiles | None = None
    max_connection_age_seconds: float = 120.0
    """give or take a tenth; a client looks for new replicas only when a connection ends"""
    notice_seconds: float = 1.0
    """between NOT_SERVING and the end of the first stream on drain"""
    max_request_bytes: int = 2 * MOST_REQUEST_BYTES
    """what gRPC itself refuses; below it, the caller gets a text that says what to do"""
    max_connections: int = 1000
    reuse_port: bool = False
    """share the port with other processes; off, so that a second process fails instead of getting half the calls"""
    reflection: bool = False
    """describe the services to anyone who asks"""


class MetricServer:
    """One servicer behind one port, with health, and reflection where it is wanted."""

    def __init__(self, servicer: Servicer, options: ServerOptions) -> None:
        self._options = options
        self._streams = servicer.streams
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stub has no aio
        self._server = grpc.aio.server(options=_channel_options(options, servicer.streams))
        _register(self._server, servicer)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if options.reflection:
            from grpc_reflection.v1alpha import reflection

            reflection.enable_server_reflection([SERVICE.full_name, health.SERVICE_NAME], self._server)
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Open the port and return its number. Raises SettingsError with the reason where that fails."""
        port = self._bind()
        for service in ("", SERVICE.full_name):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        self._looking = asyncio.create_task(self._streams.run(), name="push streams")
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Drain: NOT_SERVING, a moment for clients to see it, streams ended with OK, then no new calls.

        Calls that are still running after `grace_seconds` are cancelled.
        """
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._options.notice_seconds)
        self._streams.drain()
        await self._server.stop(grace_seconds)
        if self._looking is not None:
            self._looking.cancel()

    def _bind(self) -> int:
        address, tls = self._options.address, self._options.tls
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials(tls))
        except RuntimeError as error:
            raise SettingsError(f"grpc-address={address!r}: cannot listen: {_why_not(address)}") from error


def _register(server: grpc.aio.Server, servicer: Servicer) -> None:
    """Give the server every method of the proto's service, with bytes in and bytes out.

    Registered methods, not only a generic handler: gRPC then reads the request together with the call, which makes a
    unary call a quarter cheaper (docs/decisions/0002-server-kind.md).
    """
    handlers = {}
    for method in SERVICE.methods:
        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        handlers[method.name] = kind(getattr(servicer, method.name))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    server.add_registered_method_handlers(SERVICE.full_name, handlers)  # type: ignore[attr-defined]


def _channel_options(options: ServerOptions, streams: Streams) -> list[tuple[str, Any]]:
    # a stream may be opened just before its connection ends, and must still end by itself, with OK
    connection_grace_seconds = streams.lifetime_seconds + 10
    most_calls = min(streams.quota.limits.total, _INT32_MAX - MOST_CALLS_OF_ONE_CONNECTION)
    return [
        ("grpc.so_reuseport", int(options.reuse_port)),
        # gRPC's default is 1,000 calls; a KEDA that starts anew brings all its calls at once
        ("grpc.server.max_pending_requests", MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", MOST_PENDING * 5 // 4),
        ("grpc.max_receive_message_length", options.max_request_bytes),
        ("grpc.max_allowed_incoming_connections", options.max_connections),
        ("grpc.max_concurrent_streams", most_calls + MOST_CALLS_OF_ONE_CONNECTION),
        ("grpc.max_metadata_size", MOST_HEADER_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * MOST_HEADER_BYTES),
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS * 1000)),
        ("grpc.max_connection_age_ms", int(options.max_connection_age_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", int(connection_grace_seconds * 1000)),
        # a peer that is gone without closing is noticed, and its streams end
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # clients may ping, also between calls; gRPC's default is to end their connection for it
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


def _why_not(address: str) -> str:
    """The operating system's reason why the address cannot be bound; gRPC does not pass it on."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, target = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        return os_error_text(error)
    except ValueError:
        return "the address is not HOST:PORT"
    return "the operating system gives no reason"

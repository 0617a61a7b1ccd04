"""One scaler process: its ports, and the engine behind them.

The gRPC port opens first: metric specs need nothing else. What takes longer (the model runtime, the database, the
shared cache) is imported and opened behind it.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from scaler import __version__
from scaler.app.backends import open_backends, open_cache, open_database
from scaler.app.early import EarlyRegistrations
from scaler.app.ending import CLOSING_SECONDS, cut_off_after, leave_soon
from scaler.app.engine import Engine
from scaler.app.expiry import follow_certificates, watch_certificates
from scaler.app.garbage import collect_on_loop
from scaler.app.quotas import follow_quotas
from scaler.app.reading import Reading
from scaler.app.reload import Reload
from scaler.app.scheduling import prefer_answers, release_memory, release_unused
from scaler.app.signals import ignore_signals, on_signals
from scaler.app.tasks import BackgroundTasks
from scaler.clock import Clock, SystemClock
from scaler.files import stale_files
from scaler.forecast.signing import Signer
from scaler.history import MetricSource
from scaler.metric.certificates import TlsFiles
from scaler.metric.first_answer import FirstAnswers
from scaler.metric.server import MetricServer, ServerOptions
from scaler.metric.servicer import Servicer
from scaler.metric.streams import Streams
from scaler.quotas import Limits
from scaler.refresh.earlier_outlooks import EarlierOutlooks
from scaler.registry import Registration, Registry
from scaler.series import HistoryFacts
from scaler.settings import Settings
from scaler.settings.rules import trigger_rules
from scaler.status.token import token_file
from scaler.store.outlooks import NullOutlooks
from scaler.telemetry.logs import configure_logs
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.traces import configure_traces
from scaler.trigger import Trigger
from scaler.trigger.server_address import ANY_SERVER
from scaler.turns import in_pieces

if TYPE_CHECKING:
    from scaler.discovery.service import Discovery

log = structlog.get_logger()

OPENING = "bundle, cache and store are being opened"
LISTING = "the ScaledObjects of discover-namespaces are being listed"
EARLY_AT_A_TIME = 20
"""registered triggers that are planned before calls get their turn: some milliseconds"""


class Service:
    """One scaler process. `start` returns when its ports and its engine are open; `stop` drains.

    source: read instead of the servers of the settings. grpc_port, http_port: 0 until the port is open.
    """

    def __init__(self, settings: Settings, source: MetricSource | None = None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.telemetry = Telemetry()
        limits = Limits(settings.max_triggers, settings.max_triggers_per_namespace)
        self.registry = Registry(trigger_rules(settings), settings.refresh_interval, self._add, limits, self._awaited)
        self.grpc_port = 0
        self.http_port = 0
        self._source = source
        self._early = EarlyRegistrations(self.registry, self.clock)
        self._earlier = EarlierOutlooks(NullOutlooks(), self.clock)
        self._engine: Engine | None = None
        self._discovery: Discovery | None = None
        """None where the settings name no namespaces"""
        first_answers = FirstAnswers(settings.first_answer_wait, self.clock.now, self._worth_waiting)
        self._servicer = Servicer(self.registry, self.clock, _streams(settings), first_answers)
        self._server = MetricServer(self._servicer, _server_options(settings))
        self._opened = AsyncExitStack()
        self._draining = False
        self._warm = False
        """whether all triggers that were watched before the start have been looked at; it stays so"""

    async def start(self) -> None:
        """Open the ports, then the engine, and begin to refresh. Raises SettingsError for a setting that is wrong."""
        self._servicer.first_answers.opening()
        self._discovery = _discovery(self)
        _check_secrets(self.settings)
        await self._open_ports()
        await self._open_engine()
        self._start_discovery()
        release_memory()

    async def stop(self) -> None:
        """NOT_SERVING, drain, end the streams; then close the engine and the HTTP port."""
        log.info("draining")
        self._draining = True
        await self._server.stop(self.settings.drain_grace)
        await self._opened.aclose()
        log.info("stopped")

    def read_bundles(self) -> None:
        """Look for new bundles now."""
        if self._engine is not None:
            self._engine.read_bundles()

    async def _open_ports(self) -> None:
        self.grpc_port = await self._server.start()
        from scaler.page.routes import all_pages
        from scaler.status.server import StatusServer

        status = StatusServer(
            self.settings,
            self.registry,
            self.telemetry,
            self._missing,
            self._facts,
            self.clock.now,
            self._discovery,
            Reading(self.settings, lambda: self._engine).all(),
            all_pages,
        )
        self._opened.push_async_callback(status.stop)
        self.http_port = await status.start()
        follow_certificates(self.settings, self.telemetry)
        self.telemetry.follow("stale_files", lambda: {(): float(stale_files())})
        quotas = (self.registry.quota, self._servicer.streams.quota)
        follow_quotas(self.telemetry, quotas, self.settings.max_connections)
        self.telemetry.follow("rpc_calls", lambda: {key: float(count) for key, count in self._servicer.calls.items()})
        self.telemetry.follow_distribution("rpc_duration", self._servicer.timing.distributions)
        self.telemetry.follow_distribution("loop_delay", self._servicer.timing.loop_delays)
        watching = BackgroundTasks(self.telemetry)
        self._opened.push_async_callback(watching.stop)
        watching.keep_running("loop_delay", self._servicer.timing.watch_loop)
        watching.keep_running("garbage", collect_on_loop)
        watching.keep_running("memory", lambda: release_unused(self.registry, self.clock))
        watching.keep_running("certificates", lambda: watch_certificates(self.settings, self.clock))
        log.info(
            "listening",
            grpc_address=_at(self.settings.grpc_address, self.grpc_port),
            http_address=_at(self.settings.http_address, self.http_port),
            probe_address=_at(self.settings.probe_address, status.probe_port) if status.probe_port else "",
        )
        if not (self.settings.prometheus or self.settings.allow_server_address or self._source):
            log.warning("no_source", consequence="every trigger is refused: set prometheus or allow-server-address")
        if ANY_SERVER in self.settings.allow_server_address:
            log.warning("any_server", consequence="each trigger may name any server that this process reaches")

    async def _open_engine(self) -> None:
        cache = open_cache(self.settings)
        until_open = BackgroundTasks(self.telemetry)
        until_open.keep_running("early", lambda: self._early.receive_from(cache))
        try:
            store, outlooks = await open_database(self.settings)
            self._earlier = EarlierOutlooks(outlooks, self.clock)
            await self._take_up_earlier()
            backends = await open_backends(self.settings, cache, store, outlooks, self._source)
        finally:
            await until_open.stop()
        engine = Engine(self.settings, backends, self._earlier, self.registry, self.clock, self.telemetry)
        self._opened.push_async_callback(engine.close)
        self._engine = engine
        engine.start(self._early.take(), on_restored=self._servicer.first_answers.opened)

    async def _take_up_earlier(self) -> None:
        """Answer as before the restart: reading the database takes less time than loading a model."""
        await self._earlier.read(self.settings.max_triggers)
        async for piece in in_pieces(self._early.all, EARLY_AT_A_TIME):
            for registration in piece:
                self._earlier.take_up(registration, self.registry)

    def _start_discovery(self) -> None:
        if self._discovery is None:
            return
        self._opened.push_async_callback(self._discovery.close)
        watching = BackgroundTasks(self.telemetry)
        self._opened.push_async_callback(watching.stop)
        for watch in self._discovery.watches():
            watching.keep_running("discovery", watch.run)

    def _add(self, registration: Registration) -> None:
        self._earlier.take_up(registration, self.registry)
        (self._engine or self._early).add(registration)

    def _facts(self, key: str) -> HistoryFacts | None:
        return self._engine.facts(key) if self._engine is not None else None

    def _worth_waiting(self, trigger: Trigger) -> bool:
        return self._engine is None or self._engine.reachable(trigger)

    def _awaited(self) -> str:
        """Why this process may not know a trigger that was watched before; empty once it knows all."""
        if self._engine is None:
            return OPENING
        if not self._engine.has_read_watched:
            return "the triggers watched before the restart have not been read from the database yet"
        if self._discovery is not None and self._discovery.is_waiting():
            return LISTING
        return ""

    def _missing(self) -> dict[str, str]:
        """What is missing before this process should be called; a source or cache that is down is no part of it."""
        missing = {}
        if self._draining:
            missing["draining"] = "the process is about to stop"
        if self._engine is None:
            missing["backends"] = OPENING
        elif not self._engine.restored.is_set():
            missing["watched"] = "the triggers watched before the restart are being read"
        elif self._discovery is not None and self._discovery.is_waiting():
            missing["discovery"] = LISTING
        elif not self._warm:
            behind = sum(not registration.ready for registration in self.registry)
            if behind:
                missing["outlooks"] = f"{behind} of {len(self.registry)} watched triggers have not been looked at yet"
            self._warm = not behind
        return missing


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain; what is not done CLOSING_SECONDS after `drain-grace` is cut off. Raises
    SettingsError when the process cannot start."""
    stopping = asyncio.Event()
    service = Service(settings)

    def stop() -> None:
        stopping.set()
        cut_off_after(settings.drain_grace + CLOSING_SECONDS, asyncio.get_running_loop())

    on_signals(stop, Reload(settings, service.read_bundles))
    try:
        await service.start()
        await stopping.wait()
    finally:
        await service.stop()


def run(settings: Settings) -> None:
    """`serve` on the event loop chosen in docs/decisions/0002-server-kind.md."""
    configure_logs(settings.log_format, settings.log_level)
    end_traces = configure_traces(settings.traces_endpoint, __version__)
    prefer_answers()
    ignore_signals()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(settings))
        leave_soon()
        end_traces()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed (not on Windows), else asyncio's own loop."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _discovery(service: Service) -> "Discovery | None":
    """What watches ScaledObjects, where the settings want it. Raises SettingsInvalid where no API server is known."""
    if not service.settings.discover_namespaces:
        return None
    from scaler.discovery.place import api_server
    from scaler.discovery.service import Discovery

    server = api_server(service.settings, os.environ)
    return Discovery(service.settings, server, service.registry, service.clock, service.telemetry)


def _check_secrets(settings: Settings) -> None:
    """Raises SettingsError for a file that this process cannot do without, before a port is open."""
    if settings.http_token_file is not None:
        token_file(settings.http_token_file)
    if settings.redis_signing_key_file is not None:
        Signer(settings.redis_signing_key_file)


def _at(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"


def _server_options(settings: Settings) -> ServerOptions:
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return ServerOptions(
        settings.grpc_address,
        tls,
        settings.max_connection_age,
        max_connections=settings.max_connections,
        reflection=settings.grpc_reflection,
    )


def _streams(settings: Settings) -> Streams:
    limits = Limits(settings.max_streams, settings.max_streams_per_namespace)
    return Streams(settings.stream_lifetime, limits=limits)

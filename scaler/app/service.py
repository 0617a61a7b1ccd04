"""The composition root: settings → parts → running tasks → graceful stop.

The gRPC port opens first: metric specs need nothing else. What takes longer (the model runtime, the database, the
shared cache) is imported and opened behind it.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from scaler.app.backends import Backends, open_backends, open_cache
from scaler.app.scheduling import prefer_answers
from scaler.clock import Clock, SystemClock
from scaler.errors import CacheUnavailable
from scaler.forecast import ForecastCache
from scaler.history import MetricSource
from scaler.metric.certificates import TlsFiles
from scaler.metric.first_answer import FirstAnswers
from scaler.metric.server import MetricServer, ServerOptions
from scaler.metric.servicer import Servicer
from scaler.metric.streams import Streams
from scaler.refresh.checkpoint import Remember
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.refresh.static_triggers import keep_watching
from scaler.registry import Registration, Registry
from scaler.series import HistoryFacts
from scaler.settings import Settings
from scaler.telemetry.logs import configure_logs
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger, TriggerRules

if TYPE_CHECKING:
    from scaler.status.server import StatusServer

log = structlog.get_logger()

RESTART_SECONDS = 1.0
"""pause before a background task that failed is started again"""


RELOAD_SECONDS = 60.0
"""how often the bundles' place is looked at for new versions"""


LISTED_SECONDS = 60.0
"""how often listed triggers are asked about: as often as telemetry wants to see that somebody does"""


class Service:
    """One scaler process. `start` returns when its ports are open and its parts loaded; `stop` drains."""

    def __init__(self, settings: Settings, source: MetricSource | None = None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.telemetry = Telemetry()
        rules = TriggerRules(settings.prometheus, settings.allow_server_address, settings.max_query_length)
        self.registry = Registry(rules, settings.refresh_interval, on_new=self._welcome)
        self.servicer = Servicer(
            self.registry,
            self.clock,
            Streams(settings.stream_lifetime),
            FirstAnswers(settings.first_answer_wait, self.clock.now, self._worth_waiting),
        )
        self.grpc_port = 0
        self.http_port = 0
        self._given_source = source
        self._server = MetricServer(self.servicer, _server_options(settings))
        self._backends: Backends | None = None
        self._refresh: Refresh | None = None
        self._remember: Remember | None = None
        self._status: StatusServer | None = None
        self._restored = False
        self._draining = False
        self._cache: ForecastCache | None = None
        self._early: list[Registration] = []
        """asked about before the parts were open"""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def refresh(self) -> Refresh:
        """The background path; it exists once `start` has returned."""
        assert self._refresh is not None
        return self._refresh

    async def start(self) -> None:
        """Open the ports, then the parts, then begin to refresh. Raises SettingsError for what must be mended."""
        self.servicer.first_answers.opening()
        self.grpc_port = await self._server.start()
        await self._open_status()
        log.info(
            "listening", grpc_address=_at(self.settings.grpc_address, self.grpc_port), http_address=self._http_at()
        )
        if not (self.settings.prometheus or self.settings.allow_server_address or self._given_source):
            log.warning("no_source", consequence="every trigger is refused: set prometheus or allow-server-address")
        self._cache = open_cache(self.settings)
        self._backends = await open_backends(self.settings, self._cache, self._given_source)
        self._refresh = self._make_refresh(self._backends)
        self.telemetry.follow("rpc_calls", lambda: {key: float(count) for key, count in self.servicer.calls.items()})
        catalog, source = self._backends.catalog, self._backends.source
        self.telemetry.follow(
            "circuit_open", lambda: {(name,): float(is_open) for name, is_open in source.circuits().items()}
        )
        self.telemetry.follow("bundle_info", lambda: {(f.model,): 1.0 for f in catalog.forecasters.values()})
        for registration in self._early:
            self._refresh.add(registration)
        self._remember = Remember(
            self.registry,
            self._refresh.tracking,
            self._backends.store,
            self.clock,
            self.telemetry,
            self.settings.trigger_expiry,
        )
        self._keep_running("new_registrations", self._refresh.run_new_registrations)
        self._keep_running("backfill", self._refresh.backfill.run)
        self._keep_running("first_forecasts", self._refresh.run_first_forecasts)
        self._keep_running("listen", self._refresh.run_listen)
        self._keep_running("refresh", self._refresh.run)
        self._keep_running("remember", self._restore_then_remember)
        self._keep_running("bundles", self._follow_bundles)
        self._keep_running("listed", self._watch_listed)

    async def stop(self) -> None:
        """NOT_SERVING, drain, end the streams, give leases back, write what is not stored yet."""
        log.info("draining")
        self._draining = True
        await self._server.stop(self.settings.drain_grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._refresh is not None:
            await self._refresh.close()
        if self._remember is not None:
            await self._remember.write()
        if self._backends is not None:
            await self._backends.close()
        if self._status is not None:
            await self._status.stop()
        log.info("stopped")

    async def _open_status(self) -> None:
        from scaler.status.server import StatusServer

        self._status = StatusServer(
            self.settings, self.registry, self.telemetry, self._missing, self._facts, now=self.clock.now
        )
        self.http_port = await self._status.start()

    def _http_at(self) -> str:
        return _at(self.settings.http_address, self.http_port)

    def _missing(self) -> dict[str, str]:
        """What is missing before this process should be called; a source or cache that is down is no part of it."""
        missing = {}
        if self._draining:
            missing["draining"] = "the process is about to stop"
        if self._refresh is None:
            missing["parts"] = "bundle, caches and store are being opened"
        elif not self._restored:
            missing["watched"] = "the triggers watched before the restart are being read"
        elif behind := [w for w in self.registry if not w.ready.is_set()]:
            missing["outlooks"] = f"{len(behind)} of {len(self.registry)} watched triggers have not been looked at yet"
        return missing

    def _facts(self, key: str) -> HistoryFacts | None:
        return self._refresh.tracking.facts(key) if self._refresh is not None else None

    def _make_refresh(self, backends: Backends) -> Refresh:
        settings = RefreshSettings(
            interval_seconds=self.settings.refresh_interval,
            publish_grace_seconds=self.settings.publish_grace if self.settings.redis else 0.0,
            silence_seconds=self.settings.trigger_expiry,
            chunk=self.settings.forecast_chunk,
            backfill_concurrency=self.settings.backfill_concurrency,
        )
        return Refresh(
            self.registry,
            backends.source,
            backends.catalog,
            backends.cache,
            backends.store,
            self.clock,
            self.telemetry,
            settings,
        )

    def _welcome(self, registration: Registration) -> None:
        if self._refresh is not None:
            self._refresh.add(registration)
            return
        self._early.append(registration)
        if self._cache is not None:
            self._tasks.append(asyncio.create_task(self._take_shared(registration.trigger.key, self._cache)))

    async def _take_shared(self, key: str, cache: ForecastCache) -> None:
        """What another replica has published counts at once: a model takes longer to load than a cache to ask."""
        with suppress(CacheUnavailable):
            for found, outlook in (await cache.receive([key])).items():
                self.registry.receive(found, outlook, self.clock.now())

    def _worth_waiting(self, trigger: Trigger) -> bool:
        return self._backends is None or self._backends.source.reachable(trigger)

    async def _restore_then_remember(self) -> None:
        assert self._remember is not None
        if not self._restored:
            restored = await self._remember.restore()
            self._restored = True
            self.servicer.first_answers.opened()
            log.info("restored", triggers=restored, listed=len(self.settings.triggers))
        await self._remember.run()

    async def _watch_listed(self) -> None:
        await keep_watching(
            self.registry, self.settings.triggers, self.clock, min(LISTED_SECONDS, self.settings.trigger_expiry / 4)
        )

    async def _follow_bundles(self) -> None:
        """Take up new versions of the bundles; a refused one is told once, and what runs stays."""
        assert self._backends is not None
        catalog = self._backends.catalog
        reported: dict[str, str] = {}
        while True:
            refused = {place: str(refusal) for place, refusal in catalog.refusals.items()}
            for place, why in refused.items():
                if reported.get(place) != why:
                    log.error("bundle_refused", bundle=place, error=why, serving=catalog.champion.model)
                    self.telemetry.count("bundle_refused")
            reported = refused
            await self.clock.sleep_until(self.clock.now() + RELOAD_SECONDS)
            if self.settings.bundle:
                await asyncio.to_thread(catalog.reload)

    def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a background task for the life of the process; a fault in it is told, and it starts again."""

        async def loop() -> None:
            while True:
                try:
                    await run()
                except Exception:
                    log.exception("task_failed", task=name)
                    self.telemetry.count("task_failed", task=name)
                await asyncio.sleep(RESTART_SECONDS)

        self._tasks.append(asyncio.create_task(loop(), name=name))


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises SettingsError when the process cannot start."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    service = Service(settings)
    try:
        await service.start()
        await stopping.wait()
    finally:
        await service.stop()


def run(settings: Settings) -> None:
    """`serve` on the event loop chosen in docs/decisions/0002-server-kind.md."""
    configure_logs(settings.log_format, settings.log_level)
    prefer_answers()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(settings))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed (not on Windows), else asyncio's own loop."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _at(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"


def _server_options(settings: Settings) -> ServerOptions:
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return ServerOptions(settings.grpc_address, tls, settings.max_connection_age)

"""What answers are made from: the backends, the refresh, the checkpoint, and the tasks that run them.

An engine exists only when all of it is open. Everything that takes long to import or to open belongs here.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.app.backends import Backends
from scaler.app.retrainings import Retrainings
from scaler.app.tasks import BackgroundTasks
from scaler.clock import Clock
from scaler.models import ModelIndex
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.refresh.checkpoint import Checkpoint
from scaler.refresh.earlier_outlooks import EarlierOutlooks
from scaler.refresh.hours import hours_ahead, past_hours
from scaler.refresh.keeping_conclusions import ConclusionKeeper
from scaler.refresh.keeping_plans import PlanKeeper
from scaler.refresh.keeping_scores import ScoreKeeper
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.refresh.minutes_shown import demand_by_minute
from scaler.refresh.probation import Probations
from scaler.refresh.saving_anomalies import AnomalyWriter
from scaler.refresh.saving_outlooks import OutlookWriter
from scaler.refresh.stored_apart import StoredApart
from scaler.registry import ListedBy, Registration, Registry
from scaler.savings import SavedDay, SavingsAsked
from scaler.scored import ScoredDay, ScoredTotal, ScoresAsked, TotalsAsked, WeekAsked, Weeks
from scaler.scoring.scores import DAY_KEEPS
from scaler.series import Floats, HistoryFacts, HoursAhead
from scaler.settings import Settings
from scaler.status.reads import BackendFacts
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger

log = structlog.get_logger()


LONGEST_RESTORE_SECONDS = 10.0
"""how long readiness waits for the database"""
FIRST_RESTORE_PAUSE_SECONDS = 5.0
LONGEST_RESTORE_PAUSE_SECONDS = 60.0
"""between attempts to read a database that does not answer"""


class Engine:
    """Refreshes registered triggers from opened backends. `start` begins, `close` ends it and closes the backends."""

    def __init__(
        self,
        settings: Settings,
        backends: Backends,
        earlier: EarlierOutlooks,
        registry: Registry,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self.restored = asyncio.Event()
        """set once the triggers from before the restart are registered again, or their reading has taken too long"""
        self.has_read_watched = False
        """whether they are registered again"""
        self._settings = settings
        self._backends = backends
        self._earlier = earlier
        self._registry = registry
        self._clock = clock
        self._telemetry = telemetry
        self._tasks = BackgroundTasks(telemetry)
        self._on_restored: Callable[[], None] = lambda: None
        self._late: asyncio.TimerHandle | None = None
        self._refresh = Refresh(
            registry,
            backends.source,
            backends.bundles.catalog,
            backends.cache,
            backends.store,
            clock,
            telemetry,
            _refresh_settings(settings),
        )
        self._checkpoint = Checkpoint(
            registry, self._refresh.tracking, backends.store, clock, telemetry, settings.trigger_expiry
        )
        self._scores = ScoreKeeper(self._refresh.tracking, backends.scores, clock, telemetry)
        self._plans = PlanKeeper(self._refresh.tracking, backends.plans, clock, telemetry)
        self._probations = Probations(
            self._refresh.tracking,
            self._refresh.runner,
            backends.models,
            backends.bundles.catalog.probations,
            clock,
            telemetry,
            settings.refresh_interval,
            backends.bundles.read_now,
        )
        self._anomalies = AnomalyWriter(self._refresh.tracking.anomalies, backends.anomalies, clock, telemetry)
        self._conclusions = ConclusionKeeper(self._refresh.tracking, backends.conclusions, clock)
        self._outlooks = OutlookWriter(self._refresh.tracking, backends.outlooks, clock)
        self._apart = StoredApart(backends.apart, backends.store, clock)
        self._retrainings = Retrainings(backends.models, clock)

    def start(self, registrations: Iterable[Registration], on_restored: Callable[[], None]) -> None:
        """Begin with what is registered already; then keep everything up to date in the background."""
        self._export_backends()
        for registration in registrations:
            self.add(registration)
        self._tasks.keep_running("new_registrations", self._refresh.run_new_registrations)
        self._tasks.keep_running("backfill", self._refresh.backfill.run)
        self._tasks.keep_running("first_forecasts", self._refresh.run_first_forecasts)
        self._tasks.keep_running("rehearsal", self._refresh.rehearsal.run)
        self._tasks.keep_running("listen", self._refresh.run_listen)
        self._tasks.keep_running("refresh", self._refresh.run)
        self._on_restored = on_restored
        self._late = asyncio.get_running_loop().call_later(LONGEST_RESTORE_SECONDS, self._go_on)
        self._tasks.keep_running("restore", self._restore)
        self._tasks.keep_running("checkpoint", self._checkpoint.run)
        self._tasks.keep_running("scores", self._scores.run)
        self._tasks.keep_running("plans", self._plans.run)
        self._tasks.keep_running("anomalies", self._anomalies.run)
        self._tasks.keep_running("conclusions", self._conclusions.run)
        self._tasks.keep_running("earlier_outlooks", self._earlier.run)
        self._tasks.keep_running("outlooks", self._outlooks.run)
        self._tasks.keep_running("apart", self._apart.run)
        self._tasks.keep_running("bundles", self._follow_bundles)
        self._tasks.keep_running("probations", self._probations.run)
        self._tasks.keep_running("retrainings", self._retrainings.run)
        self._list_triggers()

    def add(self, registration: Registration) -> None:
        """Begin with a newly registered trigger."""
        self._refresh.add(registration)

    def facts(self, key: str) -> HistoryFacts | None:
        """What is known of a trigger's history; None where another replica refreshes it."""
        return self._refresh.tracking.facts(key)

    def reachable(self, trigger: Trigger) -> bool:
        """Whether asking the trigger's source now may succeed."""
        return self._backends.source.reachable(trigger)

    async def savings(self, asked: SavingsAsked) -> list[SavedDay]:
        """What triggers were worth, as the store knows it. Raises StoreUnavailable."""
        return await self._backends.store.load_savings(asked)

    async def scores(self, asked: ScoresAsked) -> list[ScoredDay]:
        """How good forecasts turned out, as the store knows it. Raises StoreUnavailable."""
        return await self._backends.scores.days(asked)

    async def score_totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        """The same over all days together, of each lead. Raises StoreUnavailable."""
        return await self._backends.scores.totals(asked)

    async def weeks(self, asked: Sequence[WeekAsked]) -> Weeks:
        """The sums of about a week, as the store knows them. Raises StoreUnavailable."""
        return await self._backends.scores.weeks(asked, DAY_KEEPS)

    async def past_plans(self, asked: PastPlansAsked) -> list[PastPlan]:
        """What was planned for a ScaledObject, as the store knows it. Raises StoreUnavailable."""
        return await self._backends.plans.load(asked)

    async def anomalies(self, asked: AnomaliesAsked) -> list[Anomaly]:
        """Where demand left the band of its forecast, as the store knows it. Raises StoreUnavailable."""
        return await self._backends.anomalies.load(asked, self._clock.now())

    @property
    def models(self) -> ModelIndex:
        """Which versions of models serve whom."""
        return self._backends.models

    def backends(self) -> BackendFacts:
        """What this process works with, and how that is doing."""
        return BackendFacts(
            self._backends.cache.replica_id,
            "redis" if self._settings.redis else "memory",
            _store_kind(self._settings),
            self._refresh.cache_error,
            self._checkpoint.error,
            {place: str(why) for place, why in self._backends.bundles.catalog.refusals.items()},
        )

    async def replicas(self) -> Mapping[str, int]:
        """How many triggers each replica refreshes, by its name. Raises CacheUnavailable."""
        return await self._backends.cache.holders([one.trigger.key for one in self._registry])

    async def demand(self, trigger: Trigger, since: float, until: float) -> Floats:
        """Demand by the minute [M]. Raises StoreUnavailable where only the store has it, and does not answer."""
        return await demand_by_minute(
            self._refresh.tracking.combining.memory, self._backends.store, trigger, since, until
        )

    async def hours(self, trigger: Trigger, hours: int) -> HoursAhead:
        """The next hours, for people. Raises StoreUnavailable as `demand` does."""
        tracking = self._refresh.tracking
        past = await past_hours(
            tracking.get(trigger.key), tracking.combining.memory, self._backends.store, trigger, self._clock.now()
        )
        bundles = self._backends.bundles.catalog.hourly(trigger)
        return await asyncio.to_thread(hours_ahead, past, trigger, hours, bundles)

    def read_bundles(self) -> None:
        """Look for new bundles now."""
        self._backends.bundles.read_now()

    async def close(self) -> None:
        """End the tasks, give the leases back, write what is not stored yet, and close the backends."""
        if self._late is not None:
            self._late.cancel()
        await self._tasks.stop()
        await self._refresh.close()
        await asyncio.gather(self._outlooks.finish(), self._store_all())
        await self._backends.close()

    async def _store_all(self) -> None:
        await self._checkpoint.finish()
        await self._scores.finish()
        await self._plans.finish()
        await self._anomalies.finish()
        await self._conclusions.finish()
        await self._apart.write()

    async def _follow_bundles(self) -> None:
        def named() -> set[str]:
            return {registration.trigger.model for registration in self._registry}

        await self._backends.bundles.follow(self._clock, self._telemetry, named)

    def _export_backends(self) -> None:
        catalog, source = self._backends.bundles.catalog, self._backends.source
        queues = (self._refresh, self._checkpoint, self._scores, self._plans, self._anomalies, source)
        self._telemetry.follow(
            "circuit_open", lambda: {(name,): float(is_open) for name, is_open in source.circuits().items()}
        )
        self._telemetry.follow(
            "queue_length", lambda: {(name,): float(n) for one in queues for name, n in one.queue_lengths().items()}
        )
        self._telemetry.follow("cache_refused", lambda: {(): float(self._backends.cache.refused)})
        self._telemetry.follow("retraining_timestamp", self._retrainings.exported)
        self._telemetry.follow("refused_bundles", lambda: {(): float(len(catalog.refusals))})
        self._telemetry.follow("bundle_info", lambda: {(model,): 1.0 for model in catalog.models})
        self._telemetry.follow(
            "champion_info", lambda: {(scope, one.model): 1.0 for scope, (one, _) in catalog.versions.serving.items()}
        )
        self._telemetry.follow("champion_on_probation", self._on_probation)

    def _on_probation(self) -> dict[tuple[str, ...], float]:
        found = self._backends.bundles.catalog.probations(self._clock.now())
        return {(one.champion.scope, one.champion.model): 1.0 for one in found}

    async def _restore(self) -> None:
        """Read the triggers from before the restart, as soon as the database answers. Nothing else waits for it."""
        pause = FIRST_RESTORE_PAUSE_SECONDS
        while True:
            try:
                restored = await self._checkpoint.restore()
            finally:
                self._go_on()
            if restored is not None:
                self.has_read_watched = True
                break
            await self._clock.sleep_until(self._clock.now() + pause)
            pause = min(2 * pause, LONGEST_RESTORE_PAUSE_SECONDS)
            await self._earlier.read(self._settings.max_triggers)
        self._earlier.report()
        log.info("restored", triggers=restored, listed=len(self._settings.triggers))
        await asyncio.Event().wait()

    def _go_on(self) -> None:
        """Serve with what is known, whether or not the database has answered."""
        if not self.restored.is_set():
            self.restored.set()
            self._on_restored()

    def _list_triggers(self) -> None:
        """Watch the triggers of the settings: KEDA does not call for them, their plans are read from telemetry."""
        for one in self._settings.triggers:
            self._registry.register_listed(ListedBy.SETTINGS, one.namespace, one.name, one.metadata, self._clock.now())


def _store_kind(settings: Settings) -> str:
    if settings.database is not None:
        return "sqlite" if settings.database.get_secret_value().startswith("sqlite") else "postgresql"
    return "sqlite" if settings.data_dir else "none"


def _refresh_settings(settings: Settings) -> RefreshSettings:
    return RefreshSettings(
        interval_seconds=settings.refresh_interval,
        publish_grace_seconds=settings.publish_grace if settings.redis else 0.0,
        silence_seconds=settings.trigger_expiry,
        chunk=settings.forecast_chunk,
        backfill_concurrency=settings.backfill_concurrency,
    )

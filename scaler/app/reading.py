"""What the HTTP port may read of an engine that opens after the port."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.app.bundles import in_thread
from scaler.app.engine import Engine
from scaler.bundle import fetch, read_bundle
from scaler.errors import BundleInvalid, StoreUnavailable
from scaler.models import ModelIndex
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.savings import SavedDay, SavingsAsked
from scaler.scored import ScoredDay, ScoredTotal, ScoresAsked, TotalsAsked, WeekAsked, Weeks
from scaler.series import Floats, HoursAhead
from scaler.settings import Settings
from scaler.status.reads import BackendFacts, Reads
from scaler.trigger import Trigger

BUNDLE_SECONDS = 20.0
"""how long the place of the bundles may take to show one"""


class Reading:
    """Reads of the engine, once there is one. Before, and without a database, they raise StoreUnavailable."""

    def __init__(self, settings: Settings, engine: Callable[[], Engine | None]) -> None:
        self._keeps = bool(settings.database or settings.data_dir)
        self._engine = engine
        self._bundle = settings.bundle
        self._one_check = asyncio.Lock()

    def all(self) -> Reads:
        """What the HTTP port is given."""
        return Reads(
            self.savings,
            self.scores,
            self.weeks,
            self.past_plans,
            self.anomalies,
            self.demand,
            self.models,
            self.hours,
            self.backends,
            self.replicas,
            self.check_bundle,
            self.score_totals,
        )

    async def savings(self, asked: SavingsAsked) -> list[SavedDay]:
        return await self._storing().savings(asked)

    async def scores(self, asked: ScoresAsked) -> list[ScoredDay]:
        return await self._storing().scores(asked)

    async def score_totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        return await self._storing().score_totals(asked)

    async def weeks(self, asked: Sequence[WeekAsked]) -> Weeks:
        engine = self._engine()
        return {} if engine is None else await engine.weeks(asked)

    async def past_plans(self, asked: PastPlansAsked) -> list[PastPlan]:
        return await self._storing().past_plans(asked)

    async def anomalies(self, asked: AnomaliesAsked) -> list[Anomaly]:
        return await self._storing().anomalies(asked)

    async def demand(self, trigger: Trigger, since: float, until: float) -> Floats:
        return await self._opened().demand(trigger, since, until)

    async def hours(self, trigger: Trigger, hours: int) -> HoursAhead:
        return await self._opened().hours(trigger, hours)

    def models(self) -> ModelIndex:
        return self._storing().models

    def backends(self) -> BackendFacts:
        return self._opened().backends()

    async def replicas(self) -> Mapping[str, int]:
        return await self._opened().replicas()

    async def check_bundle(self, model: str) -> None:
        """Raises BundleInvalid where this process would refuse the version, or where its place does not answer."""
        if not self._bundle:
            return
        async with self._one_check:
            read = in_thread(lambda: _read(self._bundle, model))
            await asyncio.wait({read}, timeout=BUNDLE_SECONDS)
            if not read.done():
                raise BundleInvalid(model, ("its place does not answer in time",))
            read.result()

    def _storing(self) -> Engine:
        if not self._keeps:
            raise StoreUnavailable("nothing is kept: set data-dir or database")
        return self._opened()

    def _opened(self) -> Engine:
        engine = self._engine()
        if engine is None:
            raise StoreUnavailable("the database is being opened")
        return engine


def _read(place: str, model: str) -> None:
    with tempfile.TemporaryDirectory(prefix="headway-bundle-") as folder:
        read_bundle(fetch(place, Path(folder), model))

"""Opening what the refresh works with, from the settings. Everything heavy is imported here, when it is needed."""

import asyncio
import socket
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scaler.forecast import ForecastCache
from scaler.history import MetricSource, open_source
from scaler.history.apart import Apart
from scaler.models import ModelIndex
from scaler.settings import Settings
from scaler.store import Store
from scaler.store.anomalies import AnomalyStore, NoAnomalies
from scaler.store.conclusions import ConclusionStore, NullConclusions
from scaler.store.null_models import NullModels
from scaler.store.outlooks import NullOutlooks, OutlookStore
from scaler.store.plans import NullPlans, PlanStore
from scaler.store.scores import NullScores, ScoreStore

if TYPE_CHECKING:
    from scaler.app.bundles import BundleReads
    from scaler.forecast.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Backends:
    """Where history comes from, what forecasts it, and where results are kept."""

    source: MetricSource
    bundles: "BundleReads"
    cache: ForecastCache
    store: Store
    apart: Apart = field(default_factory=Apart)
    """which queries the source never joins with others"""
    models: ModelIndex = field(default_factory=NullModels)
    """which versions of models serve whom; in the database of the store"""
    scores: ScoreStore = field(default_factory=NullScores)
    """how good forecasts turned out; there, too"""
    plans: PlanStore = field(default_factory=NullPlans)
    """there, too"""
    anomalies: AnomalyStore = field(default_factory=NoAnomalies)
    """in the database of `store`"""
    conclusions: ConclusionStore = field(default_factory=NullConclusions)
    """what the planner has concluded and counts for days; there, too"""
    outlooks: OutlookStore = field(default_factory=NullOutlooks)
    """what triggers were answered with when a replica ended; there, too"""

    async def close(self) -> None:
        """Close all of them, whatever one of them fails with."""
        await asyncio.gather(self.source.close(), self.cache.close(), self.store.close(), return_exceptions=True)


async def open_backends(
    settings: Settings, cache: ForecastCache, store: Store, outlooks: OutlookStore, source: MetricSource | None = None
) -> Backends:
    """All backends, the slow ones opened side by side. Raises SettingsError for a setting that an operator must fix.

    A bundle that is refused does not raise: a shipped one serves, and the refusals of the catalog say why. One from a
    URL, or from a folder that does not answer, is taken up when it comes.
    """
    catalog, models = await asyncio.gather(
        asyncio.to_thread(_catalog, settings), asyncio.to_thread(_models, store, settings)
    )
    bundles = _bundles(settings, catalog, models)
    await bundles.first()
    apart = Apart()
    from scaler.store.sql_scores import scores_beside

    scores = scores_beside(store, settings.installation)
    plans = _plans(store, settings)
    anomalies = _anomalies(store, settings)
    conclusions = _conclusions(store, settings)
    source = source or open_source(settings, apart)
    return Backends(source, bundles, cache, store, apart, models, scores, plans, anomalies, conclusions, outlooks)


async def open_database(settings: Settings) -> tuple[Store, OutlookStore]:
    """The store, and the outlooks in it. Does not wait for a server."""
    store = await asyncio.to_thread(_store, settings)
    return store, _outlooks(store, settings)


def open_cache(settings: Settings) -> ForecastCache:
    """What replicas share, or this process's own memory. Does not wait for a server."""
    if settings.redis is None:
        from scaler.forecast.cache import MemoryCache

        return MemoryCache()
    from scaler.forecast.redis_cache import RedisCache, prefix_of
    from scaler.forecast.signing import Signer

    replica = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    signer = Signer(settings.redis_signing_key_file) if settings.redis_signing_key_file else None
    url, prefix = settings.redis.get_secret_value(), prefix_of(settings.installation)
    return RedisCache(url, replica, prefix, signer=signer)


def _catalog(settings: Settings) -> "Catalog":
    from scaler.forecast.catalog import Catalog, open_shipped

    threads = settings.inference_threads
    return Catalog(open_shipped(threads), settings.bundle, champion="", threads=threads, cache=None)


def _bundles(settings: Settings, catalog: "Catalog", models: ModelIndex) -> "BundleReads":
    from scaler.app.bundles import BundleReads
    from scaler.bundle import shown_url

    return BundleReads(catalog, shown_url(settings.bundle), models)


def _store(settings: Settings) -> Store:
    from scaler.store.sql_store import open_store

    url = settings.database.get_secret_value() if settings.database else None
    return open_store(url, settings.data_dir, settings.installation)


def _models(store: Store, settings: Settings) -> ModelIndex:
    from scaler.store.model_index import model_index_beside

    return model_index_beside(store, settings.installation)


def _plans(store: Store, settings: Settings) -> PlanStore:
    from scaler.store.sql_store import SqlStore
    from scaler.store.stored_plans import SqlPlans

    return SqlPlans(store.database, settings.installation) if isinstance(store, SqlStore) else NullPlans()


def _anomalies(store: Store, settings: Settings) -> AnomalyStore:
    from scaler.store.sql_store import SqlStore
    from scaler.store.stored_anomalies import SqlAnomalies

    return SqlAnomalies(store.database, settings.installation) if isinstance(store, SqlStore) else NoAnomalies()


def _conclusions(store: Store, settings: Settings) -> ConclusionStore:
    from scaler.store.sql_store import SqlStore
    from scaler.store.stored_conclusions import SqlConclusions

    if not isinstance(store, SqlStore):
        return NullConclusions()
    return SqlConclusions(store.database, settings.installation)


def _outlooks(store: Store, settings: Settings) -> OutlookStore:
    from scaler.store.sql_store import SqlStore
    from scaler.store.stored_outlooks import SqlOutlooks

    return SqlOutlooks(store.database, settings.installation) if isinstance(store, SqlStore) else NullOutlooks()

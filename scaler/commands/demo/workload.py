"""One workload of the demo: KEDA's calls, and two simulated Deployments, one scaled by Headway, one reactive."""

from collections.abc import Sequence

from scaler.app.service import Service
from scaler.commands.demo.opening import Opening, watched
from scaler.commands.demo.simulated import Deployment
from scaler.commands.demo.view import Row
from scaler.errors import DependencyError, HeadwayError
from scaler.history import observe_all
from scaler.history.recorded import RecordedSource
from scaler.manifest import ScaledObject
from scaler.plan import Plan
from scaler.plan.hpa import SYNC_SECONDS, Hpa
from scaler.registry import Registration

STARTUP_SECONDS = 90.0
"""from a pod's creation until it is ready"""

KNOWN_AFTER_SECONDS = 60.0 - SYNC_SECONDS
"""from a sync until its source knows the demand of the time since the last sync: a minute is known when it is over"""


class Workload:
    """openings: the moments at which demand on a schedule begins to rise (seconds since the epoch)."""

    def __init__(self, scaled: ScaledObject, openings: Sequence[float] = ()) -> None:
        (entry,) = scaled.our_triggers
        self.scaled = scaled
        self.metadata = entry.metadata
        self.threshold = float(entry.metadata["threshold"])
        self.hpa = Hpa(min_replicas=scaled.min_replicas or 0, max_replicas=scaled.max_replicas or 0)
        self.demand: float | None = None
        self.plan: Plan | None = None
        self.error = ""
        self.ours: Deployment | None = None
        self.reactive: Deployment | None = None
        self.opening: Opening | None = None
        self._openings = openings
        self._synced_at: float | None = None

    async def sync(self, service: Service, source: RecordedSource, now: float) -> None:
        """One sync of both HPAs at `now`: ours on the scaler's answer, the other on the demand itself.

        Both triggers read the last full minute, as from Prometheus. Pods serve the minute under way.
        """
        registration = service.registry.register(self.scaled.namespace, self.scaled.name, self.metadata, now)
        (demand,) = await observe_all(source, [registration.trigger], now)
        (asked,) = await observe_all(source, [registration.trigger], now + KNOWN_AFTER_SECONDS)
        self.plan = self._ask(service, registration, now)
        self.demand = None if isinstance(demand, DependencyError) else demand
        if isinstance(demand, DependencyError) or isinstance(asked, DependencyError):
            return
        if self.ours is None or self.reactive is None:
            self.ours, self.reactive = self._deployment(demand), self._deployment(demand)
        self._watch_opening(source, self.ours, self.reactive, asked, now)
        self.ours.sync(self.plan.metric if self.plan else None, asked, now)
        self.reactive.sync(demand, asked, now)
        self._synced_at = now

    def row(self, now: float) -> Row:
        return Row(
            now,
            self.scaled.name,
            self.threshold,
            self.demand,
            self.plan,
            self.ours,
            self.reactive,
            self.error,
            self.opening,
        )

    def _deployment(self, demand: float) -> Deployment:
        return Deployment.sized_for(demand, self.threshold, STARTUP_SECONDS, self.hpa)

    def _watch_opening(
        self, source: RecordedSource, ours: Deployment, reactive: Deployment, asked: float, now: float
    ) -> None:
        at = watched(self._openings, now)
        if at is not None and (self.opening is None or self.opening.at != at):
            self.opening = Opening.of(at, source.traces[self.metadata["query"]], ours, reactive)
        if self.opening is not None and self._synced_at is not None:
            self.opening.sync(asked, self._synced_at, now)

    def _ask(self, service: Service, registration: Registration, now: float) -> Plan | None:
        try:
            plan = service.registry.answer(registration, now).plan
        except HeadwayError as error:
            self.error = str(error)
            return None
        self.error = ""
        return plan

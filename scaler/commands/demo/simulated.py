"""A Deployment under an HPA, simulated for the demo: replicas by the HPA's arithmetic, pods that take time to start."""

from dataclasses import dataclass, field

from scaler.plan.hpa import Hpa, HpaState, average_value, milli, replicas_for


@dataclass(slots=True)
class Deployment:
    """One workload under one trigger. `short_minutes`: time in which more was asked than the ready pods carry."""

    hpa: Hpa
    threshold: float
    startup_seconds: float
    ready_at: list[float] = field(default_factory=list)
    """when each pod is ready, oldest first (seconds since the epoch)"""
    short_minutes: float = 0.0
    replica_hours: float = 0.0
    _state: HpaState = field(default_factory=HpaState)
    _synced_at: float | None = None

    @classmethod
    def sized_for(cls, demand: float, threshold: float, startup_seconds: float, hpa: Hpa) -> "Deployment":
        """A Deployment with the ready pods that `demand` needs, as after a long run."""
        pods = average_value(milli(demand), milli(threshold), 0, hpa)
        return cls(hpa, threshold, startup_seconds, [0.0] * min(max(pods, hpa.min_replicas), hpa.max_replicas))

    @property
    def replicas(self) -> int:
        return len(self.ready_at)

    def ready(self, now: float) -> int:
        return sum(at <= now for at in self.ready_at)

    def sync(self, metric: float | None, demand: float, now: float) -> None:
        """Account for the time since the last sync, in which `demand` was asked for, then scale on `metric` (None: the
        trigger answered an error)."""
        self._account(demand, now)
        wanted = replicas_for(metric, self.threshold, self.replicas, now, self.hpa, self._state)
        self._state = wanted.state
        missing = wanted.replicas - self.replicas
        self.ready_at += [now + self.startup_seconds] * missing
        del self.ready_at[wanted.replicas :]  # the youngest pods go first

    def _account(self, demand: float, now: float) -> None:
        if self._synced_at is not None:
            minutes = (now - self._synced_at) / 60
            self.replica_hours += self.replicas * minutes / 60
            if demand > self.ready(self._synced_at) * self.threshold:
                self.short_minutes += minutes
        self._synced_at = now

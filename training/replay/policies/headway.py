"""Headway itself: the real `scaler.decide` on the outlook that the refresh would have published."""

from dataclasses import dataclass

from scaler.decide import decide
from scaler.plan import Plan
from scaler.plan.follow import Followed, follow
from scaler.plan.hpa import SYNC_SECONDS
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Trigger
from training.replay.outlooks import Forecasts
from training.replay.policies import Answer, Metric
from training.replay.world import World


@dataclass(frozen=True, slots=True)
class Outlooks:
    """What the refresh published at each tick: shared by all triggers that differ in how they plan. [K]"""

    observations: tuple[Observation | None, ...]
    forecasts: tuple[Forecast | None, ...]


def outlooks_of(world: World, forecasts: Forecasts) -> Outlooks:
    """At each tick of a world the newest observation and the newest forecast."""
    seen = world.refreshed
    columns = (seen.at_K, seen.value_K, seen.recent_peak_K, seen.history_peak_K)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    observations = tuple(None if at != at else Observation(at, value, near, far) for at, value, near, far in rows)
    return Outlooks(observations, tuple(forecasts.at(world.refresh_K)))


class Headway:
    """One trigger of Headway."""

    def __init__(self, world: World, outlooks: Outlooks, trigger: Trigger, name: str = "headway") -> None:
        self.name = name
        self.trigger = trigger
        self._refresh_K = world.refresh_K.tolist()
        self._outlooks = outlooks
        self._followed: Followed | None = None
        self._made: tuple[int, Plan] | None = None

    def answer(self, k: int, replicas: int) -> Answer:
        plan = self.plan(k)
        reasons = tuple(f"{reason.rule}: {reason.text}" for reason in plan.reasons)
        return Answer((Metric(plan.metric, self.trigger.threshold),), plan.active, reasons)

    def plan(self, k: int) -> Plan:
        """What `headway why` would show at tick `k`; the HPA is followed from tick to tick, as the refresh does."""
        if self._made is not None and self._made[0] == k:
            return self._made[1]
        now = self._refresh_K[k]
        before = self._made[1].planned if self._made else None
        self._followed = follow(self._followed, before, self.trigger.threshold, now)
        outlook = Outlook(
            now,
            self._outlooks.observations[k],
            self._outlooks.forecasts[k],
            replicas=self._followed.replicas if self._followed else None,
        )
        plan = decide(self.trigger, outlook, now, SYNC_SECONDS)
        self._made = k, plan
        return plan

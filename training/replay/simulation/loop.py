"""The loop: policy → KEDA and HPA → cluster, at every sync. `score.py` evaluates the result.

Axes: K ticks.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scaler.plan.hpa import SYNC_SECONDS, Hpa, HpaState, Stamped, average_value, is_settled, milli, sync
from training.replay.simulation.cluster import Cluster, flow
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import Metric, PolicyAnswer, ReplayPolicy
from training.replay.simulation.scenario import Scenario, Setting


@dataclass(frozen=True)
class Run:
    """What a policy did in a scenario. metric: of the first trigger, NaN for an error. All [K], one row per sync."""

    policy: str
    metric_K: Moments
    replicas_K: NDArray[np.int64]
    """replicas in the Deployment after the sync"""
    ready_K: NDArray[np.int64]
    """of them, those ready at the end of the sync"""
    capacity_K: Moments
    unserved_K: Moments
    """units of demand x seconds until the next sync, as is `lost_K`"""
    lost_K: Moments
    delay_K: Moments
    """seconds"""
    reasons: tuple[tuple[str, ...], ...] = ()
    """of each decision, if requested"""


@dataclass(frozen=True, slots=True)
class Calm:
    """A settled HPA at `replicas`: nothing changes while its largest metric stays within [low, high]."""

    replicas: int
    target: float
    low: float
    high: float

    def covers(self, metrics: tuple[Metric, ...]) -> bool:
        value, target = metrics[0]
        if value is None or target != self.target:
            return False
        if len(metrics) == 1:
            return self.low <= value <= self.high
        others = [one.value for one in metrics if one.value is not None and one.target == target]
        return len(others) == len(metrics) and self.low <= max(others) <= self.high


NO_CALM = Calm(-1, math.nan, math.nan, math.nan)


@dataclass(slots=True)
class Scaler:
    """KEDA and the HPA of one workload."""

    setting: Setting
    state: HpaState = field(default_factory=HpaState)
    _calm: Calm = NO_CALM
    _calm_at: float | None = None
    _polled_at: float = -1e18
    _active_at: float = -1e18

    def replicas(self, answer: PolicyAnswer, current: int, now: float) -> int:
        """The replicas of the Deployment after this sync."""
        if self.setting.scales_to_zero:
            current = self._activated(answer, current, now)
        if current == self._calm.replicas and self._calm.covers(answer.metrics):
            self._calm_at = now
            return current
        return self._synced(answer, current, now)

    def _synced(self, answer: PolicyAnswer, current: int, now: float) -> int:
        """By the HPA's arithmetic, after restoring the newest recommendation of the skipped calm syncs."""
        if self._calm_at is not None:
            newest = (Stamped(self._calm_at, self._calm.replicas),)
            self.state, self._calm_at = self.state._replace(recommendations=newest), None
        hpa = self.setting.hpa
        proposals = [
            None if one.value is None else average_value(milli(one.value), milli(one.target), current, hpa)
            for one in answer.metrics
        ]
        result = sync(hpa, self.state, current, proposals, now)
        self.state = result.state
        is_calm = result.replicas == current == result.desired and is_settled(hpa, self.state, current)
        self._calm = calm_at(current, answer.metrics[0].target, hpa) if is_calm else NO_CALM
        return result.replicas

    def _activated(self, answer: PolicyAnswer, current: int, now: float) -> int:
        """From zero when a poll finds it active; to zero when it was inactive for the cooldown.

        With an error among the metrics it neither scales to zero nor counts as active, unless it is at zero.
        """
        keda = self.setting.keda
        if now - self._polled_at < keda.polling_seconds:
            return current
        self._polled_at = now
        failed = any(one.value is None for one in answer.metrics)
        if answer.active:
            if current == 0 or not failed:
                self._active_at = now
            return max(current, 1)
        return current if failed or now - self._active_at <= keda.cooldown_seconds else 0


def calm_at(replicas: int, target: float, hpa: Hpa) -> Calm:
    """The range in which the HPA's tolerance holds at this number of replicas, despite rounding to milli-units."""
    there, margin = target * replicas, 0.001 * (replicas + 1)
    return Calm(
        replicas,
        target,
        (1 - hpa.tolerance_down) * there + margin,
        (1 + hpa.tolerance_up) * there * (1 - 1e-9) - margin,
    )


def replay(scenario: Scenario, policy: ReplayPolicy, with_reasons: bool = False) -> Run:
    """Run a policy through a scenario. Deterministic for the setting's seed.

    with_reasons: keep the reasons of every decision.
    """
    setting = scenario.setting
    cluster = Cluster(setting.start_up, np.random.default_rng(setting.seed), _at_first(scenario, policy))
    scaler = Scaler(setting)
    metric, replicas, ready, served = [], [], [], []
    reasons: list[tuple[str, ...]] = []
    for k, now in enumerate(scenario.sync_K.tolist()):
        before = cluster.replicas
        answer = policy.answer(k, before)
        after = scaler.replicas(answer, before, now)
        if after != before:
            cluster.scale(after, now)
        metric.append(answer.metrics[0].value)
        replicas.append(after)
        served.append(cluster.run(now, SYNC_SECONDS))
        ready.append(cluster.ready)
        if with_reasons:
            reasons.append(tuple(map(str, answer.reasons)))
    able_K, ready_K = np.array(served) * setting.capacity, np.array(ready)
    became = flow(scenario.demand_K * SYNC_SECONDS, able_K, ready_K * setting.capacity, setting.max_queue_wait_seconds)
    return Run(
        policy.name,
        np.array(metric, np.float64),
        np.array(replicas),
        ready_K,
        able_K / SYNC_SECONDS,
        became.unserved_K,
        became.lost_K,
        became.delay_K,
        tuple(reasons),
    )


def _at_first(scenario: Scenario, policy: ReplayPolicy) -> int:
    """Ready pods for the policy's first metric, or for the newest known demand: as if the workload had been running."""
    hpa = scenario.setting.hpa
    metrics = [one for one in policy.answer(0, 0).metrics if one.value is not None]
    if not metrics:
        metrics = [Metric(float(np.nan_to_num(scenario.refreshed.value_K[0])), scenario.setting.threshold)]
    wanted = max(average_value(milli(one.value or 0.0), milli(one.target), 0, hpa) for one in metrics)
    return min(max(wanted, hpa.min_replicas), hpa.max_replicas)

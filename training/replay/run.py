"""The loop: policy → KEDA and HPA → cluster, at every sync. What happened is kept; `score.py` judges it.

Axes: K ticks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scaler.plan.hpa import SYNC_SECONDS, HpaState, average_value, milli, sync
from training.replay.cluster import Cluster, Served
from training.replay.demand import Moments
from training.replay.policies import Answer, Metric, Policy
from training.replay.world import Setting, World


@dataclass(frozen=True)
class Run:
    """What a policy did in a world. metric: of the first trigger, NaN for an error. All [K], one row per sync."""

    policy: str
    metric_K: Moments
    asked_K: NDArray[np.int64]
    """replicas in the Deployment after the sync"""
    ready_K: NDArray[np.int64]
    """of them, those that serve when the sync is over"""
    capacity_K: Moments
    unserved_K: Moments
    """units of demand x seconds until the next sync, as is `lost_K`"""
    lost_K: Moments
    delay_K: Moments
    """seconds"""
    reasons: tuple[tuple[str, ...], ...] = ()
    """of each decision, where they were asked for"""


@dataclass(slots=True)
class Scaler:
    """KEDA and the HPA of one workload."""

    setting: Setting
    state: HpaState = field(default_factory=HpaState)
    _polled_at: float = -1e18
    _active_at: float = -1e18

    def replicas(self, answer: Answer, current: int, now: float) -> int:
        """What the Deployment has after this sync."""
        if self.setting.scales_to_zero:
            current = self._activated(answer, current, now)
        hpa = self.setting.hpa
        proposals = [
            None if one.value is None else average_value(milli(one.value), milli(one.target), current, hpa)
            for one in answer.metrics
        ]
        result = sync(hpa, self.state, current, proposals, now)
        self.state = result.state
        return result.replicas

    def _activated(self, answer: Answer, current: int, now: float) -> int:
        """From zero when a poll finds it active, to zero when it has not been active for the cooldown.

        With an error among its metrics it neither goes to zero nor counts as active, unless it is at zero.
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


def replay(world: World, policy: Policy, told: bool = False) -> Run:
    """Run a policy through a world; `told`: keep the reasons of every decision. Deterministic by the setting's seed."""
    setting = world.setting
    cluster = Cluster(setting.capacity, setting.start_up, setting.patience_seconds, np.random.default_rng(setting.seed))
    scaler = Scaler(setting)
    cluster.ready = _at_first(world, policy)
    rows: list[tuple[float, int, int, Served]] = []
    reasons: list[tuple[str, ...]] = []
    for k, (now, demand) in enumerate(zip(world.sync_K.tolist(), world.demand_K.tolist(), strict=True)):
        before = cluster.replicas
        answer = policy.answer(k, before)
        after = scaler.replicas(answer, before, now)
        if after != before:
            cluster.scale(after, now)
        served = cluster.serve(demand, now, SYNC_SECONDS)
        value = answer.metrics[0].value
        rows.append((np.nan if value is None else value, after, cluster.ready, served))
        if told:
            reasons.append(tuple(map(str, answer.reasons)))
    return _run(policy.name, rows, tuple(reasons))


def _at_first(world: World, policy: Policy) -> int:
    """Enough ready pods for what the policy asks for first, or for the newest demand known: as if it had been there."""
    hpa = world.setting.hpa
    metrics = [one for one in policy.answer(0, 0).metrics if one.value is not None]
    if not metrics:
        metrics = [Metric(float(np.nan_to_num(world.refreshed.value_K[0])), world.setting.threshold)]
    wanted = max(average_value(milli(one.value or 0.0), milli(one.target), 0, hpa) for one in metrics)
    return min(max(wanted, hpa.min_replicas), hpa.max_replicas)


def _run(name: str, rows: Iterable[tuple[float, int, int, Served]], reasons: tuple[tuple[str, ...], ...]) -> Run:
    metric, asked, ready, served = zip(*rows, strict=True)
    figures = np.array([(one.capacity, one.unserved, one.lost, one.delay_seconds) for one in served]).T
    capacity, unserved, lost, delay = figures
    return Run(
        name, np.array(metric, np.float64), np.array(asked), np.array(ready), capacity, unserved, lost, delay, reasons
    )

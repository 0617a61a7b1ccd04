"""How well both Deployments of a workload were prepared for an opening, measured at every sync of the demo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaler.commands.demo.simulated import Deployment
from scaler.history.traces import Trace

AHEAD_SECONDS = 3600.0
"""before an opening, in which the preparation for it is watched"""

JUDGED_SECONDS = 900.0
"""after an opening, in which demand counts as served or unserved"""


@dataclass(slots=True)
class Preparation:
    """What one Deployment did. ready_at: since when it has the replicas; None before it has them."""

    pods: Deployment
    ready_at: float | None = None
    asked: float = 0.0
    unserved: float = 0.0

    @property
    def unserved_share(self) -> float | None:
        """Of the demand since the opening; None before it."""
        return self.unserved / self.asked if self.asked else None

    def judge(self, demand: float, begin: float, end: float) -> None:
        """Take in the time from `begin` to `end`, in which `demand` was asked for."""
        self.asked += demand * (end - begin)
        self.unserved += max(0.0, demand - self.pods.ready(begin) * self.pods.threshold) * (end - begin)


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening: demand rises `factor` times from the moment `at`, and that takes so many ready `replicas`."""

    at: float
    factor: float
    replicas: int
    ours: Preparation
    reactive: Preparation

    @classmethod
    def of(cls, at: float, trace: Trace, ours: Deployment, reactive: Deployment) -> "Opening":
        """The opening at a moment of the recorded demand. The HPA leaves its `replicas` alone when demand is full."""
        before, full = _median(trace, at - JUDGED_SECONDS, at), _median(trace, at, at + JUDGED_SECONDS)
        replicas = math.ceil(full / ours.threshold / (1 + ours.hpa.tolerance_up))
        return cls(at, full / before, replicas, Preparation(ours), Preparation(reactive))

    @property
    def judged_until(self) -> float:
        return self.at + JUDGED_SECONDS

    def sync(self, demand: float, begin: float, end: float) -> None:
        """Take in the time from `begin` to `end`, in which `demand` was asked for. Call it before pods are removed."""
        if end > self.judged_until:
            return
        for one in (self.ours, self.reactive):
            is_ready = one.pods.ready(end) >= self.replicas
            one.ready_at = (one.ready_at or end) if is_ready else None
            if begin >= self.at:
                one.judge(demand, begin, end)


def watched(moments: Sequence[float], now: float) -> float | None:
    """The last of the moments that are over, or at most an hour ahead; None where there is none."""
    return max((at for at in moments if at - AHEAD_SECONDS <= now), default=None)


def _median(trace: Trace, begin: float, end: float) -> float:
    first, last = (round((moment - trace.start) / trace.step_seconds) for moment in (begin, end))
    return float(np.nanmedian(trace.values[first:last]))

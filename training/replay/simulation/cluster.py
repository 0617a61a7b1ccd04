"""A Deployment, simulated: pods that take time to start, the demand they carry, and what waits or goes away.

Demand is a fluid. Demand beyond the capacity waits in a queue; what would wait longer than the maximum goes away.
Scaling down removes pods that are still starting first, then the youngest, at once, in the order of Kubernetes
(ReplicaSet controller, `ActivePodsWithRanks`).

Axes: K ticks.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np

from training.replay.simulation.demand import Moments
from training.replay.simulation.start_up import StartUp


@dataclass(slots=True)
class Cluster:
    """Ready pods and starting pods."""

    start_up: StartUp
    random: np.random.Generator
    ready: int = 0
    _starting: list[float] = field(default_factory=list)
    """when each starting pod will be ready: a heap"""

    @property
    def replicas(self) -> int:
        return self.ready + len(self._starting)

    def scale(self, replicas: int, now: float) -> None:
        """Start or remove pods so that there are `replicas`."""
        for _ in range(replicas - self.replicas):
            heapq.heappush(self._starting, now + self.start_up.draw(self.random))
        surplus = self.replicas - replicas
        if surplus > 0:
            self._starting.sort()
            kept = max(0, len(self._starting) - surplus)
            surplus -= len(self._starting) - kept
            del self._starting[kept:]
            self.ready -= surplus

    def run(self, now: float, seconds: float) -> float:
        """Advance the time. Returns the pod-seconds of ready pods meanwhile."""
        served = self.ready * seconds
        end = now + seconds
        while self._starting and self._starting[0] < end:
            served += end - max(heapq.heappop(self._starting), now)
            self.ready += 1
        return served


@dataclass(frozen=True, slots=True)
class Flow:
    """What happened to demand at each tick; amounts in units of demand times seconds. All [K]."""

    unserved_K: Moments
    """demand beyond the capacity: it waited, or went away"""
    lost_K: Moments
    """went away, because it would have waited longer than the maximum"""
    delay_K: Moments
    """seconds that the last demand of the tick waits"""
    queue_K: Moments
    """demand that waits at the end of the tick"""


def flow(came_K: Moments, able_K: Moments, speed_K: Moments, max_queue_wait_seconds: float) -> Flow:
    """Demand meets capacity.

    came_K: NaN if unknown; nothing waits or counts then. able_K: what could be served. speed_K: what can be served per
    second from the end of the tick on.
    """
    unserved_K = np.maximum(np.nan_to_num(came_K - able_K, nan=0.0), 0.0)
    waiting_K, queue_K = np.zeros(len(came_K)), np.zeros(len(came_K))
    most_K = speed_K * max_queue_wait_seconds
    k = 0
    for first in np.flatnonzero(unserved_K > 0).tolist():
        if first < k:
            continue
        queue, k = 0.0, first
        while k < len(came_K) and (waiting := queue + came_K[k] - able_K[k]) > 0:  # unknown, NaN, is not
            waiting_K[k] = waiting
            queue = queue_K[k] = min(waiting, most_K[k])
            k += 1
    delay_K = np.divide(queue_K, speed_K, out=max_queue_wait_seconds * (waiting_K > 0), where=speed_K > 0)
    return Flow(unserved_K, waiting_K - queue_K, delay_K, queue_K)

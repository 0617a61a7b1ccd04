"""A Deployment, simulated: pods that take time to start, the demand they carry, and what waits or goes away.

Demand is a fluid. What comes beyond the capacity waits in a queue; what would wait longer than its patience goes away.
Scaling down takes pods that are still starting first, then the youngest, and none of them finishes slowly: as
Kubernetes chooses (ReplicaSet controller, `ActivePodsWithRanks`), without surge.

Axes: K ticks.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np

from training.replay.simulation.demand import Moments
from training.replay.simulation.start_up import StartUp


@dataclass(slots=True)
class Cluster:
    """Pods: those that serve, and those that will."""

    start_up: StartUp
    random: np.random.Generator
    ready: int = 0
    _starting: list[float] = field(default_factory=list)
    """when each pod that is not ready yet will be: a heap"""

    @property
    def replicas(self) -> int:
        return self.ready + len(self._starting)

    def scale(self, replicas: int, now: float) -> None:
        """Order or give back pods so that there are `replicas`."""
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
        """Let so much time pass. Gives the pod-seconds of those that served meanwhile."""
        served = self.ready * seconds
        end = now + seconds
        while self._starting and self._starting[0] < end:
            served += end - max(heapq.heappop(self._starting), now)
            self.ready += 1
        return served


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of demand, tick by tick; amounts in units of demand times seconds. All [K]."""

    unserved_K: Moments
    """came beyond the capacity: it waited, or went away"""
    lost_K: Moments
    """went away, because it would have waited longer than its patience"""
    delay_K: Moments
    """seconds that who came last waits"""
    queue_K: Moments
    """what waits when the tick is over"""


def flow(came_K: Moments, able_K: Moments, speed_K: Moments, max_queue_wait_seconds: float) -> Flow:
    """Demand meets capacity.

    came_K: NaN where nobody knows what came: nothing waits nor is counted there. able_K: what could be served.
    speed_K: what can be served per second from the end of the tick on.
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

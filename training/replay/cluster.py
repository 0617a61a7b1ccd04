"""A Deployment, simulated: pods that take time to start, the demand they carry, and what waits or goes away.

Demand is a fluid. What comes beyond the capacity waits in a queue; what would wait longer than its patience goes away.
Scaling down takes pods that are still starting first, then the youngest, and none of them finishes slowly: as
Kubernetes chooses (ReplicaSet controller, `ActivePodsWithRanks`), without surge.
"""

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from training.replay.start_up import StartUp


class Served(NamedTuple):
    """What became of the demand of one stretch of time; amounts in units of demand times seconds."""

    capacity: float
    """what all pods could carry; in units of demand, on average over the stretch"""
    unserved: float
    """came beyond the capacity: it waited, or went away"""
    lost: float
    """went away, because it would have waited longer than its patience"""
    delay_seconds: float
    """how long who came last waits"""


@dataclass(slots=True)
class Cluster:
    """capacity: demand that one pod carries. patience_seconds: how long demand waits at most."""

    capacity: float
    start_up: StartUp
    patience_seconds: float
    random: np.random.Generator
    ready: int = 0
    queue: float = 0.0
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

    def serve(self, demand: float, now: float, seconds: float) -> Served:
        """Let `demand` come for so many seconds. NaN: nobody knows what came, and nothing is counted."""
        end = now + seconds
        carried = self.ready * seconds
        while self._starting and self._starting[0] < end:
            carried += end - max(heapq.heappop(self._starting), now)
            self.ready += 1
        able = carried * self.capacity
        if demand != demand:
            self.queue = 0.0
            return Served(able / seconds, 0.0, 0.0, 0.0)
        came = demand * seconds
        waiting = max(0.0, self.queue + came - able)
        speed = self.ready * self.capacity
        self.queue = min(waiting, speed * self.patience_seconds)
        delay = self.queue / speed if speed > 0 else self.patience_seconds * (waiting > 0)
        return Served(able / seconds, max(0.0, came - able), waiting - self.queue, delay)

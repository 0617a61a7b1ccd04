"""The replicas of the demo service: their queue, and where no cluster runs them, their number. Time is an argument."""

import math
from collections import deque
from dataclasses import dataclass, field

TOLERANCE = 0.1
"""the HPA leaves the replicas alone while they are within this share of what is needed"""


@dataclass
class Queue:
    """Requests wait for a free replica, first come, first served. Longer than `patience` seconds, they are refused."""

    patience: float
    _free: float = 0

    def wait(self, now: float, capacity: float) -> float | None:
        """Seconds until a request that arrives now is served, or None where it is refused. capacity: requests per
        second of all replicas."""
        waiting = max(0, self._free - now)
        if waiting > self.patience:
            return None
        self._free = now + waiting + 1 / capacity
        return waiting


@dataclass
class Fleet:
    """Replicas that are ready `start_seconds` after they were ordered. The newest is removed first."""

    start_seconds: float
    _ready_at: list[float] = field(default_factory=lambda: [0.0])

    @property
    def ordered(self) -> int:
        return len(self._ready_at)

    def ready(self, now: float) -> int:
        return sum(moment <= now for moment in self._ready_at)

    def scale(self, replicas: int, now: float) -> None:
        del self._ready_at[max(1, replicas) :]
        while len(self._ready_at) < replicas:
            self._ready_at.append(now + self.start_seconds)


@dataclass
class Autoscaler:
    """The arithmetic of a HorizontalPodAutoscaler for one metric with a target per replica."""

    threshold: float
    least: int
    most: int
    down_seconds: float
    """replicas go as soon as fewer were enough for this long"""
    _recommended: deque[tuple[float, int]] = field(default_factory=deque)

    def replicas(self, current: int, metric: float, now: float) -> int:
        """How many there should be. metric: the sum over all replicas."""
        wanted = current
        if abs(metric / (self.threshold * current) - 1) > TOLERANCE:
            wanted = math.ceil(metric / self.threshold)
        wanted = min(self.most, max(self.least, wanted))
        self._recommended.append((now, wanted))
        while self._recommended[0][0] < now - self.down_seconds:
            self._recommended.popleft()
        return max(wanted, min(current, max(number for _, number in self._recommended)))

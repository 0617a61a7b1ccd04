"""Perfect foresight: the true peak until a pod ordered now serves."""

import math

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

from scaler.plan.hpa import SYNC_SECONDS
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario


class Oracle:
    """headroom: the ratio of requested to needed capacity."""

    def __init__(self, scenario: Scenario, headroom: float = 1.0) -> None:
        self.name = "oracle" if headroom == 1 else f"oracle x {headroom:g}"
        self._target = scenario.setting.capacity / headroom
        ticks = math.ceil(scenario.setting.start_up.usual / SYNC_SECONDS) + 2
        known_K = np.nan_to_num(scenario.demand_K, nan=0.0)
        ahead_K = ndimage.maximum_filter1d(known_K, ticks, origin=-(ticks // 2), mode="nearest")
        self._peak_K = ahead_K.tolist()

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        peak = self._peak_K[k]
        # within the HPA's tolerance nothing would happen: step over it
        needed = math.ceil(peak / self._target - 1e-9)
        value = peak if needed <= replicas else max(peak, 1.101 * replicas * self._target)
        return PolicyAnswer((Metric(value, self._target),), peak > 0)

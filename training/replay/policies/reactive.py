"""What KEDA does without a forecast: its `prometheus` trigger, read by the HPA at every sync. Axes: K ticks."""

import numpy as np

from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario


class Reactive:
    """target: demand per replica; by default today's threshold."""

    def __init__(self, scenario: Scenario, target: float | None = None) -> None:
        self.target = scenario.setting.threshold if target is None else target
        self.name = f"reactive at {self.target:g}"
        self._activation = scenario.setting.keda.activation_threshold
        self._answers = [self._of(value) for value in scenario.seen_K.tolist()]

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]

    def _of(self, value: float) -> PolicyAnswer:
        if value != value:
            return PolicyAnswer((Metric(None, self.target),), False, ("the server has no value",))
        return PolicyAnswer((Metric(value, self.target),), value > self._activation)


def beside_reactive(scenario: Scenario, target: float | None, value_K: Moments) -> list[PolicyAnswer]:
    """The answer of the reactive trigger at each tick, with a second trigger that returns `value_K`.

    NaN counts as 0: KEDA's `prometheus` scaler returns 0 for an empty result unless `ignoreNullValues` is false.
    """
    reactive = Reactive(scenario, target)
    activation = scenario.setting.keda.activation_threshold

    def both(k: int, value: float) -> PolicyAnswer:
        today = reactive.answer(k, 0)
        return PolicyAnswer((*today.metrics, Metric(value, reactive.target)), today.active or value > activation)

    return [both(k, value) for k, value in enumerate(np.nan_to_num(value_K, nan=0.0).tolist())]

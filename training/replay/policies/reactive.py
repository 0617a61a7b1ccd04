"""What KEDA does without a forecast: its `prometheus` trigger, read by the HPA at every sync."""

from training.replay.policies import Answer, Metric
from training.replay.world import World


class Reactive:
    """target: demand per replica that the trigger aims at; today's threshold where it is not given."""

    def __init__(self, world: World, target: float | None = None) -> None:
        self.target = world.setting.threshold if target is None else target
        self.name = f"reactive at {self.target:g}"
        self._activation = world.setting.keda.activation_threshold
        self._answers = [self._of(value) for value in world.seen_K.tolist()]

    def answer(self, k: int, replicas: int) -> Answer:
        return self._answers[k]

    def _of(self, value: float) -> Answer:
        if value != value:
            return Answer((Metric(None, self.target),), False, ("the server has no value",))
        return Answer((Metric(value, self.target),), value > self._activation)

"""The weighted mean of what is measured and what is predicted, as one metric.

Source: Kedify's predictive scaler (https://docs.kedify.io/scalers/predictive-scaler). Its example joins a measured and
a predicted trigger by KEDA's `scalingModifiers` with the formula `(0.7 * measured) + (0.3 * predicted)`, predicted ten
minutes ahead, with one target per replica (https://github.com/kedify/examples, samples/otel-scaler-with-predictor). The
plain mean, half and half, is how others describe it. Its model is fitted per workload (Prophet). Here the prediction is
the median of the bundle that Headway uses, so that only the decision differs.

Axes: K ticks.
"""

from training.replay.policies.offset import LOOK_AHEAD_SECONDS, expected
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario


class Averaged:
    """share: weight of the prediction, from 0 to 1. offset_seconds: how far ahead it looks. target: as in `Reactive`.

    If either value is missing, the trigger answers an error. Raises ValueError for a share out of range, and as
    `expected`.
    """

    def __init__(
        self,
        scenario: Scenario,
        forecasts: Forecasts,
        offset_seconds: float = LOOK_AHEAD_SECONDS,
        share: float = 0.5,
        target: float | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share {share:g}: must lie from 0 to 1")
        self.name = f"measured and {share:g} forecast at {offset_seconds:g} s"
        self._target = scenario.setting.threshold if target is None else target
        self._activation = scenario.setting.keda.activation_threshold
        mean_K = (1 - share) * scenario.seen_K + share * expected(scenario, forecasts, offset_seconds)
        self._answers = [self._of(value) for value in mean_K.tolist()]

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]

    def _of(self, value: float) -> PolicyAnswer:
        if value != value:
            return PolicyAnswer((Metric(None, self._target),), False, ("measured or predicted value missing",))
        return PolicyAnswer((Metric(value, self._target),), value > self._activation)

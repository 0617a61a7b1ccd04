"""Values → the bytes KEDA reads. Pure; each reply is made once and sent many times."""

import functools
import math

from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.trigger import DEMAND_LIMIT

METRIC_NAME = "headway"
"""One name for every trigger, for ever: KEDA prefixes their index, and an HPA does not survive a change of the name."""

PLACEHOLDER_TARGET = 1.0
"""target of a trigger whose own cannot be read; its metric is refused, so no replica count ever follows from it"""

_INT64_MAX = 2**63 - 1

ACTIVE = wire.IsActiveResponse(result=True).SerializeToString()
INACTIVE = wire.IsActiveResponse(result=False).SerializeToString()


@functools.lru_cache(maxsize=4096)
def spec_reply(threshold: float) -> bytes:
    """A serialised GetMetricSpecResponse: one spec, its target as float and, rounded up, as the older integer."""
    target = min(math.ceil(threshold), _INT64_MAX)
    spec = wire.MetricSpec(metricName=METRIC_NAME, targetSize=target, targetSizeFloat=threshold)
    return wire.GetMetricSpecResponse(metricSpecs=[spec]).SerializeToString()


def value_reply(value: float | None) -> bytes:
    """A serialised GetMetricsResponse: exactly one value, as float and, rounded up, as the older integer.

    Raises ValueError for what must never leave (KEDA reads +Inf as 0): nothing, NaN, ±Inf, negative, too large.
    """
    if value is None or not 0 <= value < DEMAND_LIMIT:
        raise ValueError(f"a plan has a metric of {value}")
    metric = wire.MetricValue(metricName=METRIC_NAME, metricValue=math.ceil(value), metricValueFloat=value)
    return wire.GetMetricsResponse(metricValues=[metric]).SerializeToString()

"""The HorizontalPodAutoscaler's arithmetic for external metrics, as pure functions: what replicas follow from a metric.

Follows `pkg/controller/podautoscaler/{horizontal,replica_calculator}.go` of Kubernetes. Metrics and targets are in
milli-units where Kubernetes has them so (`milli` converts as KEDA does); times are seconds since the epoch. State goes
in and a new state comes out; nothing here reads a clock.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MOST_REPLICAS = 2**31 - 1
"""replica counts are int32 and saturate"""
MOST_MILLI = 2**63 - 1
CLEAR, MOST_EXACT = 0.499, 2**40
"""an amount in milli-units this near to a whole number, and this small, rounds the same way everywhere"""
SYNC_SECONDS = 15.0
"""how often the HPA looks: `--horizontal-pod-autoscaler-sync-period`"""


class MetricType(StrEnum):
    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"


class PolicyType(StrEnum):
    PODS = "Pods"
    PERCENT = "Percent"


class Select(StrEnum):
    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods, or percent, within a period."""

    type: PolicyType
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class Direction:
    """One half of `spec.behavior`."""

    stabilization_seconds: float
    policies: tuple[RatePolicy, ...]
    select: Select = Select.MAX


DEFAULT_UP = Direction(0, (RatePolicy(PolicyType.PODS, 4, 15), RatePolicy(PolicyType.PERCENT, 100, 15)))
DEFAULT_DOWN = Direction(300, (RatePolicy(PolicyType.PERCENT, 100, 15),))


@dataclass(frozen=True, slots=True)
class Behavior:
    """`spec.behavior`; a missing half has Kubernetes's defaults."""

    up: Direction = DEFAULT_UP
    down: Direction = DEFAULT_DOWN


@dataclass(frozen=True, slots=True)
class Hpa:
    """What one HPA is set to. The defaults are those of the controller, and of KEDA where it makes the HPA."""

    min_replicas: int = 1
    max_replicas: int = 100
    tolerance_up: float = 0.1
    tolerance_down: float = 0.1
    downscale_stabilization_seconds: float = 300.0
    """used where there is no `behavior`"""
    behavior: Behavior | None = None


class Stamped(NamedTuple):
    """A number of replicas at a moment: a recommendation, or the size of a change."""

    at: float
    replicas: int


class HpaState(NamedTuple):
    """What the controller remembers of one HPA. `recommendations` is None until it has seen it once."""

    recommendations: tuple[Stamped, ...] | None = None
    ups: tuple[Stamped, ...] = ()
    downs: tuple[Stamped, ...] = ()


class Sync(NamedTuple):
    """The result of one sync: replicas to run, and what is remembered. `desired` is None where metrics were not read
    or gave nothing to act on."""

    replicas: int
    state: HpaState
    desired: int | None


def milli(amount: float) -> int:
    """`amount` in milli-units as KEDA sends it: three decimals, round half even on the binary value; infinity is 0."""
    if not math.isfinite(amount):
        return 0
    thousandfold = amount * 1000
    nearest = round(thousandfold)
    if abs(thousandfold - nearest) < CLEAR and nearest < MOST_EXACT:
        return nearest
    return min(int(f"{amount:.3f}".replace(".", "")), MOST_MILLI)


def average_value(metric_milli: int, target_milli: int, status_replicas: int, hpa: Hpa) -> int:
    """Replicas that AverageValue proposes: the total shared out; within tolerance, those there are."""
    if status_replicas and _tolerates(hpa, _ratio(metric_milli, target_milli * status_replicas)):
        return status_replicas
    return _ceil(_ratio(metric_milli, target_milli))


def value(metric_milli: int, target_milli: int, current: int, ready: int, hpa: Hpa) -> int:
    """Replicas that Value proposes: *ready* pods times the ratio, so pods that are still starting do not count."""
    ratio = _ratio(metric_milli, target_milli)
    if current == 0:
        return _ceil(ratio)
    return current if _tolerates(hpa, ratio) else _ceil(ratio * ready)


def combine(current: int, proposals: Sequence[int | None]) -> int | None:
    """The largest proposal; None where nothing may change: a failed metric (None) forbids scaling down."""
    known = [proposal for proposal in proposals if proposal is not None]
    if not known or (len(known) < len(proposals) and max(known) < current):
        return None
    return max(known)


def sync(hpa: Hpa, state: HpaState, current: int, proposals: Sequence[int | None], now: float) -> Sync:
    """One pass of the controller for an HPA whose target now has `current` replicas in its spec.

    proposals: one per metric, None for a metric that failed; left unread where the HPA acts without them.
    """
    if state.recommendations is None:
        state = state._replace(recommendations=(Stamped(now, current),))
    if current == 0 and hpa.min_replicas != 0:
        return Sync(0, state, None)
    if not hpa.min_replicas <= current <= hpa.max_replicas:
        bounded = min(max(current, hpa.min_replicas), hpa.max_replicas)
        return Sync(bounded, _remember_change(hpa, state, current, bounded, now), None)
    desired = combine(current, proposals)
    if desired is None:
        return Sync(current, state, None)
    if desired == current and is_settled(hpa, state, current):
        return Sync(current, HpaState((Stamped(now, current),), state.ups, state.downs), current)
    replicas = _bounded(hpa, state, current, desired, now)
    state = _recommend(hpa, state, desired, now)
    return Sync(replicas, _remember_change(hpa, state, current, replicas, now), desired)


def replicas_for(
    metric: float | None,
    threshold: float,
    current: int,
    now: float,
    hpa: Hpa | None = None,
    state: HpaState | None = None,
    *,
    metric_type: MetricType = MetricType.AVERAGE_VALUE,
    ready: int | None = None,
) -> Sync:
    """One sync of an HPA whose only metric is ours. `metric` None: we answered with an error. `ready`: all, if None."""
    hpa, state = hpa or Hpa(), state or HpaState()
    if metric is None:
        return sync(hpa, state, current, [None], now)
    if metric_type is MetricType.VALUE:
        proposal = value(milli(metric), milli(threshold), current, current if ready is None else ready, hpa)
    else:
        proposal = average_value(milli(metric), milli(threshold), current, hpa)
    return sync(hpa, state, current, [proposal], now)


def is_settled(hpa: Hpa, state: HpaState, current: int) -> bool:
    """Whether nothing remembered can change the recommendation now. True for most syncs, so it saves work."""
    past = state.recommendations
    return hpa.behavior is None and past is not None and len(past) == 1 and past[0].replicas <= current


def _bounded(hpa: Hpa, state: HpaState, current: int, desired: int, now: float) -> int:
    if hpa.behavior is None:
        return limit_growth(hpa, current, stabilise(hpa, state, desired, now))
    settled = settle(hpa.behavior, state, current, desired, now)
    return limit_rate(hpa, hpa.behavior, state, current, settled, now)


def stabilise(hpa: Hpa, state: HpaState, desired: int, now: float) -> int:
    """Without `behavior`: the largest of `desired` and what was recommended within the downscale window."""
    since = now - hpa.downscale_stabilization_seconds
    return max([desired, *(past.replicas for past in state.recommendations or () if past.at >= since)])


def limit_growth(hpa: Hpa, current: int, desired: int) -> int:
    """Without `behavior`: within [min, max], and at most twice the replicas, or 4."""
    return min(max(desired, hpa.min_replicas), hpa.max_replicas, max(_saturate(2 * current), 4))


def settle(behavior: Behavior, state: HpaState, current: int, desired: int, now: float) -> int:
    """With `behavior`: `current`, pulled up to the least and down to the largest of the recent recommendations."""
    past = state.recommendations or ()
    up_since, down_since = now - behavior.up.stabilization_seconds, now - behavior.down.stabilization_seconds
    least = min([desired, *(one.replicas for one in past if one.at > up_since)])
    largest = max([desired, *(one.replicas for one in past if one.at > down_since)])
    return min(max(current, least), largest)


def limit_rate(hpa: Hpa, behavior: Behavior, state: HpaState, current: int, desired: int, now: float) -> int:
    """With `behavior`: at most what the rate policies allow since the changes of their periods, within min and max."""
    if desired > current:
        limit = max(_furthest_up(behavior.up, state, current, now), current)
        return min(desired, limit, hpa.max_replicas)
    if desired < current:
        limit = min(_furthest_down(behavior.down, state, current, now), current)
        return max(desired, limit, hpa.min_replicas)
    return desired


def _furthest_up(direction: Direction, state: HpaState, current: int, now: float) -> int:
    if direction.select is Select.DISABLED:
        return current
    limits = []
    for policy in direction.policies:
        base = _at_period_start(state, current, now - policy.period_seconds)
        is_pods = policy.type is PolicyType.PODS
        limits.append(base + policy.value if is_pods else math.ceil(base * (1 + policy.value / 100)))
    return _saturate(min(limits) if direction.select is Select.MIN else max(limits))


def _furthest_down(direction: Direction, state: HpaState, current: int, now: float) -> int:
    if direction.select is Select.DISABLED:
        return current
    limits = []
    for policy in direction.policies:
        base = _at_period_start(state, current, now - policy.period_seconds)
        is_pods = policy.type is PolicyType.PODS
        limits.append(base - policy.value if is_pods else int(base * (1 - policy.value / 100)))
    return max(limits) if direction.select is Select.MIN else min(limits)


def _at_period_start(state: HpaState, current: int, since: float) -> int:
    added = sum(change.replicas for change in state.ups if change.at > since)
    removed = sum(change.replicas for change in state.downs if change.at > since)
    return current - added + removed


def _remember_change(hpa: Hpa, state: HpaState, current: int, replicas: int, now: float) -> HpaState:
    """Changes are remembered with `behavior` only, and for its longest period."""
    if hpa.behavior is None or replicas == current:
        return state
    change = Stamped(now, abs(replicas - current))
    if replicas > current:
        return state._replace(ups=(*_within(state.ups, hpa.behavior.up, now), change))
    return state._replace(downs=(*_within(state.downs, hpa.behavior.down, now), change))


def _within(changes: tuple[Stamped, ...], direction: Direction, now: float) -> tuple[Stamped, ...]:
    longest = max((policy.period_seconds for policy in direction.policies), default=0.0)
    return tuple(change for change in changes if change.at > now - longest)


def _recommend(hpa: Hpa, state: HpaState, desired: int, now: float) -> HpaState:
    """The unstabilised recommendation is remembered; those that can never count again go.

    Without `behavior` only the largest of the window counts, so one that a newer one reaches is forgotten, too.
    """
    past = state.recommendations or ()
    if hpa.behavior is None:
        since, least = now - hpa.downscale_stabilization_seconds, desired
    else:
        longest = max(hpa.behavior.up.stabilization_seconds, hpa.behavior.down.stabilization_seconds)
        since, least = now - longest, -1
    kept = [one for one in past if one.at >= since and one.replicas > least]
    return HpaState((*kept, Stamped(now, desired)), state.ups, state.downs)


def _tolerates(hpa: Hpa, ratio: float) -> bool:
    return 1.0 - hpa.tolerance_down <= ratio <= 1.0 + hpa.tolerance_up


def _ratio(numerator: int, denominator: int) -> float:
    return float(numerator) / float(denominator) if denominator else math.inf * numerator if numerator else 0.0


def _ceil(replicas: float) -> int:
    return MOST_REPLICAS if replicas >= MOST_REPLICAS else math.ceil(replicas)


def _saturate(replicas: int) -> int:
    return min(replicas, MOST_REPLICAS)

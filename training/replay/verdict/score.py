"""What a run cost and what it served, in total and by day. Ticks without recorded demand do not count.

Axes: K ticks, D days.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.plan.hpa import SYNC_SECONDS
from training.data.load import DAY_SECONDS, local_seconds
from training.replay.simulation.demand import Moments
from training.replay.simulation.loop import Run
from training.replay.simulation.scenario import Scenario

NEGLIGIBLE = 1e-6
"""of the demand: a smaller shortage is rounding"""
WRONG_SIZE = 0.1
"""of the replicas needed: further off (and by more than one) is the wrong size"""


@dataclass(frozen=True, slots=True)
class Price:
    """per_replica_hour: in any currency. per_node: replicas on a node, which is paid as one."""

    per_replica_hour: float = 0.0
    per_node: int = 1

    def of(self, replicas_K: NDArray[np.int64]) -> Moments:
        """What each tick costs."""
        paid_K = np.ceil(replicas_K / self.per_node) * self.per_node
        return np.asarray(paid_K * self.per_replica_hour * SYNC_SECONDS / 3600)


@dataclass(frozen=True, slots=True)
class Days:
    """Sums of each local day, the unit of bootstraps. All [D]."""

    replica_hours_D: Moments
    unserved_D: Moments
    demand_D: Moments
    short_minutes_D: Moments
    recorded_D: Moments
    """recorded part of the day, in days"""


@dataclass(frozen=True, slots=True)
class Scores:
    """One policy on one span. Shares are of all demand."""

    policy: str
    days: float
    """that are on record"""
    replica_hours: float
    money: float
    short_minutes: float
    """time in which demand exceeded what all ready pods could carry"""
    unserved_share: float
    """arrived when capacity was used up: it waited, or went away"""
    lost_share: float
    """of it, what went away because it would have waited longer than `max_queue_wait_seconds`"""
    delay_p95: float
    delay_p99: float
    """seconds: 95 and 99 % of the demand waited at most this long"""
    scale_events: int
    wrong_size_share: float
    """of the time: ready pods were more than 10 % (and more than one) off the number needed"""
    largest: int
    """replicas"""
    by_day: Days

    @property
    def short_minutes_per_week(self) -> float:
        return self.short_minutes * 7 / self.days if self.days else math.nan


def score(scenario: Scenario, run: Run, price: Price = Price()) -> Scores:
    """The scores of a run of this scenario."""
    known_K = ~np.isnan(scenario.demand_K)
    demand_K = np.where(known_K, scenario.demand_K, 0.0) * SYNC_SECONDS
    total = max(float(demand_K.sum()), 1e-300)
    short_K = run.unserved_K > NEGLIGIBLE * demand_K
    just_K = np.ceil(np.where(known_K, scenario.demand_K, 0.0) / scenario.setting.capacity - NEGLIGIBLE)
    wrong_K = np.abs(run.ready_K - just_K) > np.maximum(1, WRONG_SIZE * just_K)
    p95, p99 = weighted_quantiles(run.delay_K[known_K], demand_K[known_K], (0.95, 0.99))
    return Scores(
        policy=run.policy,
        days=float(known_K.sum()) * SYNC_SECONDS / DAY_SECONDS,
        replica_hours=float(run.replicas_K[known_K].sum()) * SYNC_SECONDS / 3600,
        money=float(price.of(run.replicas_K)[known_K].sum()),
        short_minutes=float(short_K.sum()) * SYNC_SECONDS / 60,
        unserved_share=float(run.unserved_K.sum()) / total,
        lost_share=float(run.lost_K.sum()) / total,
        delay_p95=p95,
        delay_p99=p99,
        scale_events=int(np.count_nonzero(np.diff(run.replicas_K))),
        wrong_size_share=float(wrong_K[known_K].mean()) if known_K.any() else math.nan,
        largest=int(run.replicas_K.max()),
        by_day=_by_day(scenario, run, known_K, demand_K, short_K),
    )


def _by_day(
    scenario: Scenario, run: Run, known_K: NDArray[np.bool_], demand_K: Moments, short_K: NDArray[np.bool_]
) -> Days:
    day_K = local_days(scenario)
    amounts = (
        run.replicas_K * known_K * SYNC_SECONDS / 3600,
        run.unserved_K,
        demand_K,
        short_K * SYNC_SECONDS / 60,
        known_K * SYNC_SECONDS / DAY_SECONDS,
    )
    return Days(*(np.bincount(day_K, weights=one_K).astype(np.float64) for one_K in amounts))


def local_days(scenario: Scenario) -> NDArray[np.int64]:
    """Which day of the span each tick belongs to, in the series' time zone. [K]

    Where clocks go back over midnight, the hour belongs to the new day.
    """
    local_K = local_seconds(scenario.sync_K, scenario.demand.series.timezone) // DAY_SECONDS
    return np.asarray(np.maximum.accumulate(local_K) - local_K[0], np.int64)


def weighted_quantiles(values: Moments, weights: Moments, shares: tuple[float, ...]) -> list[float]:
    """The weighted quantile: the smallest value that this share of the weight does not exceed; 0 without weight."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    if not len(reached) or reached[-1] <= 0:
        return [0.0 for _ in shares]
    places = np.searchsorted(reached, np.array(shares) * reached[-1] * (1 - 1e-12))
    return [float(values[order][place]) for place in places]

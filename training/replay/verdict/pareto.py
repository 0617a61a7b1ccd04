"""Comparisons at equal cost and at equal service: fronts of runs that differ in how cautious they are.

A front is the unserved share of demand as a function of replica-hours, for one way to scale. Between two runs the
logarithm of the unserved share is interpolated over cost. Outside the runs it is unknown.

Axes: P points of a front, D days, B draws of the bootstrap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.replay.simulation.demand import Moments
from training.replay.verdict.score import Scores

LEAST_UNSERVED = 1e-6
"""smaller shares count as this: the difference is negligible"""
ROUNDING = 1 + 1e-9
DRAWS = 1000
LEVEL = 0.9
"""of the intervals"""


@dataclass(frozen=True, slots=True)
class Front:
    """Cost (ascending) and unserved share (descending) of the runs that no other run beats in both. [P] each"""

    cost_P: Moments
    unserved_P: Moments

    def unserved_at(self, cost: float) -> float:
        """NaN outside the costs of the front."""
        if not len(self.cost_P) or not self.cost_P[0] <= cost <= self.cost_P[-1]:
            return math.nan
        return float(np.exp(np.interp(cost, self.cost_P, np.log(self.unserved_P))))

    def cost_at(self, unserved: float) -> float:
        """NaN outside the unserved shares of the front."""
        unserved = max(unserved, LEAST_UNSERVED)
        if not len(self.cost_P) or not self.unserved_P[-1] <= unserved * ROUNDING <= self.unserved_P[0] * ROUNDING**2:
            return math.nan
        return float(np.interp(-math.log(unserved), -np.log(self.unserved_P), self.cost_P))


def front(cost: Sequence[float] | Moments, unserved: Sequence[float] | Moments) -> Front:
    """The front of these runs."""
    cost_P, unserved_P = np.asarray(cost, np.float64), np.maximum(np.asarray(unserved, np.float64), LEAST_UNSERVED)
    order = np.lexsort((unserved_P, cost_P))
    cost_P, unserved_P = cost_P[order], unserved_P[order]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(unserved_P)[:-1]])
    kept = unserved_P < best_before
    return Front(cost_P[kept], unserved_P[kept])


def front_of(scores: Sequence[Scores]) -> Front:
    return front([one.replica_hours for one in scores], [one.unserved_share for one in scores])


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap interval; NaN if it cannot be computed.

    known: the share of the draws in which it could be computed.
    """

    value: float
    low: float
    high: float
    known: float = 1.0


def unserved_ratio(mine: Front, theirs: Front, at_unserved: float) -> float:
    """Unserved demand of `mine` over that of `theirs`, at the cost at which `theirs` leaves this share unserved."""
    return mine.unserved_at(theirs.cost_at(at_unserved)) / at_unserved


def cost_ratio(mine: Front, theirs: Front, at_unserved: float) -> float:
    """Replica-hours of `mine` over those of `theirs`, where both leave this share unserved."""
    return mine.cost_at(at_unserved) / theirs.cost_at(at_unserved)


def over_days(
    figure: Callable[[Front, Front], float], mine: Sequence[Scores], theirs: Sequence[Scores], seed: int = 0
) -> Interval:
    """`figure(front of mine, front of theirs)` with its paired bootstrap interval: all runs keep the same drawn days.

    (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; percentile intervals.)
    """
    draws_BD = draws(len(mine[0].by_day.demand_D), seed)
    value = figure(front_of(mine), front_of(theirs))
    drawn = [_drawn(draws_BD, scores) for scores in (mine, theirs)]
    fronts = zip(*([front(*pair) for pair in zip(*one, strict=True)] for one in drawn), strict=True)
    found_B = np.array([figure(*both) for both in fronts])
    known_B = np.isfinite(found_B)
    if not known_B.any():
        return Interval(value, math.nan, math.nan, 0.0)
    low, high = np.quantile(found_B[known_B], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), float(known_B.mean()))


def draws(days: int, seed: int = 0) -> Moments:
    """How often each draw (with replacement, of all days) holds each day. [B, D]"""
    return np.random.default_rng(seed).multinomial(days, np.full(days, 1 / days), DRAWS).astype(np.float64)


def _drawn(draws_BD: Moments, scores: Sequence[Scores]) -> tuple[Moments, Moments]:
    """(cost, unserved share) of each run over each draw of days. [B, P] each"""
    cost_PD, unserved_PD, demand_PD = (
        np.array([getattr(one.by_day, name) for one in scores])
        for name in ("replica_hours_D", "unserved_D", "demand_D")
    )
    demand_BP = np.maximum(draws_BD @ demand_PD.T, 1e-300)
    return draws_BD @ cost_PD.T, draws_BD @ unserved_PD.T / demand_BP

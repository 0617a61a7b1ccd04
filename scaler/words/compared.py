"""The days of a workload as figures of both sides and their differences, with bootstrap intervals over days. Pure.

Axes: D days, B draws of the bootstrap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Amounts: TypeAlias = NDArray[np.float64]

DAY_SECONDS = 86400.0
FEWEST_DAYS = 3.0
"""with fewer, an interval over days means nothing"""
DRAWS = 1000
LEVEL = 0.9
"""of the intervals"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One side, over all days."""

    replica_hours: float
    short_minutes: float
    unserved_share: float
    scale_events: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, plan less reactive, with its interval; None where there are too few days."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """replica_hours: difference as a share of the reactive ones, NaN where there were none."""

    namespace: str
    name: str
    mode: str
    first: str
    last: str
    """days, as 2026-11-29"""
    known_days: float
    plan: Figures
    reactive: Figures
    replica_hours: Interval
    short_minutes: Interval
    unserved_share: Interval
    scale_events: Interval

    @property
    def is_shadow(self) -> bool:
        return self.mode == "shadow"

    @property
    def has_intervals(self) -> bool:
        return self.replica_hours.low is not None


@dataclass(frozen=True, slots=True)
class _Side:
    """Sums of each day. [D] each"""

    hours_D: Amounts
    short_D: Amounts
    unserved_D: Amounts
    events_D: Amounts


def compared(record: Mapping[str, Any]) -> Compared:
    """From a record of /api/v1/savings. Raises KeyError, TypeError or ValueError where it is none."""
    days: Sequence[Mapping[str, Any]] = record["days"]
    demand_D, known_D = _column(days, "demand"), _column(days, "known_seconds")
    plan, reactive = (_side([one[name] for one in days]) for name in ("plan", "reactive"))
    known = float(known_D.sum()) / DAY_SECONDS
    draws_BD = draws(len(days)) if known >= FEWEST_DAYS and len(days) >= FEWEST_DAYS else None

    def interval(of: Callable[[Amounts], Amounts]) -> Interval:
        value = float(of(np.ones((1, len(days))))[0])
        if draws_BD is None:
            return Interval(value, None, None)
        low, high = np.quantile(of(draws_BD), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(value, float(low), float(high))

    return Compared(
        namespace=str(record["namespace"]),
        name=str(record["name"]),
        mode=str(record["mode"]),
        first=str(days[0]["day"]),
        last=str(days[-1]["day"]),
        known_days=known,
        plan=_figures(plan, demand_D),
        reactive=_figures(reactive, demand_D),
        replica_hours=interval(lambda w: _ratio(w @ (plan.hours_D - reactive.hours_D), w @ reactive.hours_D)),
        short_minutes=interval(lambda w: w @ (plan.short_D - reactive.short_D)),
        unserved_share=interval(lambda w: _ratio(w @ (plan.unserved_D - reactive.unserved_D), w @ demand_D)),
        scale_events=interval(lambda w: w @ (plan.events_D - reactive.events_D)),
    )


def draws(days: int) -> Amounts:
    """How often each draw (with replacement, of all days) holds each day; always the same draws. [B, D]"""
    return np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), DRAWS).astype(np.float64)


def _side(days: Sequence[Mapping[str, Any]]) -> _Side:
    return _Side(
        _column(days, "replica_seconds") / 3600,
        _column(days, "short_seconds") / 60,
        _column(days, "unserved"),
        _column(days, "scale_events"),
    )


def _figures(side: _Side, demand_D: Amounts) -> Figures:
    share = float(_ratio(side.unserved_D.sum(keepdims=True), demand_D.sum(keepdims=True))[0])
    return Figures(float(side.hours_D.sum()), float(side.short_D.sum()), share, round(float(side.events_D.sum())))


def _column(days: Sequence[Mapping[str, Any]], name: str) -> Amounts:
    column_D = np.array([float(one[name]) for one in days])
    if not len(column_D) or not np.isfinite(column_D).all():
        raise ValueError(name)
    return column_D


def _ratio(above: Amounts, below: Amounts) -> Amounts:
    """0 over 0 is 0: where there was nothing, nothing differs."""
    return np.divide(above, below, out=np.where(above == 0, 0.0, math.nan), where=below > 0)

"""One period of one series with its cluster: what all policies of a replay share.

Time advances in ticks of the HPA's sync period. At `refresh_K` the scaler observes demand and plans. Half a tick later,
the mean offset of two unaligned clocks, the HPA syncs at `sync_K`; demand then arrives until the next sync.

Axes: K ticks.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from scaler.plan.hpa import SYNC_SECONDS, Hpa
from scaler.series import RECENT_SECONDS
from training.replay.simulation.demand import Demand, Moments, Observing
from training.replay.simulation.start_up import Constant, StartUp


@dataclass(frozen=True, slots=True)
class Keda:
    """KEDA's own part: it scales from zero when it polls, and to zero after the cooldown."""

    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    activation_threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Setting:
    """The workload: its capacity and start-up, and how it is scaled today."""

    threshold: float
    """demand per replica, today's target"""
    capacity: float
    """demand that one replica carries"""
    start_up: StartUp = Constant(90.0)  # noqa: RUF009  frozen
    hpa: Hpa = field(default_factory=Hpa)
    scales_to_zero: bool = False
    keda: Keda = field(default_factory=Keda)
    observing: Observing = field(default_factory=Observing)
    max_queue_wait_seconds: float = 30.0
    """how long demand beyond the capacity waits before it goes away"""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """[begin, end) in seconds since the epoch, whole minutes."""

    begin: float
    end: float

    @property
    def days(self) -> float:
        return (self.end - self.begin) / 86_400


class Scenario:
    """`span` of a series under a setting. All arrays are [K], one value per tick."""

    def __init__(self, demand: Demand, setting: Setting, span: Span) -> None:
        self.demand = demand
        self.setting = setting
        self.span = span
        count = math.floor((span.end - span.begin) / SYNC_SECONDS)
        self.refresh_K: Moments = span.begin + SYNC_SECONDS * np.arange(count, dtype=np.float64)
        self.sync_K: Moments = self.refresh_K + SYNC_SECONDS / 2
        self.demand_K = demand.mean(self.sync_K, self.sync_K + SYNC_SECONDS)
        """mean demand from each sync until the next; NaN if not recorded"""

    def __len__(self) -> int:
        return len(self.sync_K)

    @cached_property
    def seen_K(self) -> Moments:
        """What a metric server returns at each sync; NaN if it has no value."""
        return self.demand.observed(self.sync_K, self.setting.observing)

    @cached_property
    def refreshed(self) -> "Refreshed":
        """The demand that the scaler knew at each refresh."""
        back = np.arange(math.ceil((self.span.begin - self.demand.start) / SYNC_SECONDS) + 1, 0, -1)
        before = self.span.begin - SYNC_SECONDS * back
        at = np.concatenate([before, self.refresh_K])
        seen = pd.Series(self.demand.observed(at, self.setting.observing).astype(np.float32).astype(np.float64))
        ticks = round(RECENT_SECONDS / SYNC_SECONDS)
        known_at = pd.Series(np.where(seen.notna(), at, np.nan)).ffill()
        found = (known_at, seen.ffill(), seen.rolling(ticks, min_periods=1).max(), seen.cummax())
        return Refreshed(*(one.ffill().to_numpy()[len(before) :] for one in found))


@dataclass(frozen=True, slots=True)
class Refreshed:
    """See `scaler.series.Observation`: the newest known demand, NaN before there was any. All [K]."""

    at_K: Moments
    value_K: Moments
    recent_peak_K: Moments
    history_peak_K: Moments

"""The decisions around one edge of a schedule: the real planner on real forecasts, in the simulation of a replay.

Past days are replayed by the minute, but only around the edge; the last one every 15 s, as in service. One replica
carries 10 of demand and takes two minutes to start.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from scaler.forecast.catalog import GENERAL
from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster
from scaler.plan.hpa import SYNC_SECONDS, Hpa
from training.data.load import Series
from training.replay.policies.headway import lead_seconds, trigger_of
from training.replay.policies.registry import PolicyInputs
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of, joined
from training.replay.simulation.loop import Run, replay
from training.replay.simulation.mixing import mixed_forecasts
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.candidates import HeadwayEntry

PER_REPLICA = 10.0
BEFORE, AFTER = 40, 40
"""minutes that are replayed before the edge and after the end"""
EDGE_MINUTES = 10
"""after the edge, in which demand must be served"""


@dataclass(frozen=True)
class Edge:
    """Where demand rises and falls on a day: minutes of the local day. day: counted from the first of the record."""

    day: int
    begins: int
    ends: int


@dataclass(frozen=True)
class Decisions:
    """What was planned and what came of it, by ticks of 15 s. minute: from the edge on. All [K]."""

    minute_K: np.ndarray
    planned_K: np.ndarray
    replicas_K: np.ndarray
    unserved_K: np.ndarray
    """per second"""
    demand_K: np.ndarray
    ends: int
    """minute of the end"""

    def ordered(self, level: float) -> float:
        """How many minutes before the edge the planned value is first above a level; 0 where it is not."""
        above = self.minute_K[(self.planned_K > level) & (self.minute_K < 0)]
        return float(-above.min()) if len(above) else 0.0

    def short(self) -> float:
        """The share of demand that is not served in the minutes after the edge."""
        near = (self.minute_K >= 0) & (self.minute_K < EDGE_MINUTES)
        return float(self.unserved_K[near].sum() / self.demand_K[near].sum())

    def released(self, level: float) -> float:
        """How many minutes after the end replicas for more than a level are there; infinite where they stay."""
        there = self.minute_K[(self.replicas_K * PER_REPLICA > level) & (self.minute_K >= self.ends)]
        if not len(there):
            return 0.0
        return float("inf") if there[-1] == self.minute_K[-1] else float(there[-1] - self.ends)


def decided(series: Series, edge: Edge, past_days: int, scales_to_zero: bool = False) -> Decisions:
    """The decisions of a default trigger, which has watched the edge on some days before."""
    setting = Setting(PER_REPLICA, PER_REPLICA, Constant(120.0), Hpa(max_replicas=2000), scales_to_zero=scales_to_zero)
    demand, span = Demand(series), _watched(series, edge, edge.day)
    scenario = Scenario(demand, setting, span)
    made = PolicyInputs(scenario, _forecasts(demand, setting, edge, past_days))
    run = replay(scenario, HeadwayEntry(trigger_of(setting, "demand", series.timezone), "headway").made(made))
    return _decisions(scenario, run, moment(series, edge.day, edge.begins), edge)


def moment(series: Series, day: int, minute: int) -> float:
    """When a minute of a local day is."""
    zone = ZoneInfo(series.timezone)
    midnight = datetime.fromtimestamp(series.start, zone).replace(hour=0, minute=0, tzinfo=None)
    return (midnight + timedelta(days=day, minutes=minute)).replace(tzinfo=zone).timestamp()


def _decisions(scenario: Scenario, run: Run, begins: float, edge: Edge) -> Decisions:
    return Decisions(
        minute_K=(scenario.sync_K - begins) / 60,
        planned_K=np.nan_to_num(run.metric_K),
        replicas_K=run.replicas_K,
        unserved_K=run.unserved_K / SYNC_SECONDS,
        demand_K=np.nan_to_num(scenario.demand_K),
        ends=edge.ends - edge.begins,
    )


def _forecasts(demand: Demand, setting: Setting, edge: Edge, past_days: int) -> Forecasts:
    """Those of the day, with past days mixed in."""
    days = range(max(1, edge.day - past_days), edge.day + 1)
    made = [_alone(demand, setting, edge, day, 60.0 if day < edge.day else SYNC_SECONDS) for day in days]
    every = made[0]
    for one in made[1:]:
        every = joined(every, one)
    mixed = mixed_forecasts(every, demand, setting.observing, lead_seconds(setting) + SCORED_BEYOND_SECONDS)
    return mixed.since(len(every.issued_I) - len(made[-1].issued_I))


def _alone(demand: Demand, setting: Setting, edge: Edge, day: int, seconds: float) -> Forecasts:
    issues = Issues(_watched(demand.series, edge, day), seconds, 3600.0)
    return forecasts_of(demand, _general(), setting.observing, issues)


def _watched(series: Series, edge: Edge, day: int) -> Span:
    return Span(moment(series, day, edge.begins - BEFORE), moment(series, day, edge.ends + AFTER))


@cache
def _general() -> OnnxForecaster:
    return load_forecaster(GENERAL)

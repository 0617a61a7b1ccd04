"""One series replayed under two bundles: the same trigger, planner and cluster, a plan every minute."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.plan.hpa import SYNC_SECONDS, Hpa
from training.data.load import Series
from training.errors import DataError
from training.lifecycle.gate import Replayed
from training.replay.input.case import UNBOUNDED, open_forecaster, window_seconds
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand, Observing
from training.replay.simulation.forecasts import Forecasts, Issues
from training.replay.simulation.mixing import forecasts_with_past
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.candidates import HeadwayEntry, Ran, reactive_front, run_all
from training.replay.verdict.pareto import front_of
from training.replay.verdict.score import Price

EVERY_SECONDS = 60.0
"""between two forecasts: as often as demand has a new value"""
SHORTEST_SECONDS = 6 * 3600.0
"""of a replay"""
LEAD_SECONDS = 120.0
MEAN_REPLICAS = 20
"""of a series without a trigger"""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a workload is scaled: what its trigger says."""

    threshold: float
    lead_seconds: float = LEAD_SECONDS
    query: str = ""


def assumed(series: Series) -> Scaling:
    """Where no trigger is known: mean demand needs MEAN_REPLICAS replicas."""
    return Scaling(float(np.nanmean(series.values)) / MEAN_REPLICAS)


def replayed(
    series: Series, since: float, days: float, scaling: Scaling, bundles: Sequence[Path | None]
) -> list[Replayed]:
    """What each bundle (None: the general one) does with the newest `days` of the series, at most from `since` on.

    Raises DataError where nothing can be learned from a replay.
    """
    demand, setting = Demand(series), _setting(scaling)
    span = _span(series, since, days)
    scenario = Scenario(demand, setting, span)
    _require_scaling(series, scenario, scaling)
    trigger = trigger_of(setting, scaling.query, series.timezone)
    lead = trigger.lead_time_seconds
    issues, scored = Issues(span, EVERY_SECONDS, 2 * lead + 3600.0), lead + SCORED_BEYOND_SECONDS
    runs: list[Ran] = []
    forecasts: Forecasts | None = None
    for folder in bundles:
        forecasts = forecasts_with_past(demand, open_forecaster(folder), setting.observing, issues, scored)
        runs += run_all(scenario, forecasts, [HeadwayEntry(trigger, "headway")], Price())
    assert forecasts is not None
    rivals = front_of([one.scores for one in run_all(scenario, forecasts, reactive_front(setting), Price())])
    return [
        Replayed(one.scores.unserved_share, one.scores.replica_hours, rivals.unserved_at(one.scores.replica_hours))
        for one in runs
    ]


def replays_of(
    series: Series, since: float, days: float, scaling: Scaling | None, bundles: Sequence[Path | None]
) -> tuple[list[Replayed], str]:
    """(what `replayed` finds, ""), or ([], why there is nothing)."""
    try:
        return replayed(series, since, days, scaling or assumed(series), bundles), ""
    except DataError as error:
        return [], str(error)


def chosen(sizes: Mapping[str, float], most: int) -> list[str]:
    """At most `most` of the series, from those that need few replicas to those that need many, evenly."""
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    if len(names) <= most:
        return names
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, most)]


def _setting(scaling: Scaling) -> Setting:
    start_up = Constant(max(0.0, scaling.lead_seconds - 2 * SYNC_SECONDS))
    observing = Observing(window_seconds=window_seconds(scaling.query))
    return Setting(scaling.threshold, scaling.threshold, start_up, Hpa(max_replicas=UNBOUNDED), observing=observing)


def _span(series: Series, since: float, days: float) -> Span:
    end = math.floor(series.end / 60) * 60
    begin = max(end - days * 86_400, math.ceil(since / 60) * 60)
    if end - begin < SHORTEST_SECONDS:
        raise DataError(f"{(end - begin) / 3600:.1f} h are new; a replay needs {SHORTEST_SECONDS / 3600:.0f}")
    return Span(float(begin), float(end))


def _require_scaling(series: Series, scenario: Scenario, scaling: Scaling) -> None:
    known_K = scenario.demand_K[~np.isnan(scenario.demand_K)]
    if not len(known_K):
        raise DataError("nothing is on record in the replayed time")
    if known_K.max() <= scaling.threshold:
        raise DataError(f"one replica is always enough: demand stays below the threshold, {scaling.threshold:g}")
    if known_K.max() == known_K.min():
        raise DataError(f"is constant at {known_K.max():g} in the replayed time: there is nothing to scale")

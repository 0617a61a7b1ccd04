"""One series under one start-up time, all policies, and the figures by which they are compared: a cell of the league.

Results are plain values, so that a league can cache them and continue later.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from scaler.plan.hpa import Hpa
from training.data.load import DAY_SECONDS, Series
from training.progress import Progress, no_progress
from training.replay.policies import registry
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict import candidates
from training.replay.verdict.candidates import Entry, HeadwayEntry, OracleEntry, Ran, RivalEntry, run_all
from training.replay.verdict.pareto import LEAST_UNSERVED, Front, cost_ratio, front, unserved_ratio
from training.replay.verdict.score import Price

MEAN_REPLICAS = 20
"""capacity is chosen so that mean demand needs this many replicas"""
DAYS = 7
LOSSES = {"1%": 0.01, "0.1%": 0.001}
"""points of the reactive front, by the share of demand that is unserved there"""
DEFAULT = "headway"
ALONE = "headway, bundle alone"
"""the default trigger without past days in its forecasts"""
MOST_REPLICAS = 2000


def span_of(series: Series, days: float = DAYS) -> Span:
    """At most the last `days` of the record, in full minutes, without its first day."""
    end = math.floor(series.end / 60) * 60
    begin = max(math.ceil(series.start / 60) * 60 + DAY_SECONDS, end - round(days * DAY_SECONDS))
    return Span(float(begin), float(end))


def in_fine_units(series: Series) -> Series:
    """The same demand in units so small that KEDA's thousandths do not matter: times a power of ten."""
    mean = float(np.nanmean(series.values))
    if not 0 < mean < MEAN_REPLICAS:
        return series
    factor = 10.0 ** math.ceil(math.log10(MEAN_REPLICAS / mean))
    return replace(series, values=np.asarray(series.values * factor, np.float32))


def setting_of(series: Series, start_up_seconds: float) -> Setting:
    """The workload of a cell: it depends only on the series and the start-up time."""
    capacity = float(np.nanmean(series.values)) / MEAN_REPLICAS
    return Setting(capacity, capacity, Constant(start_up_seconds), Hpa(max_replicas=MOST_REPLICAS))


def entries_of(setting: Setting, series: Series, rivals: bool = True) -> list[Entry]:
    """All policies: both fronts, the default trigger, the oracle, and the alternatives."""
    default = trigger_of(setting, "demand", series.timezone)
    return [
        HeadwayEntry(default, DEFAULT),
        OracleEntry(),
        *(RivalEntry(name) for name in (registry.RIVALS if rivals else ())),
        *candidates.reactive_front(setting),
        *candidates.headway_front(setting, default),
    ]


@dataclass(frozen=True)
class BothForecasts:
    """mixed: with past days, as the scaler makes them. alone: of the bundle."""

    mixed: Forecasts
    alone: Forecasts


def run_both(
    scenario: Scenario, forecasts: BothForecasts, entries: Sequence[Entry], jobs: int, progress: Progress = no_progress
) -> dict[str, dict[str, float]]:
    """Scores by name: of all entries, and of the default trigger on the bundle's forecasts alone."""
    alone = HeadwayEntry(trigger_of(scenario.setting, "demand", scenario.demand.series.timezone), ALONE)
    found = run_all(scenario, forecasts.mixed, entries, Price(), jobs, progress)
    found += run_all(scenario, forecasts.alone, [alone], Price())
    return points_of(found)


def replayed(
    series: Series,
    start_up_seconds: float,
    forecasts: BothForecasts,
    span: Span,
    rivals: bool = True,
    jobs: int = 1,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """`points`: name → scores of every policy; `figures`: name → comparison of these scores."""
    setting = setting_of(series, start_up_seconds)
    scenario = Scenario(Demand(series), setting, span)
    points = run_both(scenario, forecasts, entries_of(setting, series, rivals), jobs, progress)
    return {"points": points, "figures": figures_of(points)}


def points_of(found: Sequence[Ran]) -> dict[str, dict[str, float]]:
    """Scores by name of the policy."""
    return {ran.entry.name: _point(ran) for ran in found}


def _point(ran: Ran) -> dict[str, float]:
    kept = asdict(ran.scores)
    return {name: float(value) for name, value in kept.items() if name not in ("policy", "by_day")}


def figures_of(points: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Comparisons of both fronts, the default trigger and the oracle. NaN where the fronts do not reach."""
    reactive, headway = (front_named(points, begin) for begin in ("reactive at ", "headway q"))
    oracle = points["oracle"]
    found: dict[str, float] = {}
    for name, loss in LOSSES.items():
        found[f"u at {name}"] = unserved_ratio(headway, reactive, loss)
        found[f"hours at {name}"] = cost_ratio(headway, reactive, loss)
        cost = reactive.cost_at(loss)
        for score in ("short_minutes", "scale_events"):
            mine, theirs = (at_cost(points, begin, score, cost) for begin in ("headway q", "reactive at "))
            found[f"{score} at {name}"] = mine / theirs if theirs > 0 else math.nan
        found[f"gap closed at {name}"] = (1 - found[f"u at {name}"]) / max(1 - oracle["unserved_share"] / loss, 1e-9)
    for name in (one for one in (DEFAULT, ALONE, *registry.RIVALS) if one in points):
        one = points[name]
        least = max(one["unserved_share"], LEAST_UNSERVED)
        found[f"{name}: unserved at its cost"] = least / reactive.unserved_at(one["replica_hours"])
        found[f"{name}: hours at its service"] = one["replica_hours"] / reactive.cost_at(least)
        events = at_cost(points, "reactive at ", "scale_events", one["replica_hours"])
        found[f"{name}: scale events"] = one["scale_events"] / events if events > 0 else math.nan
        found[f"{name}: delay p99"] = one["delay_p99"]
        found[f"{name}: delay p99 of reactive"] = at_cost(points, "reactive at ", "delay_p99", one["replica_hours"])
    if ALONE in points:
        mixed, alone = (found[f"{name}: unserved at its cost"] for name in (DEFAULT, ALONE))
        found["past days: unserved at its cost, over the bundle's alone"] = mixed / alone
    return found


def front_named(points: Mapping[str, Mapping[str, float]], begin: str) -> Front:
    """The Pareto front of the policies whose names start with `begin`."""
    chosen = [one for name, one in points.items() if name.startswith(begin)]
    return front([one["replica_hours"] for one in chosen], [one["unserved_share"] for one in chosen])


def at_cost(points: Mapping[str, Mapping[str, float]], begin: str, score: str, cost: float) -> float:
    """A score along a front, interpolated over cost; NaN outside."""
    chosen = sorted((one["replica_hours"], one[score]) for name, one in points.items() if name.startswith(begin))
    costs, values = zip(*chosen, strict=True)
    if not costs[0] <= cost <= costs[-1]:
        return math.nan
    return float(np.interp(cost, costs, values))


def median_of(cells: Sequence[Mapping[str, float]], name: str) -> tuple[float, float, float, int]:
    """(median, lower quartile, upper quartile, how many are known) of a figure."""
    known = [cell[name] for cell in cells if math.isfinite(cell[name])]
    if not known:
        return math.nan, math.nan, math.nan, 0
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return float(middle), float(low), float(high), len(known)

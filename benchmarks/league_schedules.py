"""The schedules of the league: demand that repeats to the minute, its figures and its tables.

Each kind of `training.data.schedules` is replayed over its last 14 days with one replica per 10 of demand, as threshold
and as capacity. Figures per policy: unserved share of demand, replica-hours over those of perfect foresight, scale
events, and the 99th percentile of delay.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from league_cell import ALONE, DEFAULT, MOST_REPLICAS, BothForecasts, run_both, span_of

from scaler.plan.hpa import Hpa
from training.data.load import Series
from training.data.schedules import HARDER, PLAIN
from training.replay.policies import registry
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.candidates import Entry, HeadwayEntry, OracleEntry, ReactiveEntry, RivalEntry

THRESHOLD = 10.0
DAYS = 14
REACTIVE = "reactive"
GROUPS = {"plain": PLAIN, "harder": HARDER}
FIGURES = ("unserved", "hours", "events")
NEGLIGIBLE = 1e-5
"""of the demand: a smaller difference in service is none"""


@dataclass(frozen=True)
class ScheduleCell:
    """One kind under one start-up time. points: name of a policy → its scores."""

    kind: str
    start_up: int
    points: Mapping[str, Mapping[str, float]]

    def figures(self, policy: str) -> dict[str, float]:
        """Unserved share in %, replica-hours over perfect foresight's, scale events, and delay in seconds."""
        one = self.points[policy]
        return {
            "unserved": 100 * one["unserved_share"],
            "hours": one["replica_hours"] / self.points["oracle"]["replica_hours"],
            "events": one["scale_events"],
            "delay p99": one["delay_p99"],
        }

    def is_beaten_by(self, rival: str) -> bool:
        """Whether a rival serves more than Headway's default trigger at no higher cost."""
        mine, theirs = self.points[DEFAULT], self.points[rival]
        is_cheaper = theirs["replica_hours"] <= mine["replica_hours"]
        return is_cheaper and theirs["unserved_share"] < mine["unserved_share"] - NEGLIGIBLE


def schedule_span(series: Series) -> Span:
    return span_of(series, DAYS)


def setting_of(start_up_seconds: float) -> Setting:
    """The workload of every schedule."""
    return Setting(THRESHOLD, THRESHOLD, Constant(start_up_seconds), Hpa(max_replicas=MOST_REPLICAS))


def replayed(
    series: Series, start_up_seconds: float, forecasts: BothForecasts, rivals: bool, jobs: int
) -> dict[str, dict[str, float]]:
    """Scores of every policy, by name."""
    setting = setting_of(start_up_seconds)
    entries: list[Entry] = [
        HeadwayEntry(trigger_of(setting, "demand", series.timezone), DEFAULT),
        OracleEntry(),
        ReactiveEntry(THRESHOLD, REACTIVE),
        *(RivalEntry(name) for name in (registry.RIVALS if rivals else ())),
    ]
    scenario = Scenario(Demand(series), setting, schedule_span(series))
    return run_both(scenario, forecasts, entries, jobs)


def policies(cells: Sequence[ScheduleCell]) -> list[str]:
    """In the order of the tables, without perfect foresight."""
    return [name for name in (DEFAULT, ALONE, REACTIVE, *registry.RIVALS) if name in cells[0].points]


def schedule_tables(cells: Sequence[ScheduleCell]) -> str:
    """One table per start-up time and group, as Markdown."""
    parts = []
    for start_up, group, some in _grouped(cells):
        head = f"### Schedules, start-up {start_up} s, {len(some)} {group} kinds"
        parts.append(f"{head}\n\n{_table(some)}\n\n{_totals(some)}")
    return "\n\n".join(parts)


def _grouped(cells: Sequence[ScheduleCell]) -> list[tuple[int, str, list[ScheduleCell]]]:
    found = []
    for start_up in sorted({cell.start_up for cell in cells}):
        for group, kinds in GROUPS.items():
            some = [cell for cell in cells if cell.start_up == start_up and cell.kind in kinds]
            if some:
                found.append((start_up, group, some))
    return found


def _table(cells: Sequence[ScheduleCell]) -> str:
    """A row per kind; each policy's unserved %, hours over perfect foresight's, and scale events."""
    names = policies(cells)
    rows = [f"| kind | {' | '.join(names)} | perfect foresight |", "| --- |" + " --- |" * (len(names) + 1)]
    for cell in cells:
        shown = [_shown(cell.figures(name)) for name in (*names, "oracle")]
        rows.append(f"| {cell.kind} | {' | '.join(shown)} |")
    return "\n".join(rows)


def _shown(figures: Mapping[str, float]) -> str:
    return f"{figures['unserved']:.3g} %, {figures['hours']:.3f}, {figures['events']:.0f}"


def _totals(cells: Sequence[ScheduleCell]) -> str:
    """A row per policy, over all kinds."""
    rows = [
        "| policy | unserved %: mean / worst | hours: mean / worst | events: mean | delay p99: worst | beats headway |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in policies(cells):
        mean, worst = _over(cells, name)
        beats = "-" if name in (DEFAULT, ALONE) else f"{sum(cell.is_beaten_by(name) for cell in cells)} of {len(cells)}"
        rows.append(
            f"| {name} | {mean['unserved']:.3f} / {worst['unserved']:.3f} | {mean['hours']:.3f} / {worst['hours']:.3f} "
            f"| {mean['events']:.0f} | {worst['delay p99']:.1f} s | {beats} |"
        )
    return "\n".join(rows)


def _over(cells: Sequence[ScheduleCell], policy: str) -> tuple[dict[str, float], dict[str, float]]:
    """(mean, worst) of each figure."""
    found = [cell.figures(policy) for cell in cells]
    mean = {name: math.fsum(one[name] for one in found) / len(found) for name in found[0]}
    return mean, {name: max(one[name] for one in found) for name in found[0]}


def schedule_summary(cells: Sequence[ScheduleCell]) -> dict[str, float]:
    """Named figures, flat: mean and worst of each figure and policy, and how many kinds a rival serves better."""
    found: dict[str, float] = {}
    for start_up, group, some in _grouped(cells):
        for name in policies(some):
            key = f"schedules_{group}_{start_up}s_{name}".replace(" ", "_")
            mean, worst = _over(some, name)
            for figure in mean:
                named = figure.replace(" ", "_")
                found |= {f"{key}_{named}_mean": mean[figure], f"{key}_{named}_worst": worst[figure]}
            if name not in (DEFAULT, ALONE):
                found[f"{key}_beats_headway"] = sum(cell.is_beaten_by(name) for cell in some)
    return found

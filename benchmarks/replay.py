"""How long a replay takes: thirty days by the minute with the bundle that ships, to the verdict.

    python benchmarks/replay.py [--quick] [--jobs N] [--json FILE]

The demand is made up: a noisy day and week, with four weeks of history before the replayed days. It is judged twice,
with forecasts to make and with forecasts out of the cache, reading the file and writing the report left out. Machines
are noisy: next to the seconds stands what a sync of the HPA takes in each policy over what it takes in a loop that does
nothing but the HPA's rounding and its stabilisation, measured in turn in the same run.
"""

import json
import math
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.plan.hpa import SYNC_SECONDS, Hpa
from training.data.load import Series
from training.progress import no_progress
from training.replay.input.case import open_forecaster
from training.replay.policies.registry import PolicyInputs
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.candidates import HeadwayEntry, ReactiveEntry, all_in
from training.replay.verdict.judge import ReplayCase, default_of, forecasts_for, judge, parts
from training.replay.verdict.score import Price

BEGIN = 1_700_006_400
MINUTES_OF_A_DAY = 1440
BEFORE_DAYS = 28
THRESHOLD = 50.0
MEAN = 1000.0
ROUNDS = 3


def demand(days: int) -> Demand:
    """Demand of twenty replicas in the mean, and of so many days after four weeks of history."""
    random = np.random.default_rng(1)
    minute = np.arange((BEFORE_DAYS + days) * MINUTES_OF_A_DAY)
    restless = np.cumsum(random.normal(0, 0.01, len(minute)))
    restless -= np.convolve(restless, np.ones(240) / 240, mode="same")
    usual = 1 + 0.6 * np.sin(2 * np.pi * minute / MINUTES_OF_A_DAY) + 0.15 * np.sin(2 * np.pi * minute / 10_080)
    values = random.poisson(MEAN * usual * np.exp(restless)).astype(np.float32)
    return Demand(Series("made up", "shop/web", "requests/s", float(BEGIN), 60, values))


def case_of(days: int, jobs: int, cache: Path) -> ReplayCase:
    """What is judged."""
    begin = float(BEGIN + BEFORE_DAYS * 86_400)
    setting = Setting(THRESHOLD, THRESHOLD, Constant(90.0), Hpa(max_replicas=1000))
    return ReplayCase(demand(days), setting, Span(begin, begin + days * 86_400), "demand", jobs=jobs, cache=cache)


def plain_loop(scenario: Scenario) -> int:
    """Replicas that follow a metric: rounded up, and held for five minutes. Gives how often they changed."""
    before, changes = 0, 0
    recent: deque[int] = deque(maxlen=math.ceil(300 / SYNC_SECONDS))
    for value in np.nan_to_num(scenario.seen_K).tolist():
        recent.append(math.ceil(value / THRESHOLD))
        replicas = max(recent)
        changes += replicas != before
        before = replicas
    return changes


def took(work: Callable[[], object]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def per_sync(case: ReplayCase) -> dict[str, float]:
    """Microseconds for a sync of the HPA on the judged days, by who is asked: the median of a few rounds."""
    scenario = Scenario(case.demand, case.setting, parts(case.span)[1])
    given = PolicyInputs(scenario, forecasts_for(case, open_forecaster(None)))
    given.tick_forecasts.shared_states(default_of(case), scenario.refresh_K.tolist())
    reactive, headway = ReactiveEntry(THRESHOLD, "reactive"), HeadwayEntry(default_of(case), "headway")
    works: dict[str, Callable[[], object]] = {
        "plain_loop": lambda: plain_loop(scenario),
        "reactive": lambda: all_in(given, [reactive], Price(), no_progress),
        "headway": lambda: all_in(given, [headway], Price(), no_progress),
    }
    rounds = [{name: took(work) for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: 1e6 * statistics.median(one[name] for one in rounds) / len(scenario) for name in works}


def main(
    quick: Annotated[bool, typer.Option(help="six days: under 30 s")] = False,
    jobs: Annotated[int, typer.Option(help="cores")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    days = 6 if quick else 30
    with tempfile.TemporaryDirectory() as folder:
        case = case_of(days, jobs, Path(folder))
        forecaster = open_forecaster(None)
        summary: dict[str, float] = {"days": days, "jobs": jobs}
        summary["first_s"] = took(lambda: judge(case, forecaster))
        summary["cached_s"] = took(lambda: judge(case, forecaster))
        seconds = per_sync(case)
    summary |= {f"{name}_us_per_sync": value for name, value in seconds.items()}
    summary |= {f"{name}_over_plain_loop": seconds[name] / seconds["plain_loop"] for name in ("reactive", "headway")}
    table = Table("figure", "value")
    for name, value in summary.items():
        table.add_row(name, f"{value:.3g}")
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

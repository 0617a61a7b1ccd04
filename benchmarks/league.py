"""Compare ways to scale on recorded demand: which serves most for the same cost, by start-up time of the pods.

    python benchmarks/league.py [--only recordings|schedules] [--traces FOLDER] [--quick] [--bundles FOLDER]
                                [--json FILE] [--docs FILE]

Every series of every trace file is replayed over its last seven days, under

* reactive triggers at many targets;
* Headway, from bold to cautious;
* Headway's default trigger, untuned: its lead time follows from the start-up time, and its threshold is the capacity;
* the same on the forecasts of the bundle alone, without past days;
* perfect foresight;
* alternatives that users might pick.

The capacity of a replica is mean demand / 20 everywhere. Its unit is so small that KEDA's rounding to thousandths does
not matter. Five-minute data is replayed as steps: demand within the five minutes is unknown, so it is kept constant.
Forecasts and finished replays are cached, so the same command continues an interrupted run.

The planner's constants were chosen on the last four days of eight of the one-minute series, and on weeks of the World
Cup before these. Every sixth five-minute series was used to distinguish a jump from growth.

Each figure is the median (lower to upper quartile) over recorded series:

* **u**: the demand that Headway leaves unserved over what reactive triggers leave, at the cost at which these leave 1 %
  and 0.1 %. Both Pareto fronts are interpolated. Series whose fronts do not reach that cost are left out.
* **replica-hours**: over those of reactive triggers at equal service.
* **gap**: the closed share of the way to perfect foresight.
* **delay p99**: 99 % of the demand waited at most this long, next to the reactive trigger of equal cost. Demand that
  would wait longer than 30 s goes away.

Schedules are synthetic: four weeks of demand that repeats to the minute, the last 14 days replayed, with one replica
per 10 of demand. Their cells are: unserved demand, replica-hours over those of perfect foresight, scale events. A rival
beats Headway where it serves more at no higher cost.

The general bundle has learned from some of the files. --bundles is a folder of bundles that have not, each called
general-without-SYSTEM (python -m training.shipped.general TRACES --keep FOLDER makes them). A file without such a
bundle is judged with the bundle that ships, and the page names it. Files with a step above one minute have tables of
their own. --only: one of the two blocks; schedules need no traces. --traces: by default $HEADWAY_TRACES, or the folder
data/traces of the checkout or of a folder beside it. --docs: a run of everything writes docs/league.md and its plot.
--quick: one series of each one-minute file, two start-up times, no rivals. Its figures are a rough check only.
"""

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from league_cell import DAYS, LOSSES, BothForecasts, in_fine_units, median_of, replayed, setting_of, span_of
from league_schedules import ScheduleCell, schedule_span, schedule_summary, schedule_tables
from league_schedules import replayed as replayed_schedule
from league_schedules import setting_of as setting_of_schedule
from league_tables import MINUTE, Cell, summary, tables
from rich.console import Console
from rich.progress import Progress as Bar
from rpc_latency import machine

from scaler.files import appearing
from scaler.forecast.catalog import GENERAL
from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster
from scaler.plan.hpa import SYNC_SECONDS
from training.data.load import Series, load, system_of
from training.data.schedules import schedules
from training.replay.policies.headway import lead_seconds
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Issues, forecasts_of
from training.replay.simulation.mixing import forecasts_with_past
from training.replay.simulation.scenario import Setting, Span
from training.shipped.data import SOURCES
from training.shipped.general import without

ROOT = Path(__file__).resolve().parents[1]
START_UPS = (60, 120, 300, 600)
QUICK_START_UPS = (120, 300)
KEPT_AHEAD_SECONDS = 3600.0
RECORDINGS, SCHEDULES = "recordings", "schedules"
RULES = (
    *("scaler/plan/*.py", "scaler/decide.py"),
    *("scaler/forecast/combination.py", "scaler/forecast/cycles.py", "scaler/forecast/scores.py"),
    *("scaler/forecast/similar_days.py", "scaler/history/minutes.py"),
    *("training/replay/policies/*.py", "training/replay/simulation/*.py", "training/data/schedules.py"),
    *("training/replay/verdict/candidates.py", "training/replay/verdict/pareto.py", "training/replay/verdict/score.py"),
)
"""the code that determines the figures of a cell"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    with Bar(console=Console(stderr=True), transient=True) as bar:
        cells = list(all_cells(options, bar)) if options.only != SCHEDULES else []
        regular = list(schedule_cells(options, bar)) if options.only != RECORDINGS else []
    console = Console(width=120, highlight=False)
    text = "\n\n".join(part for part in (tables(cells), schedule_tables(regular)) if part)
    console.print(text, markup=False, soft_wrap=True)
    if options.json:
        content = {
            "summary": summary(cells) | schedule_summary(regular),
            "cells": [vars(cell) for cell in cells],
            "schedules": [vars(cell) for cell in regular],
            "machine": machine(),
        }
        options.json.write_text(json.dumps(content, indent=2, default=float) + "\n")
    if options.docs:
        options.docs.write_text(page(text, cells, options))
        plot(cells, options.docs.with_suffix(".svg"))
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=(RECORDINGS, SCHEDULES), help="one of the two blocks")
    parser.add_argument("--traces", type=Path, help="folder of recorded systems, a .csv.gz each")
    parser.add_argument("--files", nargs="*", default=[], help="names of some of them, without .csv.gz")
    parser.add_argument("--bundles", type=Path, help="folder of bundles, each trained without one of the systems")
    parser.add_argument(
        "--cache", type=Path, default=Path("build/league"), help="folder of finished replays and forecasts"
    )
    parser.add_argument("--start-ups", type=int, nargs="*", default=None, help="seconds")
    parser.add_argument("--series", type=int, help="most series of each file")
    parser.add_argument("--every", type=float, default=float(SYNC_SECONDS), help="seconds between two forecasts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="page to write, with its plot beside it")
    options = parser.parse_args(arguments)
    if options.only != SCHEDULES:
        options.traces = options.traces or traces_here()
        _require_traces(parser, options.traces)
    if options.docs and options.only:
        parser.error("--docs: the page has both blocks; leave out --only")
    if not (options.docs or options.only or options.quick or options.files or options.series or options.start_ups):
        options.docs = ROOT / "docs" / "league.md"
    options.start_ups = options.start_ups or list(QUICK_START_UPS if options.quick else START_UPS)
    return options


def _require_traces(parser: argparse.ArgumentParser, folder: Path | None) -> None:
    if folder is None:
        parser.error(
            "--traces: name a folder of recorded systems; neither this folder nor one beside it has data/traces"
        )
    if not any(folder.glob("*.csv.gz")):
        parser.error(f"--traces {folder}: must be a folder of recorded systems, a .csv.gz each")


def traces_here() -> Path | None:
    """The folder of recorded systems in a usual place; None if there is none."""
    if folder := os.environ.get("HEADWAY_TRACES"):
        return Path(folder)
    places = (ROOT / "data" / "traces", *sorted(ROOT.parent.glob("*/data/traces")))
    return next((path for path in places if path.is_dir()), None)


def all_cells(options: argparse.Namespace, bar: Bar) -> Iterator[Cell]:
    """Every series under every start-up time; each file is read when its turn comes."""
    files = [
        path
        for path in sorted(options.traces.glob("*.csv.gz"))
        if not options.files or system_of(path) in options.files
    ]
    for path in files:
        chosen = [one for one in load([path]).series if one.step_seconds <= 300]
        if options.quick and (not chosen or chosen[0].step_seconds > MINUTE):
            continue
        forecaster, is_seen = bundle_for(system_of(path), options.bundles)
        chosen = chosen[: 1 if options.quick else options.series]
        task = bar.add_task(system_of(path), total=len(chosen) * len(options.start_ups))
        for series in map(in_fine_units, chosen):
            for start_up in options.start_ups:
                figures = cell_figures(series, start_up, forecaster, options)
                yield Cell(system_of(path), series.name, series.step_seconds, start_up, is_seen, figures)
                bar.advance(task)
        bar.remove_task(task)


def bundle_for(system: str, folder: Path | None) -> tuple[OnnxForecaster, bool]:
    """(a forecaster, whether it has learned from the system)"""
    chosen = bundle_folder(system, folder)
    return load_forecaster(chosen), chosen == GENERAL and system in SOURCES


def bundle_folder(system: str, folder: Path | None) -> Path:
    """The general bundle that has not learned from the system, if `folder` has it, else the one that ships."""
    unseen = folder / without(system) if folder else None
    return unseen if unseen is not None and unseen.is_dir() else GENERAL


def schedule_cells(options: argparse.Namespace, bar: Bar) -> Iterator[ScheduleCell]:
    """Every kind of schedule under every start-up time, with the bundle that ships."""
    forecaster = load_forecaster(GENERAL)
    kinds = schedules()
    task = bar.add_task(SCHEDULES, total=len(kinds) * len(options.start_ups))
    for series in kinds:
        for start_up in options.start_ups:
            points = schedule_points(series, start_up, forecaster, options)
            yield ScheduleCell(series.name, start_up, points)
            bar.advance(task)


def cell_figures(
    series: Series, start_up: int, forecaster: OnnxForecaster, options: argparse.Namespace
) -> dict[str, float]:
    """From the cache, or replayed now."""

    def make() -> dict[str, Any]:
        span = span_of(series)
        forecasts = league_forecasts(series, span, setting_of(series, start_up), forecaster, options)
        return replayed(series, start_up, forecasts, span, not options.quick, options.jobs)

    return dict(_cached(make, series, start_up, forecaster, options)["figures"])


def schedule_points(
    series: Series, start_up: int, forecaster: OnnxForecaster, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """From the cache, or replayed now."""

    def make() -> dict[str, Any]:
        setting = setting_of_schedule(start_up)
        forecasts = league_forecasts(series, schedule_span(series), setting, forecaster, options)
        return replayed_schedule(series, start_up, forecasts, not options.quick, options.jobs)

    return _cached(make, series, start_up, forecaster, options)


def _cached(
    make: Callable[[], dict[str, Any]],
    series: Series,
    start_up: int,
    forecaster: OnnxForecaster,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """What `make` returns, kept in a file by series, start-up time, bundle, options and code."""
    name = "".join(c if c.isalnum() else "-" for c in f"{series.system}-{series.name}")
    bundle = f"{forecaster.model}-{forecaster.manifest.graph_sha256[:8]}".replace("@", "-")
    every = f"{options.every:g}{'' if options.quick else '-rivals'}"
    kept = options.cache / f"{name}-{start_up}-{bundle}-{every}-{rules_digest()}.json"
    if not kept.exists():
        found = make()
        with appearing(kept) as draft:
            draft.write_text(json.dumps(found))
    return dict(json.loads(kept.read_text()))


@cache
def rules_digest() -> str:
    """A digest of that code: results of older code are not reused."""
    files = sorted(path for pattern in RULES for path in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def league_forecasts(
    series: Series, span: Span, setting: Setting, forecaster: OnnxForecaster, options: argparse.Namespace
) -> BothForecasts:
    issues = Issues(span, options.every, KEPT_AHEAD_SECONDS, options.jobs)
    made = Demand(series), forecaster, setting.observing, issues
    scored_seconds = lead_seconds(setting) + SCORED_BEYOND_SECONDS
    cache = options.cache / "forecasts"
    return BothForecasts(forecasts_with_past(*made, scored_seconds, cache), forecasts_of(*made, cache))


def page(text: str, cells: Sequence[Cell], options: argparse.Namespace) -> str:
    """The complete page."""
    seen = sorted({cell.file for cell in cells if cell.is_seen})
    about = __doc__.split("\n\n", 2)[2].rsplit("The general bundle has", 1)[0].strip()
    files = sorted({cell.file for cell in cells})
    series = len({(cell.file, cell.series) for cell in cells})
    notes = [
        f"{machine()}; the last {DAYS} days of {series} series of {len(files)} files"
        f"{f', at most {options.series} of each' if options.series else ''}: {', '.join(files)}. "
        f"A forecast and a plan are made every {options.every:g} s"
        f"{'' if options.every <= SYNC_SECONDS else ', and a plan when demand rises above the last one'}.",
        f"Their bundle has learned from these files, so their figures are optimistic: {', '.join(seen)}."
        if seen
        else "No bundle has learned from the file it is judged on.",
    ]
    return "\n\n".join(["# League", *notes, about, "![u by start-up time](league.svg)", text]) + "\n"


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Write a plot of u of every one-minute series, by start-up time."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "league"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(LOSSES), figsize=(9, 4), sharey=True)
    for axis, loss in zip(axes, LOSSES, strict=True):
        start_ups = sorted({cell.start_up for cell in cells})
        for place, start_up in enumerate(start_ups):
            known = [_u(cell, loss) for cell in cells if cell.start_up == start_up and cell.step_seconds <= MINUTE]
            known = [value for value in known if math.isfinite(value)]
            axis.plot([place] * len(known), known, "o", color="#0072B2", alpha=0.5)
            if known:
                axis.plot(
                    [place - 0.25, place + 0.25], [median_of([{"u": v} for v in known], "u")[0]] * 2, color="#D55E00"
                )
        axis.axhline(1, color="grey", linestyle=":")
        axis.set(xticks=range(len(start_ups)), xticklabels=[f"{one} s" for one in start_ups], yscale="log")
        axis.set(title=f"where reactive leaves {loss} unserved", xlabel="start-up")
    axes[0].set_ylabel("unserved, over reactive's at equal cost")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _u(cell: Cell, loss: str) -> float:
    return cell.figures[f"u at {loss}"]


if __name__ == "__main__":
    sys.exit(main())

"""The general bundle next to seasonal naive and persistence, on systems that it has not learned from.

    python benchmarks/next_to_naive.py --data FILE ... [--unseen FOLDER] [--json FILE]

Other publications report forecasts this way: losses over those of a seasonal naive forecast, by geometric mean (as the
GIFT-Eval benchmark of Aksu et al., 2024, does for WQL and MASE). Each system is one file. Each of its series is judged
by time: on the last three tenths of its record, one after the other, each with naive models that are calibrated on what
came before.

    seasonal-naive, persistence   Headway's own: the same time yesterday (or last week), and the newest value; their
                                  quantiles are those of their errors, in units of the demand's changes
    sf-SeasonalNaive, sf-Naive    those of statsforecast, with its normal intervals, fitted to the week before each
                                  window. The peak is bounded by the running maximum of the steps' quantiles

--unseen: a folder with bundles general-without-SYSTEM, as `python -m training.shipped.general TRACES --keep FOLDER`
leaves them. A system that has one is judged by it; any other by the bundle that ships.

peak N min: pinball loss of the largest demand of the next N minutes, mean over the levels. WQL and MASE: of the single
steps up to two hours ahead (see training/evaluate/metrics.py). Each cell is a ratio, the geometric mean over the series
of a system; over all, the geometric mean over the systems. Below 1 the general bundle is better.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from accuracy import library_quantiles, past_before
from rpc_latency import machine

from scaler.bundle import read_bundle
from training.data.load import load
from training.data.windows import Windows
from training.errors import DataError, ModelError
from training.evaluate.folds import Fold
from training.experiment.shipped import BundleModel, shipped_for
from training.shipped.beside_naive import (
    RIVALS,
    WINDOWS,
    beside_naive,
    geometric_mean,
    no_others,
    of_systems,
    ratios,
)
from training.shipped.general import without
from training.task import DAY_SECONDS, Prediction, Task, task_for

LIBRARY = ("sf-SeasonalNaive", "sf-Naive")
STEP_SECONDS = 60
PAST_DAYS = 7
"""what the library is fitted to"""


def main() -> int:
    options = _options()
    task = task_for(STEP_SECONDS)
    rivals = RIVALS if options.no_library else (*RIVALS, *LIBRARY)
    tables, figures = [], []
    for path in options.data:
        try:
            scores, bundle = judged_system(path, task, options.unseen, options.windows, rivals)
        except (DataError, ModelError) as error:
            print(f"next_to_naive.py: {path.name}: {error}", file=sys.stderr)
            return 2
        found = ratios(scores, rivals).assign(bundle=bundle)
        figures.append(found)
        tables.append(scores)
        print(f"{path.name}: judged by {bundle}", file=sys.stderr, flush=True)
    every = pd.concat(figures, ignore_index=True)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(machine(), highlight=False)
    for rival in rivals:
        _print(console, every, rival)
    if options.json:
        found = {"machine": machine(), "summary": summary(every, rivals), "series": every.to_dict("records")}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def judged_system(
    path: Path, task: Task, unseen: Path | None, count: int, rivals: Sequence[str]
) -> tuple[pd.DataFrame, str]:
    """(a row per model and series, with a column per figure; the bundle that answered)"""
    loaded = load([path])
    if not loaded.series:
        raise DataError("; ".join(map(str, loaded.refused)) or "no series")
    general = _general(task, loaded.series[0].system, unseen)
    others = _library if set(rivals) & set(LIBRARY) else no_others
    return beside_naive(loaded.series, task, general.predict_quantiles, count, others), general.name


def summary(every: pd.DataFrame, rivals: Sequence[str]) -> dict[str, float]:
    """FIGURE_over_RIVAL, over all systems and for each."""
    found: dict[str, float] = {}
    for rival in rivals:
        by_system = of_systems(every, rival)
        for place, row in [("", geometric_mean(by_system)), *((f"_{name}", row) for name, row in by_system.iterrows())]:
            for figure, value in row.items():
                found[f"{figure}_over_{rival}{place}".replace(" ", "_")] = round(float(value), 4)
        mine = every[every["rival"] == rival]
        found[f"better_on_over_{rival}"] = int((mine["peak 5 min"] < 1).sum())
    found["series"], found["systems"] = int(every["series"].nunique()), int(every["system"].nunique())
    return found


def _general(task: Task, system: str, unseen: Path | None) -> BundleModel:
    """The bundle for a system: one that has not learned from it, if there is one."""
    folder = unseen and unseen / without(system)
    if folder and folder.is_dir():
        return BundleModel(read_bundle(folder))
    shipped = shipped_for(task)
    assert shipped is not None
    return shipped


def _library(fold: Fold, task: Task, test: Windows) -> dict[str, Prediction]:
    from statsforecast.models import Naive
    from statsforecast.models import SeasonalNaive as SameTimeYesterday

    models = {"sf-SeasonalNaive": SameTimeYesterday(DAY_SECONDS // task.grid.step_seconds), "sf-Naive": Naive()}
    pasts = [past_before(task, fold, test, row, PAST_DAYS) for row in range(len(test))]
    found = {}
    for name, model in models.items():
        quantiles = np.stack([library_quantiles(model, past, task) for past in pasts])
        peaks = np.maximum.accumulate(quantiles, axis=1)[:, np.asarray(task.peak_steps) - 1]
        found[name] = Prediction(quantiles, peaks)
    return found


def _print(console: Console, every: pd.DataFrame, rival: str) -> None:
    by_system = of_systems(every, rival)
    table = Table(title=f"general over {rival}", title_justify="left")
    table.add_column("system", no_wrap=True)
    for name in ("series", *by_system.columns):
        table.add_column(name, justify="right")
    counts = every[every["rival"] == rival].groupby("system", sort=False)["series"].nunique()
    rows: Iterator[tuple[Any, Any]] = by_system.iterrows()
    for system, row in rows:
        table.add_row(str(system), str(counts[system]), *(f"{value:.2f}" for value in row))
    table.add_row("all systems", str(counts.sum()), *(f"{value:.2f}" for value in geometric_mean(by_system)))
    console.print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", action="extend", required=True, help="a system each, by minute")
    parser.add_argument("--unseen", type=Path, help="folder of bundles that have not learned from a system")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="judged windows of each series and tenth at most")
    parser.add_argument("--no-library", action="store_true", help="without statsforecast")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    raise SystemExit(main())

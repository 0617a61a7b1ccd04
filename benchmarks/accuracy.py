"""How good forecasts are and what they take: Headway's models next to a public library's, on exactly the same windows.

    python benchmarks/accuracy.py [--quick] [--json FILE] [--data FILE ...] [--models NAMES] [--step 5m ...]

Each recipe is fitted to all series at once, on all but their newest tenth, and judged there through its exported graph.
Next to it stand the two naive models, each bundle that ships with the package and is on this grid, and statsforecast:

    sf-SeasonalNaive  the same time yesterday
    sf-MSTL           its trend by AutoETS, its daily season as it was. STL's smoothers skip a tenth of a season, as R's
                      do: the forecasts hardly differ, and take a fourth of the time or less
    sf-AutoETS        without a season: its smoothing holds 24 seasonal states, and a day has more steps

The library is fitted anew to the week before each window (gaps interpolated linearly), as is usual with it; a longer
past (--past-days) served it little better, a weekly season worse. Its prediction intervals give the quantiles. It says
nothing of the peak, which is bounded by the running maximum of the steps' quantiles: exact where the deciding window is
one step (--step 5m), else the quantile of the peak is at least that.

peak loss: pinball loss of the largest demand of the next 5 minutes (one step, where that is longer), relative to mean
demand, mean over the levels; median over series. ratio: to the better naive model of each series. p90: share of truths
at or below. MAPE: on the strongly seasonal series alone (daily R² above 0.8); 24 hours ahead is seen on grids of 15
minutes and coarser. Seconds are those of one core; what is fitted to all series at once takes its share for each. Where
a shipped bundle learnt from the same recordings, its scores flatter it. --quick tries everything and says little.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from typing import Any

import durationpy
import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpc_latency import machine

from scaler.bundle import Manifest, find_bundles, read_bundle
from scaler.bundle.signature import PEAKS, QUANTILES
from scaler.errors import HeadwayError
from scaler.forecast.catalog import SHIPPED
from scaler.forecast.onnx_forecaster import CHUNK, open_graph, run
from scaler.series import Floats
from training.data.clean import clean, without_marked
from training.data.load import Series, load
from training.data.resample import on_step, usual_step
from training.data.windows import Past, Windows
from training.errors import DataError
from training.evaluate.compare import STRONGLY_SEASONAL, Comparison, Cost, compare
from training.evaluate.folds import Fold, by_time, training_of, windows_of
from training.models import Model, Training
from training.models.naive import Persistence, SeasonalNaive
from training.recipes import RECIPES, Effort, Recipe
from training.task import DAY_SECONDS, Prediction, Task, task_for

DEMO_DATA = SHIPPED.parents[1] / "commands" / "demo" / "data" / "workloads.csv.gz"
LIBRARY = "sf-"
"""how the names of statsforecast's models begin"""
SHIPS = "shipped-"
MAPE_LEADS = {"mape_15m": 900, "mape_24h": DAY_SECONDS}
TIMED_WINDOWS = 512
"""the least number of windows in a timed run"""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much is fitted and judged."""

    series: int | None
    """of each file at most; None: all"""
    windows: int | None
    """of each series to learn from; None: as the recipe says"""
    held_out: int | None
    judged: int
    """windows of each series"""
    past_days: int
    """what the library is fitted to"""


QUICK = Lengths(series=3, windows=150, held_out=50, judged=5, past_days=3)
FULL = Lengths(series=None, windows=None, held_out=None, judged=30, past_days=7)


@dataclass(frozen=True, slots=True)
class Entrant:
    """What one model said of the windows, and the seconds it took."""

    name: str
    prediction: Prediction
    fit_seconds: float
    """per series"""
    answer_seconds: float
    """per window"""


@dataclass(slots=True)
class Report:
    """Everything measured: `summary` is flat, `tables` are what is printed."""

    summary: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    """models that could not be fitted or asked, and why"""

    def fails(self, model: str, error: Exception) -> None:
        self.failed.append(f"{model}: {error}")
        print(f"failed: {self.failed[-1]}", file=sys.stderr)


def main() -> int:
    options = _options()
    lengths = _lengths(options)
    report = Report()
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(machine(), highlight=False)
    try:
        folds = _folds(options, lengths)
    except (DataError, ValueError) as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 2
    for task, fold in folds:
        for refused in fold.left_out:
            print(f"left out: {refused}", file=sys.stderr)
        measure(report, console, task, fold, options.models, lengths)
    if options.json:
        found = {"machine": machine(), "summary": report.summary, "tables": report.tables, "failed": report.failed}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if report.failed else 0


def _folds(options: argparse.Namespace, lengths: Lengths) -> list[tuple[Task, Fold]]:
    """A task and its split per step asked for. Raises DataError or ValueError where there is nothing to judge."""
    loaded = load(options.data, options.timezone)
    for refused in loaded.refused:
        print(f"left out: {refused}", file=sys.stderr)
    if not loaded.series:
        raise DataError("no series can be used")
    tasks = [task_for(step) for step in options.step or [usual_step(loaded.series)]]
    return [(task, _fold(on_step(loaded, task.grid.step_seconds).series, task, lengths)) for task in tasks]


def _fold(series: Sequence[Series], task: Task, lengths: Lengths) -> Fold:
    """The newest tenth of each series is judged; of each file, series spread evenly over it."""
    systems: dict[str, list[Series]] = {}
    for one in series:
        systems.setdefault(one.system, []).append(one)
    chosen = [one for group in systems.values() for one in _spread(group, lengths.series)]
    return by_time(chosen, task, folds=1)[0]


def _spread(group: Sequence[Series], most: int | None) -> list[Series]:
    count = min(len(group), most or len(group))
    return [group[place * len(group) // count] for place in range(count)]


def measure(report: Report, console: Console, task: Task, fold: Fold, recipes: Sequence[str], lengths: Lengths) -> None:
    """Fit, ask and judge everybody on one grid; print the table and add the figures to the report."""
    test = windows_of(fold.test, task, lengths.judged)
    entrants = []
    for entrant in entered(report, task, fold, test, recipes, lengths):
        print(f"{entrant.name}: asked", file=sys.stderr, flush=True)
        entrants.append(entrant)
    costs = {e.name: Cost(e.fit_seconds, e.answer_seconds * len(test)) for e in entrants}
    comparison = compare(test, {e.name: e.prediction for e in entrants}, task, costs, examples=0)
    rows = list(figures(comparison))
    step = task.grid.step_seconds
    report.tables[f"{step} s"] = rows
    report.summary |= dict(flat(rows, step))
    report.summary |= {
        f"windows_{step}s": comparison.judged,
        f"series_{step}s": comparison.series,
        f"strongly_seasonal_{step}s": _strongly_seasonal(comparison),
    }
    _print(console, comparison, rows, lengths)


def entered(
    report: Report, task: Task, fold: Fold, test: Windows, recipes: Sequence[str], lengths: Lengths
) -> Iterator[Entrant]:
    """Everybody's answers for the windows of `test`, one model after another; the report says who fails."""
    cleaned = [clean(series) for series in fold.seen]
    everybody = {
        "persistence": Recipe(lambda _: Persistence()),
        "seasonal-naive": Recipe(lambda _: SeasonalNaive()),
        **{name: RECIPES[name](Effort(threads=1)) for name in recipes},
    }
    for name, recipe in everybody.items():
        windows, held_out = lengths.windows or recipe.windows, lengths.held_out or recipe.held_out
        cut = training_of(fold, task, windows, held_out)
        learnt, calibrated = (without_marked(part, cleaned) for part in (cut.windows, cut.held_out))
        training = Training(task, tuple(one.kept for one in cleaned), learnt, calibrated)
        try:
            yield fitted(name, recipe.make(task), training, test)
        except (HeadwayError, ValueError) as error:
            report.fails(f"{name} on the grid of {task.grid.step_seconds} s", error)
    for folder in find_bundles(SHIPPED):
        bundle = read_bundle(folder)
        if _on_grid(bundle.manifest, task):
            yield asked(SHIPS + folder.name, open_graph(bundle.graph, folder.name), test.past, nan)
    yield from library(task, fold, test, lengths.past_days)


def fitted(name: str, model: Model, training: Training, test: Windows) -> Entrant:
    """The model fitted, exported and asked."""
    began = time.perf_counter()
    model.fit(training)
    seconds = time.perf_counter() - began
    return asked(name, open_graph(model.to_onnx(), name), test.past, seconds / len(training.series))


def asked(name: str, graph: onnxruntime.InferenceSession, past: Past, fit_seconds: float) -> Entrant:
    """What a graph says, run as the scaler runs it: on one core, CHUNK windows at a time."""
    wanted = {tensor.name for tensor in graph.get_inputs()}
    inputs = {key: values for key, values in past.inputs().items() if key in wanted}
    count = -(-max(len(past), TIMED_WINDOWS) // CHUNK)
    parts, seconds = [], []
    for rows in np.array_split(np.arange(count * CHUNK) % len(past), count):
        batch = {key: values[rows] for key, values in inputs.items()}
        began = time.perf_counter()
        parts.append(run(graph, batch, name))
        seconds.append(time.perf_counter() - began)
    quantiles, peaks = (
        np.concatenate([np.asarray(part[tensor.name], np.float32) for part in parts])[: len(past)]
        for tensor in (QUANTILES, PEAKS)
    )
    return Entrant(name, Prediction(quantiles, peaks), fit_seconds, min(seconds) / CHUNK)


def _on_grid(manifest: Manifest, task: Task) -> bool:
    """Whether the bundle answers windows of this task, at its leads and levels."""
    same = task.manifest(manifest.name, manifest.version)
    fields = ("step_seconds", "steps", "horizon_steps", "coarse_seconds", "coarse_steps", "levels", "peak_steps")
    return all(getattr(manifest, name) == getattr(same, name) for name in fields) and not manifest.series


def library(task: Task, fold: Fold, test: Windows, past_days: int) -> Iterator[Entrant]:
    """statsforecast's models, each fitted to the `past_days` before each window."""
    from statsforecast.models import MSTL, AutoETS
    from statsforecast.models import SeasonalNaive as SameTimeYesterday

    season = DAY_SECONDS // task.grid.step_seconds
    skipped = max(1, season // 10)
    trend = AutoETS(season_length=1, model="ZZN")
    models = {
        "SeasonalNaive": SameTimeYesterday(season),
        "MSTL": MSTL(season, trend, {"trend_jump": skipped, "low_pass_jump": skipped}),
        "AutoETS": trend,
    }
    pasts = [past_before(task, fold, test, row, past_days) for row in range(len(test))]
    for name, model in models.items():
        began = time.perf_counter()
        quantiles = np.stack([library_quantiles(model, past, task) for past in pasts])
        seconds = (time.perf_counter() - began) / len(pasts)
        peaks = np.maximum.accumulate(quantiles, axis=1)[:, np.asarray(task.peak_steps) - 1]
        yield Entrant(LIBRARY + name, Prediction(quantiles, peaks), seconds, seconds)


def past_before(task: Task, fold: Fold, test: Windows, row: int, days: int) -> Floats:
    """Demand of the days before a window, gaps interpolated; empty where that is less than two days, or unknown."""
    series = fold.test[int(test.series_N[row])].series
    place = round((test.cutoff_N[row] - series.start) / series.step_seconds)
    season = DAY_SECONDS // task.grid.step_seconds
    past = series.values[max(0, place - days * season) : place]
    known = np.flatnonzero(~np.isnan(past))
    if len(past) < 2 * season or not len(known):
        return np.empty(0, np.float32)
    return np.asarray(np.interp(np.arange(len(past)), known, past[known]), np.float32)


def library_quantiles(model: Any, past: Floats, task: Task) -> Floats:
    """Quantiles of each step, by the model's prediction intervals; NaN without a past. [H, Q]"""
    if not len(past):
        return np.full((task.horizon_steps, len(task.levels)), np.nan, np.float32)
    widths = {level: round(abs(200 * level - 100), 6) for level in task.levels}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = model.forecast(y=past.astype(np.float64), h=task.horizon_steps, level=sorted({*widths.values()} - {0}))
    names = ["mean" if not width else f"{'lo' if level < 0.5 else 'hi'}-{width}" for level, width in widths.items()]
    quantiles = np.sort(np.stack([said[name] for name in names], axis=1), axis=1)
    return np.asarray(np.maximum(quantiles, 0), np.float32)


def figures(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """A row per model, best first."""
    seasonal = comparison.seasonal_leads.set_index(["model", "lead_seconds"])["mape"]
    for row in comparison.summary.itertuples():
        yield {
            "model": row.model,
            "peak_loss": float(row.peak_loss),
            "ratio": float(row.median_ratio),
            "better": int(row.better),
            "p90_peak": float(row.peak_coverage),
            "p90_step": float(row.coverage),
            **{name: float(seasonal.get((row.model, lead), nan)) for name, lead in MAPE_LEADS.items()},
            "rmse": float(row.rmse),
            "fit_s_per_series": float(row.fit_seconds),
            "answer_s_10000": float(row.inference_seconds),
        }


def flat(rows: Sequence[Mapping[str, Any]], step: int) -> Iterator[tuple[str, float]]:
    """MODEL_FIGURE_STEPs, and the best ratio of what Headway fits and of the library; unknown figures are left out."""
    for row in rows:
        for name in SHOWN:
            if isfinite(row[name]):
                yield f"{row['model']}_{name}_{step}s", round(row[name], 6)
    library = [row["ratio"] for row in rows if row["model"].startswith(LIBRARY)]
    others = [row["ratio"] for row in rows if row["model"] in RECIPES and row["model"] != "naive"]
    for name, ratios in (("best_library", library), ("best", others)):
        if ratios:
            yield f"{name}_ratio_{step}s", round(min(ratios), 6)


SHOWN = {
    "peak_loss": ("peak loss", ".2%"),
    "ratio": ("ratio to naive", ".2f"),
    "better": ("better on", "d"),
    "p90_peak": ("p90 of peak", ".1%"),
    "p90_step": ("p90 of steps", ".1%"),
    "mape_15m": ("MAPE 15 min", ".1%"),
    "mape_24h": ("MAPE 24 h", ".1%"),
    "rmse": ("RMSE / mean", ".1%"),
    "fit_s_per_series": ("fit s/series", ",.3f"),
    "answer_s_10000": ("10,000 series s", ",.1f"),
}
"""the heading and the form of each figure"""


def _print(console: Console, comparison: Comparison, rows: Sequence[Mapping[str, Any]], lengths: Lengths) -> None:
    title = (
        f"step {comparison.task.grid.step_seconds} s, the peak of the next {comparison.deciding_seconds} s: "
        f"{comparison.judged} of {comparison.windows} windows, {comparison.series} series, {comparison.systems} files; "
        f"{_strongly_seasonal(comparison)} series strongly seasonal; statsforecast sees {lengths.past_days} days"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("model", no_wrap=True)
    for heading, _ in SHOWN.values():
        table.add_column(heading, justify="right")
    for row in rows:
        shown = (format(row[name], form) if isfinite(row[name]) else "–" for name, (_, form) in SHOWN.items())
        table.add_row(row["model"], *shown)
    console.print(table)
    for series in comparison.left_out:
        console.print(f"left out: {series}", highlight=False)
    for model, share in comparison.answered.items():
        if share < 1:
            console.print(f"{model} answers {share:.1%} of the windows: judged are those that everybody answers")


def _strongly_seasonal(comparison: Comparison) -> int:
    scores = comparison.scores
    return int(scores.loc[scores["daily_r2"] > STRONGLY_SEASONAL, "series"].nunique())


def _lengths(options: argparse.Namespace) -> Lengths:
    base = QUICK if options.quick else FULL
    return Lengths(
        options.series or base.series,
        base.windows,
        base.held_out,
        options.windows or base.judged,
        options.past_days or base.past_days,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few windows, briefly trained: under 50 s with the samples"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--data", type=Path, nargs="+", action="extend", help="recorded demand; default: the samples")
    parser.add_argument("--models", type=_recipes, default=_recipes("naive,mlp"), help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--step", type=_seconds, nargs="+", action="extend", help="grids; default: the data's step")
    parser.add_argument("--timezone", default="UTC", help="IANA zone of the recorded systems")
    parser.add_argument("--series", type=int, help="of each file at most")
    parser.add_argument("--windows", type=int, help="judged windows of each series at most")
    parser.add_argument("--past-days", type=int, help="what the library is fitted to")
    options = parser.parse_args()
    options.data = options.data or [DEMO_DATA]
    return options


def _recipes(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in RECIPES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: must be of {', '.join(RECIPES)}")
    return names


def _seconds(text: str) -> int:
    try:
        seconds = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        seconds = 0.0
    if seconds < 1 or seconds != int(seconds):
        raise argparse.ArgumentTypeError(f"{text!r}: must be whole seconds, such as 60s or 5m")
    return int(seconds)


if __name__ == "__main__":
    raise SystemExit(main())

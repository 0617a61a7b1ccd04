"""How good forecasts are and what they take: Headway's models next to a public library's, on exactly the same windows.

    python benchmarks/accuracy.py [--quick] [--json FILE] [--data FILE ...] [--models NAMES] [--step 5m ...]

Each recipe is fitted to all series at once, on all but their newest tenth, and judged there through its exported graph.
Next to it stand the two naive models, each bundle that ships with the package and is on this grid, and statsforecast:

    sf-SeasonalNaive  the same time yesterday
    sf-MSTL           its trend by AutoETS, its daily season as it was. STL's smoothers skip a tenth of a season, as R's
                      do: the forecasts hardly differ, and take a fourth of the time or less
    sf-AutoETS        without a season: its smoothing holds 24 seasonal states, and a day has more steps

The library is fitted anew to the days before each window (gaps interpolated linearly), as is usual with it. Its
prediction intervals give the quantiles. It says nothing of the peak, which is bounded by the running maximum of the
steps' quantiles: exact where the deciding window is one step (--step 5m), else the peak's quantile is at least that.

peak loss: pinball loss of the largest demand of the next 5 minutes, relative to mean demand, mean over the levels;
median over series. ratio: to the better naive model of each series. p90: share of truths at or below. MAPE: on the
strongly seasonal series alone (daily R² above 0.8); 24 hours ahead is seen on grids of 15 minutes and coarser.
Seconds are those of one core. Where the shipped bundle learnt from the same recordings, its scores flatter it.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from scaler.bundle import Manifest, read_bundle
from scaler.bundle.folder import Arrays
from scaler.bundle.signature import PEAKS, QUANTILES
from scaler.forecast.catalog import SHIPPED
from scaler.forecast.onnx_forecaster import CHUNK, open_bundle, open_graph, run
from scaler.series import Floats
from training.data.clean import clean, without_marked
from training.data.load import DataError, load
from training.data.resample import on_step, usual_step
from training.data.windows import Past, Windows
from training.evaluate.compare import NAIVE, STRONGLY_SEASONAL, Comparison, Cost, compare
from training.evaluate.folds import Fold, by_time, training_of, windows_of
from training.models import Model, Training
from training.models.naive import Persistence, SeasonalNaive
from training.recipes import RECIPES, Effort
from training.task import DAY_SECONDS, Prediction, Task, task_for

DEMO_DATA = SHIPPED.parents[2] / "demo_data" / "workloads.csv.gz"
LIBRARY = "sf-"
"""how the names of statsforecast's models begin"""
SHIPS = "shipped-"
MAPE_LEADS = {"mape_15m": 900, "mape_24h": DAY_SECONDS}
TIMED_WINDOWS = 512
"""a graph answers at least so many windows when it is timed"""


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


QUICK = Lengths(series=3, windows=150, held_out=50, judged=8, past_days=7)
FULL = Lengths(series=None, windows=None, held_out=None, judged=40, past_days=7)


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
    tables: dict[str, list[dict[str, object]]] = field(default_factory=dict)


def main() -> int:
    options = _options()
    lengths = _lengths(options)
    report = Report()
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(machine(), highlight=False)
    try:
        loaded = load(options.data, options.timezone)
        steps = options.step or [usual_step(loaded.series)]
        for step in steps:
            fold = _fold(on_step(loaded, step).series, task_for(step), lengths)
            measure(report, console, task_for(step), fold, options.models, lengths)
    except (DataError, ValueError) as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        figures = {"machine": machine(), "summary": report.summary, "tables": report.tables}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _fold(series: Sequence[Any], task: Task, lengths: Lengths) -> Fold:
    """The newest tenth of each series is judged; of each file, series spread evenly over it."""
    systems: dict[str, list[Any]] = {}
    for one in series:
        systems.setdefault(one.system, []).append(one)
    chosen = [one for group in systems.values() for one in _spread(group, lengths.series)]
    return by_time(chosen, task, folds=1)[0]


def _spread(group: Sequence[Any], most: int | None) -> list[Any]:
    count = min(len(group), most or len(group))
    return [group[place * len(group) // count] for place in range(count)]


def measure(report: Report, console: Console, task: Task, fold: Fold, recipes: Sequence[str], lengths: Lengths) -> None:
    """Fit, ask and judge everybody on one grid; print the table and add the figures to the report."""
    test = windows_of(fold.test, task, lengths.judged)
    entrants = []
    for entrant in entered(task, fold, test, recipes, lengths):
        print(f"{entrant.name}: asked", file=sys.stderr, flush=True)
        entrants.append(entrant)
    costs = {e.name: Cost(e.fit_seconds, e.answer_seconds * len(test)) for e in entrants}
    comparison = compare(test, {e.name: e.prediction for e in entrants}, task, costs, examples=0)
    rows = list(figures(comparison))
    step = task.grid.step_seconds
    report.tables[f"{step} s"] = rows
    report.summary |= dict(_flat(rows, step))
    _print(console, comparison, rows, lengths)


def entered(task: Task, fold: Fold, test: Windows, recipes: Sequence[str], lengths: Lengths) -> Iterator[Entrant]:
    """Everybody's answers for the windows of `test`, one model after another."""
    cleaned = [clean(series) for series in fold.seen]
    judges: dict[str, tuple[Callable[[Task], Model], int, int]] = {
        "persistence": (lambda _: Persistence(), 600, 150),
        "seasonal-naive": (lambda _: SeasonalNaive(), 600, 150),
    }
    made = {name: RECIPES[name](Effort(threads=1)) for name in recipes}
    everybody = judges | {name: (recipe.make, recipe.windows, recipe.held_out) for name, recipe in made.items()}
    for name, (make, windows, held_out) in everybody.items():
        raw = training_of(fold, task, lengths.windows or windows, lengths.held_out or held_out)
        learnt, calibrated = (without_marked(part, cleaned) for part in (raw.windows, raw.held_out))
        training = Training(task, tuple(one.kept for one in cleaned), learnt, calibrated)
        yield fitted(name, make(task), training, test)
    for folder in sorted(SHIPPED.parent.iterdir()):
        bundle = read_bundle(folder)
        if _on_grid(bundle.manifest, task):
            open_bundle(bundle, folder.name)
            yield asked(SHIPS + folder.name, open_graph(bundle.graph, folder.name), test.past, 0.0)
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
    parts = [_answers(graph, inputs, np.arange(len(past))[i : i + CHUNK], name) for i in range(0, len(past), CHUNK)]
    quantiles, peaks = (np.concatenate([part[t.name] for part in parts]) for t in (QUANTILES, PEAKS))
    count = max(1, -(-TIMED_WINDOWS // CHUNK))
    began = time.perf_counter()
    for turn in range(count):
        _answers(graph, inputs, np.arange(turn * CHUNK, (turn + 1) * CHUNK) % len(past), name)
    seconds = (time.perf_counter() - began) / (count * CHUNK)
    return Entrant(
        name, Prediction(np.asarray(quantiles, np.float32), np.asarray(peaks, np.float32)), fit_seconds, seconds
    )


def _answers(graph: onnxruntime.InferenceSession, inputs: Arrays, rows: Any, name: str) -> Arrays:
    return run(graph, {key: values[rows] for key, values in inputs.items()}, name)


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
    pasts = [_before(task, fold, test, row, past_days) for row in range(len(test))]
    for name, model in models.items():
        began = time.perf_counter()
        quantiles = np.stack([_of_library(model, past, task) for past in pasts])
        seconds = (time.perf_counter() - began) / len(pasts)
        peaks = np.maximum.accumulate(quantiles, axis=1)[:, np.asarray(task.peak_steps) - 1]
        yield Entrant(LIBRARY + name, Prediction(quantiles, peaks), seconds, seconds)


def _before(task: Task, fold: Fold, test: Windows, row: int, days: int) -> Floats:
    """Demand of the days before a window, gaps interpolated; empty where that is less than two days, or unknown."""
    series = fold.test[int(test.series_N[row])].series
    place = round((test.cutoff_N[row] - series.start) / series.step_seconds)
    season = DAY_SECONDS // task.grid.step_seconds
    past = series.values[max(0, place - days * season) : place]
    known = np.flatnonzero(~np.isnan(past))
    if len(past) < 2 * season or not len(known):
        return np.empty(0, np.float32)
    return np.asarray(np.interp(np.arange(len(past)), known, past[known]), np.float32)


def _of_library(model: Any, past: Floats, task: Task) -> Floats:
    """Quantiles of each step, by the model's prediction intervals; NaN without a past. [H, Q]"""
    if not len(past):
        return np.full((task.horizon_steps, len(task.levels)), np.nan, np.float32)
    widths = {level: round(abs(200 * level - 100)) for level in task.levels}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = model.forecast(y=past.astype(np.float64), h=task.horizon_steps, level=sorted({*widths.values()} - {0}))
    names = ["mean" if not width else f"{'lo' if level < 0.5 else 'hi'}-{width}" for level, width in widths.items()]
    quantiles = np.sort(np.stack([said[name] for name in names], axis=1), axis=1)
    return np.asarray(np.maximum(quantiles, 0), np.float32)


def figures(comparison: Comparison) -> Iterator[dict[str, object]]:
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


def _flat(rows: Sequence[Mapping[str, object]], step: int) -> Iterator[tuple[str, float]]:
    """model_figure_step, and the best ratio of what Headway learns; a figure that is not known is left out."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float | int) and isfinite(value):
                yield f"{row['model']}_{name}_{step}s", round(float(value), 6)
    ours = [row["ratio"] for row in rows if not str(row["model"]).startswith((LIBRARY, SHIPS, "naive", *NAIVE))]
    if ours:
        yield f"best_ratio_{step}s", round(min(float(str(ratio)) for ratio in ours), 6)


SHOWN = {
    "peak_loss": ("peak loss", ".2%"),
    "ratio": ("ratio to the better naive", ".3f"),
    "better": ("series better", "d"),
    "p90_peak": ("p90 of the peak held", ".1%"),
    "p90_step": ("p90 of steps held", ".1%"),
    "mape_15m": ("MAPE at 15 min", ".1%"),
    "mape_24h": ("MAPE at 24 h", ".1%"),
    "rmse": ("RMSE / mean", ".1%"),
    "fit_s_per_series": ("fit, s a series", ".3g"),
    "answer_s_10000": ("answer 10,000, s", ".3g"),
}
"""the heading and the form of each figure"""


def _print(console: Console, comparison: Comparison, rows: Sequence[Mapping[str, Any]], lengths: Lengths) -> None:
    r2 = comparison.scores.groupby("series")["daily_r2"].first()
    title = (
        f"step {comparison.task.grid.step_seconds} s: {comparison.judged} of {comparison.windows} windows of "
        f"{comparison.series} series in {comparison.systems} files, {int((r2 > STRONGLY_SEASONAL).sum())} of them "
        f"strongly seasonal; peaks of the next {comparison.deciding_seconds} s; statsforecast sees {lengths.past_days} days"
    )
    table = Table("model", *(heading for heading, _ in SHOWN.values()), title=title, title_justify="left")
    for row in rows:
        told = (format(row[name], form) if isfinite(row[name]) else "–" for name, (_, form) in SHOWN.items())
        table.add_row(str(row["model"]), *told)
    console.print(table)
    for note in (*comparison.left_out, *_unanswered(comparison)):
        console.print(note, highlight=False)


def _unanswered(comparison: Comparison) -> Iterator[str]:
    for model, share in comparison.answered.items():
        if share < 1:
            yield f"{model}: answers {share:.1%} of the windows; only those are judged that everybody answers"


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

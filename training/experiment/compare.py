"""`headway train compare`: recipes fitted on the same folds and judged on the same windows, as a page and a table.

The two naive models always take part, and the shipped bundle if it has the same grid. Predictions come from exported
graphs, run as the scaler runs them. A recipe that fails leaves the comparison, with the reason; the others continue.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from scaler.bundle.signature import PEAKS, QUANTILES, SERIES
from scaler.files import appearing
from scaler.forecast.onnx_forecaster import CHUNK, open_graph
from training.batched import run_batched
from training.data.clean import Cleaned
from training.data.load import Loaded, Refused, Series
from training.data.windows import Past, Windows
from training.errors import ModelError, OrderRefused, RunFailed, reason_of
from training.evaluate.cases import NAIVE, answered, together
from training.evaluate.compare import Comparison, Cost, compare
from training.evaluate.folds import Fold, by_system, by_time, limit_note, windows_of
from training.evaluate.importance import importance
from training.evaluate.report import write_report
from training.experiment.country import refuse_country
from training.experiment.record import findings_of, hashes, record_of
from training.experiment.shipped import shipped_for
from training.experiment.sufficiency import Amount, split, too_little
from training.experiment.train import cleaned_of, ensure_writable, read, training_without_marked
from training.export.bundle import bundle_of, export, served
from training.export.reference import reference_cases
from training.models import Model, Training
from training.models.naive import Persistence, SeasonalNaive
from training.progress import Progress, no_progress
from training.recipes import RECIPES, Effort, Recipe
from training.task import Prediction, Task

REPORT, SCORES, RECORD = "report.html", "scores.csv", "compare.json"
TEST_WINDOWS = 150
BASELINES = {"persistence": Recipe(lambda _: Persistence()), "seasonal-naive": Recipe(lambda _: SeasonalNaive())}
ONLY_BY_TIME = "serves only the series it was fitted to, so it cannot be judged on other systems"


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """A comparison to make."""

    recipes: tuple[str, ...]
    data: tuple[Path, ...]
    out: Path
    step_seconds: int | None = None
    """None: the step that most of the series have"""
    folds: int | None = None
    """None: one by time; by system as many as there are systems"""
    by: Literal["time", "system"] = "time"
    windows: int | None = None
    """of each series to learn from; None: the recipes' own"""
    seed: int = 0
    threads: int = 1
    timezone: str = "UTC"
    country: str = ""
    """whose public holidays the recipes with Prophet learn"""


@dataclass(frozen=True, slots=True)
class Compared:
    """The result. `failed`: why a recipe is not in the comparison."""

    comparison: Comparison
    failed: Mapping[str, str]
    refused: tuple[Refused, ...]
    cleaned: tuple[Cleaned, ...]
    """each series as the last fold that learned from it saw it"""
    notes: tuple[str, ...] = ()
    """what the user should know of the comparison"""


class NotJudged(ModelError):
    """A recipe that cannot take part, with the reason."""


def compare_recipes(request: ComparisonRequest, progress: Progress = no_progress) -> Compared:
    """Fit, judge and write the report, the scores and a record into `request.out`, in place of older ones.

    Nothing is written before the end. Raises DataError or OrderRefused for unusable data or options, RunFailed if no
    recipe is left to compare, OSError if the report cannot be written.
    """
    if request.out.exists() and not request.out.is_dir():
        raise OrderRefused(f"out {str(request.out)!r}: must be a folder")
    refuse_country(request.country, request.recipes)
    progress("reading", 0.0)
    data = hashes(request.data)
    loaded, task = read(request.data, request.timezone, request.step_seconds)
    amount = _amount(request, task)
    folds = split(loaded, amount)
    ensure_writable(request.out / REPORT if request.out.is_dir() else request.out)
    candidates = _Candidates(request, task, progress, loaded, amount)
    for fold in folds:
        candidates.fit_fold(fold, last=fold is folds[-1])
    comparison = candidates.result()
    cleaned = tuple(candidates.cleaned.values())
    refused = (*loaded.refused, *dict.fromkeys(one for fold in folds for one in fold.left_out))
    record = {
        **record_of(request.data, data, request.timezone, request.threads, request.seed, task, folds[-1]),
        "series": sorted(comparison.scores["series"].unique()),
        "left_out": [*map(str, refused), *comparison.left_out],
        "findings": findings_of(cleaned),
        "recipes": list(request.recipes),
        "windows": request.windows,
        "country": request.country,
        "by": request.by,
        "folds": [fold.name for fold in folds],
        "failed": candidates.failed,
        "importance": {name: shares for name, shares in comparison.importance.items() if shares},
        "scores": json.loads(comparison.summary.to_json(orient="records")),
    }
    progress("writing", 1.0)
    _write(request.out, comparison, record)
    return Compared(comparison, candidates.failed, refused, cleaned, tuple(candidates.notes))


def _amount(request: ComparisonRequest, task: Task) -> Amount:
    """How the series are split, and the windows that the naive models learn from."""
    naive = BASELINES["persistence"]
    windows, by_systems = request.windows or naive.windows, request.by == "system"

    def folds(series: Sequence[Series]) -> tuple[Fold, ...]:
        return by_system(series, task, request.folds) if by_systems else by_time(series, task, request.folds or 1)

    return Amount(task, folds, windows, naive.held_out, (request.folds or 2) if by_systems else 1)


@dataclass
class _Candidates:
    """The recipes still in the comparison, and their predictions so far."""

    request: ComparisonRequest
    task: Task
    progress: Progress
    loaded: Loaded
    amount: Amount
    cleaned: dict[str, Cleaned] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    """in order, each once"""
    _pieces: list[tuple[Windows, dict[str, Prediction]]] = field(default_factory=list)
    _spent: dict[str, Cost] = field(default_factory=dict)
    _importance: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        effort = Effort(self.request.threads, self.request.country)
        ships = shipped_for(self.task)
        others = BASELINES | ({} if ships is None else {ships.name: Recipe(lambda _: ships)})
        self._recipes = others | {name: RECIPES[name](effort) for name in self.request.recipes}
        if self.request.by == "system":
            per_series = [name for name, recipe in self._recipes.items() if recipe.per_series]
            self._leave_out(dict.fromkeys(per_series, ONLY_BY_TIME))

    def fit_fold(self, fold: Fold, last: bool) -> None:
        """Fit all recipes to a fold and predict its test windows. Raises DataError if the fold has too little data."""
        test = windows_of(fold.test, self.task, TEST_WINDOWS)
        self.notes |= dict.fromkeys(limit_note(fold.test, self.task, TEST_WINDOWS))
        cleaned = cleaned_of(fold, self.progress)
        self.cleaned |= {one.name: one for one in cleaned}
        trainings: dict[tuple[int, int], Training] = {}
        predictions: dict[str, Prediction] = {}
        for place, (name, recipe) in enumerate(list(self._recipes.items())):
            sizes = self.request.windows or recipe.windows, recipe.held_out
            if sizes not in trainings:
                trainings[sizes] = training_without_marked(fold, self.task, cleaned, *sizes, self.request.seed)
                self.notes |= dict.fromkeys(trainings[sizes].notes)
            progress = _within(self.progress, f"{fold.name}: {place + 1} of {len(self._recipes)}, {name}")
            try:
                predictions[name], cost = self._answer(name, recipe, trainings[sizes], test, progress, last)
            except Exception as error:  # noqa: BLE001 - whatever a model raises is its own failure, not that of the others
                if name in NAIVE and isinstance(error, ModelError):
                    raise too_little(fold, cleaned, str(error), self.loaded, self.amount) from None
                self._leave_out({name: f"{fold.name}: {reason_of(error)}"})
            else:
                self._spent[name] = _sum(self._spent.get(name), cost)
        self._pieces.append((test, predictions))

    def result(self) -> Comparison:
        """All folds as one test. Raises RunFailed if there is nothing to compare."""
        if missing := [f"{name}: {self.failed[name]}" for name in NAIVE if name in self.failed]:
            raise RunFailed(f"no baseline to compare with: {'; '.join(missing)}")
        if not set(self.request.recipes) - set(self.failed):
            raise RunFailed(f"no recipe is left to compare: {_reasons(self.failed)}")
        windows, predictions = together(
            [(test, {name: predictions[name] for name in self._recipes}) for test, predictions in self._pieces]
        )
        folds = len(self._pieces)
        costs = {
            name: replace(cost, fit_seconds=cost.fit_seconds / folds)
            for name, cost in self._spent.items()
            if name in predictions
        }
        try:
            found = compare(windows, predictions, self.task, costs, seed=self.request.seed)
        except ValueError as error:
            raise RunFailed(f"the models cannot be compared: {reason_of(error)}") from error
        return replace(found, importance={name: self._importance[name] for name in predictions})

    def _answer(
        self, name: str, recipe: Recipe, training: Training, test: Windows, progress: Progress, measured: bool
    ) -> tuple[Prediction, Cost]:
        """Predictions of a freshly fitted model's graph for the test windows, and the cost.

        If `measured`, its size, and the importance of its features.
        """
        model = recipe.make(self.task)
        began = time.perf_counter()
        model.fit(training, progress)
        fitted = time.perf_counter() - began
        if model.series and self.request.by == "system":
            raise NotJudged(ONLY_BY_TIME)
        graph = model.to_onnx()
        prediction, seconds = answers_of(graph, name, test.past, bool(model.series))
        if not answered(prediction).any():
            raise NotJudged("answers none of the judged windows")
        if measured:
            progress("importance of features", 1.0)
            self._importance[name] = importance(model, test, self.task, self.request.seed)
        return prediction, Cost(fitted, seconds, _size(self.task, model, graph) if measured else 0.0)

    def _leave_out(self, reasons: Mapping[str, str]) -> None:
        self.failed |= reasons
        self._recipes = {name: recipe for name, recipe in self._recipes.items() if name not in reasons}


def answers_of(graph: bytes, name: str, past: Past, per_series: bool) -> tuple[Prediction, float]:
    """Predictions of the graph and the seconds on one core, in batches as large as the scaler's."""
    session = open_graph(graph, name)
    inputs = {key: values for key, values in past.inputs().items() if per_series or key != SERIES.name}
    run_batched(session, {key: values[:CHUNK] for key, values in inputs.items()}, name, CHUNK)
    began = time.perf_counter()
    outputs = run_batched(session, inputs, name, CHUNK)
    seconds = time.perf_counter() - began
    return Prediction(outputs[QUANTILES.name], outputs[PEAKS.name]), seconds


def _size(task: Task, model: Model, graph: bytes) -> float:
    """Bytes of the model's bundle, which is made and read back."""
    graph, series = served(graph, model.series)
    manifest = task.manifest("measured", "0", series=series)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "bundle")
        export(bundle_of(graph, manifest, reference_cases(manifest)), folder)
        return float(sum(path.stat().st_size for path in folder.iterdir()))


def _sum(before: Cost | None, more: Cost) -> Cost:
    if before is None:
        return more
    return Cost(
        before.fit_seconds + more.fit_seconds, before.inference_seconds + more.inference_seconds, more.size_bytes
    )


def _within(progress: Progress, where: str) -> Callable[[str, float], None]:
    return lambda doing, share: progress(f"{where}: {doing}", share)


def _reasons(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items())


def _write(out: Path, comparison: Comparison, record: Mapping[str, object]) -> None:
    """All files or none, in `out`."""
    out.mkdir(exist_ok=True)
    with ExitStack() as files:
        report, scores, details = (files.enter_context(appearing(out / name)) for name in (REPORT, SCORES, RECORD))
        write_report(comparison, report, scores)
        details.write_text(json.dumps(record, indent=2) + "\n")

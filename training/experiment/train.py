"""`headway train run`: data → windows → fit → scores → export → a bundle.

The same data, seed, code and packages give the same folder, byte for byte, on the same machine.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from scaler import __version__
from scaler.bundle import Bundle, checksum
from scaler.bundle.folder import FILES, replace_folder
from scaler.forecast.catalog import GENERAL
from training.data.clean import Cleaned, clean, without_counters, without_marked
from training.data.load import Loaded, load, system_of
from training.data.resample import on_step, usual_step
from training.data.windows import Windows
from training.data.without import Interval, left_out, without
from training.errors import DataError, ModelError, OrderRefused, RunFailed, reason_of
from training.evaluate.compare import Comparison, compare
from training.evaluate.folds import Fold, by_time, limit_note, training_of, windows_of
from training.evaluate.importance import importance
from training.experiment.country import refuse_country
from training.experiment.interrupts import ignore_interrupt, interruptible
from training.experiment.record import findings_of, hashes, record_of
from training.experiment.search import SPACES, Found, search
from training.experiment.shipped import shipped_for
from training.experiment.sufficiency import Amount, naive_models, split, too_little
from training.export.bundle import bundle_of, export, served
from training.export.parity import Difference, checked
from training.export.quantize import Form, quantized
from training.export.reference import reference_cases
from training.models import Model, Training
from training.progress import Progress, no_progress
from training.recipes import RECIPES, Effort, Recipe
from training.task import Prediction, Task, task_for

RECORD = "run.json"
PARITY_WINDOWS = 400
TEST_WINDOWS = 150


@dataclass(frozen=True, slots=True)
class Order:
    """A training run to make."""

    recipe: str
    data: tuple[Path, ...]
    out: Path
    step_seconds: int | None = None
    """None: the step that most of the series have"""
    seed: int = 0
    windows: int | None = None
    """of each series to learn from; None: the recipe's own"""
    threads: int = 1
    timezone: str = "UTC"
    name: str = ""
    """of the bundle; empty: the recipe's name"""
    licence: str = ""
    search_minutes: float | None = None
    """None: the recipe's defaults"""
    int8: bool = False
    """whether learned weights are kept as int8"""
    country: str = ""
    """whose public holidays a recipe with Prophet learns: ISO code of a country or of a part of it"""
    general: Path = GENERAL
    """folder of the general bundle: part of a blend, and judged next to the new model"""
    without: tuple[Interval, ...] = ()
    """stretches of series that the model does not learn from, besides those that cleaning finds"""

    @property
    def effort(self) -> Effort:
        return Effort(self.threads, self.country, self.general)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run."""

    bundle: Bundle
    comparison: Comparison
    parity: Difference
    fit: Mapping[str, float]
    loaded: Loaded
    cleaned: tuple[Cleaned, ...]
    fold: Fold
    interrupted: bool = False
    """the fit was ended early: the best so far was judged and exported"""
    found: Found | None = None
    """by the search, if requested"""
    model: str = ""
    """its name in the comparison"""
    failed: Mapping[str, str] = field(default_factory=dict)
    """series that it has no forecast for, and why"""
    forms: tuple[Form, ...] = ()
    """the graph as float32 and as int8, if requested"""
    importance: Mapping[str, float] = field(default_factory=dict)
    """see `training.evaluate.importance`; empty for a model without features"""
    notes: tuple[str, ...] = ()
    """what the user should know of the run"""


def run(order: Order, progress: Progress = no_progress, on_interrupt: Callable[[], None] = ignore_interrupt) -> Outcome:
    """Train, judge and export. The bundle is in `order.out` on return; after an error nothing there has changed.

    The first SIGINT during the fit or the search calls `on_interrupt` and ends that step with the best so far; any
    other raises KeyboardInterrupt. Raises OrderRefused before any work, DataError if no series can be used, and
    RunFailed, ParityBroken, BundleInvalid or OSError if there is nothing to export, or it cannot be written.
    """
    _refuse(order)
    recipe = RECIPES[order.recipe](order.effort)
    prepared = _prepared(order, recipe, progress)
    ensure_writable(order.out)
    found = _found(order, prepared.training, progress, on_interrupt)
    model = ((found and found.make) or recipe.make)(prepared.task)
    fit, interrupted = _fitted(model, prepared.training, progress, on_interrupt)
    progress("judging", 0.0)
    judges = [*prepared.naive_models, *filter(None, [shipped_for(prepared.task, order.general)])]
    comparison, naive = _judged(model, judges, prepared.training, prepared.test)
    progress("exporting", 0.0)
    exported = _exported(order, prepared, model, naive)
    outcome = Outcome(
        bundle=_bundle(order, prepared, model, exported.graph, comparison),
        comparison=comparison,
        parity=exported.parity,
        fit=fit,
        loaded=prepared.loaded,
        cleaned=prepared.cleaned,
        fold=prepared.fold,
        interrupted=interrupted,
        found=found,
        model=model.name,
        failed=dict(getattr(model, "failed", {})),
        forms=exported.forms,
        importance=importance(model, prepared.test, prepared.task, order.seed),
        notes=(*prepared.notes, *prepared.training.notes, *limit_note(prepared.fold.test, prepared.task, TEST_WINDOWS)),
    )
    _write(order.out, outcome.bundle, _record(order, prepared, outcome))
    progress("exporting", 1.0)
    return outcome


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that is known before the fit. data: SHA-256 of each file."""

    data: Mapping[Path, str]
    loaded: Loaded
    task: Task
    fold: Fold
    cleaned: tuple[Cleaned, ...]
    training: Training
    naive_models: Sequence[Model]
    test: Windows
    notes: tuple[str, ...] = ()


def _prepared(order: Order, recipe: Recipe, progress: Progress) -> _Prepared:
    """Read, split and clean the data, and cut the windows. Raises DataError if there is too little."""
    progress("reading", 0.0)
    data = hashes(order.data)
    loaded, task = read(order.data, order.timezone, order.step_seconds)
    windows = order.windows or recipe.windows
    amount = Amount(task, lambda series: by_time(series, task, folds=1), windows, recipe.held_out)
    (fold,) = split(loaded, amount)
    if recipe.per_series:
        _refuse_namesakes(fold, order.data)
    found = cleaned_of(fold, progress)
    cleaned = tuple(without(one, order.without) for one in found)
    notes = (left_out(found, cleaned),) if order.without else ()
    training = training_without_marked(fold, task, cleaned, windows, recipe.held_out, order.seed)
    try:
        naive = naive_models(training)
    except ModelError as error:
        raise too_little(fold, cleaned, str(error), loaded, amount) from None
    test = windows_of(fold.test, task, TEST_WINDOWS)
    return _Prepared(data, loaded, task, fold, cleaned, training, naive, test, notes)


@dataclass(frozen=True, slots=True)
class _Exported:
    graph: bytes
    parity: Difference
    forms: tuple[Form, ...] = ()


def _exported(order: Order, prepared: _Prepared, model: Model, naive: Mapping[str, Prediction]) -> _Exported:
    """The model as a graph, checked against the model; as int8 if requested."""
    graph, test = model.to_onnx(), prepared.test
    some = np.arange(0, len(test), max(1, len(test) // PARITY_WINDOWS))
    parity = checked(model, graph, test.take(some).past, order.seed)
    if not order.int8:
        return _Exported(graph, parity)
    graph, forms = _quantized(model, graph, test, prepared.task, naive)
    return _Exported(graph, parity, forms)


def _record(order: Order, prepared: _Prepared, outcome: Outcome) -> dict[str, object]:
    """Input and result of the run, for JSON."""
    comparison = outcome.comparison
    left_out = (*prepared.loaded.refused, *prepared.fold.left_out, *comparison.left_out)
    return {
        **record_of(order.data, prepared.data, order.timezone, order.threads, order.seed, prepared.task, prepared.fold),
        "left_out": list(map(str, left_out)),
        "findings": findings_of(prepared.cleaned),
        "recipe": order.recipe,
        "learned_until": max(part.until for part in prepared.fold.held_out),
        "model": outcome.model,
        "windows": order.windows,
        "country": order.country,
        "search": outcome.found and outcome.found.record,
        "interrupted": outcome.interrupted,
        "failed": dict(outcome.failed),
        "fit": {name: float(value) for name, value in outcome.fit.items()},
        "importance": dict(outcome.importance),
        "parity": asdict(outcome.parity),
        "scores": json.loads(comparison.summary.drop(columns=_TIMED).to_json(orient="records")),
        "int8": order.int8,
    }


def read(data: Sequence[Path], timezone: str, step_seconds: int | None) -> tuple[Loaded, Task]:
    """The usable series on one step, and the task for it.

    Raises DataError, or OrderRefused for a step without a task.
    """
    loaded = without_counters(load(data, timezone))
    if not loaded.series:
        raise DataError(f"no series can be used: {'; '.join(map(str, loaded.refused[:5]))}")
    try:
        task = task_for(step_seconds or usual_step(loaded.series))
    except ModelError as error:
        raise OrderRefused(str(error)) from None
    return on_step(loaded, task.grid.step_seconds), task


def cleaned_of(fold: Fold, progress: Progress) -> tuple[Cleaned, ...]:
    """Each series of the fold as a fit may see it, cleaned."""
    found = []
    for place, series in enumerate(fold.seen):
        progress("cleaning", place / len(fold.seen))
        found.append(clean(series))
    return tuple(found)


def training_without_marked(
    fold: Fold, task: Task, cleaned: Sequence[Cleaned], windows: int, held_out: int, seed: int
) -> Training:
    """`training_of` the fold, without the parts of windows that cleaning marked."""
    raw = training_of(fold, task, windows, held_out, seed)
    kept = [without_marked(part, cleaned) for part in (raw.windows, raw.held_out)]
    return Training(task, tuple(one.kept for one in cleaned), kept[0], kept[1], seed, raw.notes)


def ensure_writable(folder: Path) -> None:
    """Make the parent of `folder` and check that it can be written to. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent):
        pass


def _refuse(order: Order) -> None:
    """Raise OrderRefused for errors that are known before the work starts."""
    if order.search_minutes is not None and order.recipe not in SPACES:
        raise OrderRefused(f"recipe {order.recipe!r} has no hyperparameters to search; these have: {', '.join(SPACES)}")
    refuse_country(order.country, [order.recipe])
    name = order.name or order.recipe
    try:
        Task().manifest(name, "0")
    except ValueError:
        rule = "must be at most 63 of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
        raise OrderRefused(f"name {name!r}: {rule}") from None
    if order.out.is_symlink():
        raise OrderRefused(f"out {str(order.out)!r}: is a symbolic link; name the folder that it points to")
    if order.out.exists() and not _ours(order.out):
        raise OrderRefused(f"out {str(order.out)!r}: contains other files than a bundle, which would be lost")


def _ours(folder: Path) -> bool:
    """It contains only files of a run."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {*FILES, RECORD}


def _refuse_namesakes(fold: Fold, data: Sequence[Path]) -> None:
    """Raises OrderRefused if two series would have the same trigger, which identifies a series of a bundle."""
    systems: dict[str, list[str]] = {}
    for one in fold.seen:
        systems.setdefault(_trigger(f"{one.system}/{one.name}"), []).append(one.system)
    for trigger, among in systems.items():
        if len(among) > 1:
            files = ", ".join(path.name for path in data if system_of(path) in among)
            rule = "a model fitted to single series identifies them by name; remove it from all files but one"
            raise OrderRefused(f"series {trigger!r}: is in {files}: {rule}")


def _found(order: Order, training: Training, progress: Progress, on_interrupt: Callable[[], None]) -> Found | None:
    if order.search_minutes is None:
        return None
    try:
        with interruptible(progress, on_interrupt) as (progress, _):
            return search(order.recipe, training, order.search_minutes, order.effort, progress)
    except (ValueError, RuntimeError) as error:
        raise RunFailed(f"{order.recipe}: the search failed: {reason_of(error)}") from error


def _fitted(
    model: Model, training: Training, progress: Progress, on_interrupt: Callable[[], None]
) -> tuple[Mapping[str, float], bool]:
    """(figures of the fit, whether it was ended early)."""
    try:
        with interruptible(progress, on_interrupt) as (progress, interrupts):
            figures = model.fit(training, progress)
    except (ValueError, RuntimeError) as error:
        raise RunFailed(f"{model.name}: cannot be fitted: {reason_of(error)}") from error
    return figures, interrupts.passed_on or bool(figures.get("interrupted"))


def _judged(
    model: Model, judges: Sequence[Model], training: Training, test: Windows
) -> tuple[Comparison, Mapping[str, Prediction]]:
    """(the comparison of the model with the others; the predictions of these)"""
    try:
        naive = {one.name: one.predict_quantiles(test.past) for one in judges}
        return compare(test, {**naive, model.name: model.predict_quantiles(test.past)}, training.task), naive
    except ValueError as error:
        raise RunFailed(f"{model.name}: cannot be judged: {reason_of(error)}") from error


def _quantized(
    model: Model, graph: bytes, test: Windows, task: Task, naive: Mapping[str, Prediction]
) -> tuple[bytes, tuple[Form, ...]]:
    try:
        return quantized(model, graph, test, task, naive)
    except ValueError as error:
        raise RunFailed(f"int8: {reason_of(error)}") from error


def _bundle(order: Order, prepared: _Prepared, model: Model, graph: bytes, comparison: Comparison) -> Bundle:
    """The bundle; its version is the graph's checksum, so that equal graphs have equal names."""
    origin = {
        "method": order.recipe,
        "data": ", ".join(f"{path.name} {digest[:12]}" for path, digest in prepared.data.items()),
        "code": f"headway {__version__}",
        "seed": str(order.seed),
    }
    graph, series = served(graph, model.series)
    try:
        manifest = prepared.task.manifest(
            order.name or order.recipe,
            checksum(graph)[:8],
            trained=origin,
            scores=_scores(comparison, model.name),
            data_licence=order.licence,
            series=tuple(map(_trigger, series)),
        )
    except ValidationError as error:
        fields = ", ".join(dict.fromkeys(".".join(map(str, fault["loc"])) for fault in error.errors()))
        raise RunFailed(f"{model.name}: no manifest can hold its {fields}") from error
    return bundle_of(graph, manifest, reference_cases(manifest, int(max(one.end for one in prepared.loaded.series))))


def _trigger(name: str) -> str:
    """system/series → namespace/name of the trigger: the series' own name if that has both."""
    series = name.partition("/")[2]
    return series if "/" in series else name


def _scores(comparison: Comparison, model: str) -> dict[str, float]:
    """The known scores."""
    row = comparison.summary.set_index("model").loc[model]
    wanted = ("peak_loss", "peak_loss_at_level", "wql", "peak_coverage", "coverage")
    scores = {**{name: float(row[name]) for name in wanted}, "peak_loss_over_better_naive": float(row["median_ratio"])}
    return {name: round(value, 6) for name, value in scores.items() if isfinite(value)}


def _write(out: Path, bundle: Bundle, record: Mapping[str, object]) -> None:
    """The bundle and the record of the run in place of `out`, all or nothing."""
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        made = Path(temporary, "bundle")
        export(bundle, made)
        (made / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        replace_folder(made, out)


_TIMED = ["fit_seconds", "inference_seconds", "size_bytes"]
"""columns of the summary that differ from run to run, or are not measured here"""

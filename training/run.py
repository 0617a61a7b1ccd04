"""`headway train run`: data → windows → fit → scores → export → a bundle. `run` is the table of contents.

The same data, seed, code and packages give the same folder, byte for byte, on the same machine.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from scaler import __version__
from scaler.bundle import Bundle
from training.data.clean import Cleaned, clean, without_marked
from training.data.load import DataError, Loaded, load
from training.data.resample import on_step, usual_step
from training.evaluate.compare import Comparison, compare
from training.evaluate.folds import Fold, by_time, training_of, windows_of
from training.export import bundle_of, export
from training.models import Model, Progress, Training, silent
from training.models.naive import Persistence, SeasonalNaive
from training.parity import Difference, checked
from training.recipes import RECIPES, Effort
from training.reference import reference_cases
from training.task import Task, task_for

RECORD = "run.json"
PACKAGES = ("numpy", "pandas", "onnx", "onnxruntime", "onnxscript", "torch", "xgboost-cpu", "prophet", "scikit-learn")
PARITY_WINDOWS = 400
TEST_WINDOWS = 150


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is asked for."""

    recipe: str
    data: tuple[Path, ...]
    out: Path
    step_seconds: int | None = None
    """None: the step that most of the series have"""
    seed: int = 0
    windows: int | None = None
    """of each series to learn from; None: as the recipe says"""
    threads: int = 1
    timezone: str = "UTC"
    name: str = ""
    """of the bundle; empty: the recipe's"""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    bundle: Bundle
    comparison: Comparison
    parity: Difference
    fit: Mapping[str, float]
    loaded: Loaded
    cleaned: tuple[Cleaned, ...]
    fold: Fold


def run(order: Order, progress: Progress = silent) -> Outcome:
    """Train, judge and export; the bundle lies in `order.out` when this returns.

    Raises DataError where no series can be used, ParityBroken or BundleInvalid where the export is not what was fitted.
    """
    recipe = RECIPES[order.recipe](Effort(order.threads))
    progress("reading", 0.0)
    loaded = load(order.data, order.timezone)
    task = task_for(order.step_seconds or _step_of(loaded))
    loaded = on_step(loaded, task.grid.step_seconds)
    fold = _fold(loaded, task)
    cleaned = _cleaned(fold, progress)
    training = training_of(fold, task, order.windows or recipe.windows, recipe.held_out, order.seed)
    training = _without_marked(training, cleaned)
    test = windows_of(fold.test, task, TEST_WINDOWS)
    model = recipe.make(task)
    fit = model.fit(training, progress)
    progress("judging", 0.0)
    judges: list[Model] = [Persistence(), SeasonalNaive()]
    for judge in judges:
        judge.fit(training)
    models = {one.name: one for one in (*judges, model)}
    predictions = {name: one.predict_quantiles(test.past) for name, one in models.items()}
    comparison = compare(test, predictions, task)
    progress("exporting", 0.0)
    graph = model.to_onnx()
    some = np.arange(0, len(test), max(1, len(test) // PARITY_WINDOWS))
    parity = checked(model, graph, test.take(some).past, order.seed)
    bundle = _bundle(order, task, model, graph, comparison, loaded)
    _write(order, bundle, fit, parity, comparison, fold)
    progress("exporting", 1.0)
    return Outcome(bundle, comparison, parity, fit, loaded, cleaned, fold)


def _step_of(loaded: Loaded) -> int:
    if not loaded.series:
        raise DataError(f"no series can be used: {'; '.join(map(str, loaded.refused[:5]))}")
    return usual_step(loaded.series)


def _fold(loaded: Loaded, task: Task) -> Fold:
    """The last tenth of each series is for judging, the tenth before it is held out."""
    try:
        return by_time(loaded.series, task, folds=1)[0]
    except ValueError as error:
        refused = "; ".join(map(str, loaded.refused[:5]))
        raise DataError(f"nothing to train on: {error}{'; ' if refused else ''}{refused}") from None


def _cleaned(fold: Fold, progress: Progress) -> tuple[Cleaned, ...]:
    found = []
    for place, series in enumerate(fold.seen):
        progress("cleaning", place / len(fold.seen))
        found.append(clean(series))
    return tuple(found)


def _without_marked(training: Training, cleaned: Sequence[Cleaned]) -> Training:
    windows, held_out = (without_marked(part, cleaned) for part in (training.windows, training.held_out))
    return Training(training.task, tuple(one.kept for one in cleaned), windows, held_out, training.seed)


def _bundle(order: Order, task: Task, model: Model, graph: bytes, comparison: Comparison, loaded: Loaded) -> Bundle:
    data = _hash(order.data)
    end = int(max(one.end for one in loaded.series))
    told = {
        "method": order.recipe,
        "data": ", ".join(f"{path.name} {digest[:12]}" for path, digest in data.items()),
        "code": f"headway {__version__}",
        "seed": str(order.seed),
    }
    joined = hashlib.sha256("".join([*data.values(), order.recipe, str(order.seed)]).encode()).hexdigest()
    manifest = task.manifest(
        order.name or order.recipe,
        joined[:8],
        trained=told,
        scores=_scores(comparison, model.name),
        data_licence=order.licence,
        series=tuple(_trigger(name) for name in model.series),
    )
    return bundle_of(graph, manifest, reference_cases(manifest, end))


def _trigger(name: str) -> str:
    """system/series → namespace/name of the trigger: the series' own name where that has both."""
    series = name.partition("/")[2]
    return series if "/" in series else name


def _scores(comparison: Comparison, model: str) -> dict[str, float]:
    row = comparison.summary.set_index("model").loc[model]
    wanted = ("peak_loss", "peak_loss_at_level", "wql", "peak_coverage", "coverage")
    against = {"peak_loss_over_better_naive": float(row["median_ratio"])}
    return {name: round(value, 6) for name, value in {**{n: float(row[n]) for n in wanted}, **against}.items()}


def _hash(paths: Sequence[Path]) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _write(
    order: Order, bundle: Bundle, fit: Mapping[str, float], parity: Difference, comparison: Comparison, fold: Fold
) -> None:
    """The bundle and the record of the run in place of `order.out`, all or nothing."""
    record = {
        "recipe": order.recipe,
        "data": {path.name: digest for path, digest in _hash(order.data).items()},
        "step_seconds": bundle.manifest.step_seconds,
        "seed": order.seed,
        "threads": order.threads,
        "timezone": order.timezone,
        "windows": order.windows,
        "headway": __version__,
        "packages": {name: version(name) for name in PACKAGES},
        "series": [f"{part.series.system}/{part.series.name}" for part in fold.train],
        "left_out": [str(one) for one in fold.left_out],
        "fit": {name: float(value) for name, value in fit.items()},
        "parity": asdict(parity),
        "scores": json.loads(comparison.summary.drop(columns=_TIMED).to_json(orient="records")),
    }
    order.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{order.out.name}-", dir=order.out.parent) as temporary:
        made = Path(temporary, "bundle")
        export(bundle, made)
        (made / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        if order.out.exists():
            order.out.rename(Path(temporary, "old"))
        made.rename(order.out)


_TIMED = ["fit_seconds", "inference_seconds", "size_bytes"]
"""columns of the summary that differ from run to run, or are not measured here"""

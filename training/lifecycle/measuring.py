"""The figures that the gate looks at: the challenger beside the champion, on recorded demand that it has not learned.

Axes: N windows, H future steps, W window lengths, Q levels.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from scaler.bundle.folder import FILES
from scaler.forecast.catalog import GENERAL
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster
from scaler.series import HistoryBatch
from training.data.windows import Windows
from training.errors import ModelError
from training.evaluate.cases import BY_DEFAULT, Evaluation, answered, cases_of
from training.evaluate.folds import Part, by_time, windows_of
from training.evaluate.tables import series_scores
from training.experiment.train import RECORD, TEST_WINDOWS, read
from training.lifecycle.gate import Measured, Replayed, SeriesFigures
from training.lifecycle.replaying import Scaling, assumed, chosen, replays_of
from training.progress import Progress, no_progress
from training.replay.input.case import open_forecaster
from training.replay.simulation.forecasts import trigger_key
from training.task import Prediction, Task

TIMED_WINDOWS, TIMED_RUNS = 256, 3
CHALLENGER, CHAMPION = "challenger", "champion"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is measured. data: recorded demand, the newest of it not learned from. scalings: by series' name."""

    challenger: Path
    champion: Path | None
    """folder of the bundle that serves now; None: the general one"""
    data: tuple[Path, ...]
    timezone: str = "UTC"
    scalings: Mapping[str, Scaling] = field(default_factory=dict)
    replay_days: float = 2.0
    most_replayed: int = 20
    jobs: int = 1


Remember = Callable[[str, Callable[[], Any]], Any]
"""(name, work) → the result of work, which is JSON; an interrupted measurement finds it again"""


def measured(
    trial: Trial, progress: Progress = no_progress, remember: Remember = lambda name, work: work()
) -> Measured:
    """Both bundles on the same windows and in the same replays.

    Windows begin after the newest demand that the challenger has learned from, by the record of its run, and in the
    newest tenth of the data. Raises DataError or BundleInvalid for input that cannot be used.
    """
    forecasters = {CHALLENGER: open_forecaster(trial.challenger), CHAMPION: open_forecaster(trial.champion)}
    record = record_of_run(trial.challenger)
    progress("reading", 0.0)
    loaded, task = read(trial.data, trial.timezone, forecasters[CHALLENGER].manifest.step_seconds)
    parts, incomparable = _parts(loaded.series, task, record)
    parts = [part for part in parts if forecasters[CHALLENGER].serves(trigger_key(part.series))]
    if forecasters[CHALLENGER].grid != forecasters[CHAMPION].grid:
        incomparable = f"{forecasters[CHAMPION].model} reads another grid"
    series: dict[str, SeriesFigures] = {}
    seconds = dict.fromkeys(forecasters, math.nan)
    if not incomparable and parts:
        progress("judging", 0.0)
        windows = windows_of(parts, task, TEST_WINDOWS)
        losses = _losses(windows, forecasters, task)
        seconds = _seconds(windows, trial)
        series = _with_replays(losses, parts, trial, progress, remember)
    return Measured(
        challenger=forecasters[CHALLENGER].model,
        champion=forecasters[CHAMPION].model,
        series=series,
        over_naive=_over_naive(record),
        parity=float(record.get("parity", {}).get("largest", math.nan)),
        size_bytes=_size(trial.challenger),
        champion_size_bytes=_size(trial.champion or GENERAL),
        seconds=seconds[CHALLENGER],
        champion_seconds=seconds[CHAMPION],
        incomparable=incomparable,
    )


def record_of_run(folder: Path) -> Mapping[str, Any]:
    """The record of the training run beside a bundle; empty where there is none."""
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def answers(forecaster: OnnxForecaster, windows: Windows) -> Prediction:
    """What the scaler would forecast at each window; NaN where it has no forecast."""
    keys = [f"{_trigger(name)}/window" for name in windows.names]
    past = windows.past
    batch = HistoryBatch(
        [keys[place] for place in windows.series_N.tolist()],
        float(windows.cutoff_N[0]),
        past.history_NT,
        past.long_history_NL2,
        past.local_time_N,
    )
    manifest = forecaster.manifest
    sizes = len(windows), manifest.horizon_steps, len(manifest.peak_steps), len(manifest.levels)
    quantiles_NHQ = np.full((sizes[0], sizes[1], sizes[3]), np.nan, np.float32)
    peaks_NWQ = np.full((sizes[0], sizes[2], sizes[3]), np.nan, np.float32)
    for place, forecast in enumerate(forecaster.forecast(batch)):
        if forecast is not None and forecast.peaks_WQ is not None:
            quantiles_NHQ[place], peaks_NWQ[place] = forecast.quantiles_HQ, forecast.peaks_WQ
    return Prediction(quantiles_NHQ, peaks_NWQ)


def _parts(series: Sequence[Any], task: Task, record: Mapping[str, Any]) -> tuple[list[Part], str]:
    """(the newest stretch of each series, which was not learned from; why there is none)."""
    try:
        (fold,) = by_time(series, task, folds=1)
    except ModelError as error:
        return [], str(error)
    learned_until = float(record.get("learned_until", 0.0))
    parts = [Part(one.series, max(one.since, learned_until), one.until) for one in fold.test if len(one.series.values)]
    return [one for one in parts if one.until > one.since], ""


def _losses(
    windows: Windows, forecasters: Mapping[str, OnnxForecaster], task: Task
) -> dict[str, tuple[int, float, float]]:
    """By series: windows, loss of the challenger, loss of the champion. Series without a score are missing."""
    predictions = {name: answers(one, windows) for name, one in forecasters.items()}
    rows = (~np.isnan(windows.truth.demand_NH)).any(axis=1)
    for prediction in predictions.values():
        rows &= answered(prediction)
    evaluation = Evaluation(task, BY_DEFAULT)
    cases = tuple(cases_of(windows, np.asarray(rows), evaluation))
    if not cases:
        return {}
    table = series_scores(cases, predictions, evaluation).pivot_table(
        index="series", columns="model", values="peak_loss", dropna=False
    )
    counts = {case.name: len(case.rows) for case in cases}
    return {
        str(name): (counts[name], float(row[CHALLENGER]), float(row[CHAMPION]))
        for name, row in table.dropna().iterrows()
    }


def _with_replays(
    losses: Mapping[str, tuple[int, float, float]],
    parts: Sequence[Part],
    trial: Trial,
    progress: Progress,
    remember: Remember,
) -> dict[str, SeriesFigures]:
    """The figures of each series: those that were chosen are replayed, on `trial.jobs` cores."""
    by_name = {f"{part.series.system}/{part.series.name}": part for part in parts}
    scalings = {name: trial.scalings.get(_trigger(name)) or assumed(by_name[name].series) for name in losses}
    sizes = {name: float(np.nanmean(by_name[name].series.values)) / scalings[name].threshold for name in losses}
    wanted = chosen(sizes, trial.most_replayed)
    bundles = (trial.challenger, trial.champion)
    found: dict[str, tuple[list[Replayed], str]] = {}
    work = (
        delayed(_remembered)(remember, name, by_name[name], trial.replay_days, scalings[name], bundles)
        for name in wanted
    )
    for name, replays in Parallel(n_jobs=trial.jobs, return_as="generator_unordered")(work):
        found[name] = replays
        progress("replaying", len(found) / len(wanted))
    return {
        name: _figures(losses[name], *found.get(name, ([], "not among those that were replayed"))) for name in losses
    }


def _remembered(
    remember: Remember, name: str, part: Part, days: float, scaling: Scaling, bundles: Sequence[Path | None]
) -> tuple[str, tuple[list[Replayed], str]]:
    def work() -> list[Any]:
        replays, note = replays_of(part.series, part.since, days, scaling, bundles)
        return [[[one.unserved, one.hours, one.reactive_unserved] for one in replays], note]

    replays, note = remember(name, work)
    return name, ([Replayed(*one) for one in replays], note)


def _figures(loss: tuple[int, float, float], replays: Sequence[Replayed], note: str) -> SeriesFigures:
    mine, theirs = replays or (None, None)
    return SeriesFigures(*loss, mine, theirs, note)


def _seconds(windows: Windows, trial: Trial) -> dict[str, float]:
    """CPU time of each bundle's graph on the same windows, the least of some runs in turns: what else runs on this
    machine does not count."""
    some = windows.take(np.arange(min(len(windows), TIMED_WINDOWS)))
    graphs = {CHALLENGER: load_forecaster(trial.challenger), CHAMPION: load_forecaster(trial.champion or GENERAL)}
    found = dict.fromkeys(graphs, math.inf)
    for _ in range(TIMED_RUNS):
        for name, graph in graphs.items():
            began = time.thread_time()
            answers(graph, some)
            found[name] = min(found[name], time.thread_time() - began)
    return found


def _over_naive(record: Mapping[str, Any]) -> float:
    """The run's own loss over that of the better naive model."""
    ratios = {row["model"]: row["median_ratio"] for row in record.get("scores", ())}
    found = ratios.get(record.get("model"))
    return math.nan if found is None else float(found)


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in FILES)


def _trigger(name: str) -> str:
    """system/series → namespace/name of its trigger, as in bundles."""
    series = name.partition("/")[2]
    return series if "/" in series else name

"""The windows to evaluate: those that every model answers, by series; and the deciding score.

Axes: N windows, H future steps, W window lengths, Q levels, L coarse past blocks.

A forecast that the scaler would refuse (not finite, negative, not ascending) is no answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats
from training.data.windows import KnownFuture, Past, Truth, Windows
from training.errors import ModelError
from training.evaluate import metrics
from training.task import DAY_SECONDS, Prediction, Task

NAIVE = ("persistence", "seasonal-naive")
Predictions = Mapping[str, Prediction]
"""predictions of each model (by name) for the same windows"""


@dataclass(frozen=True, slots=True)
class Judging:
    """The deciding score: of the peak in the first `lead_seconds`; `level` is the quantile that is also shown alone."""

    lead_seconds: int = 300
    level: float = 0.9


BY_DEFAULT = Judging()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The task, with the positions of the deciding window and level."""

    task: Task
    judging: Judging

    @property
    def level(self) -> int:
        """Position along Q of the level shown alone."""
        if self.judging.level not in self.task.levels:
            raise ModelError(f"level {self.judging.level}: must be one of {self.task.levels}")
        return self.task.levels.index(self.judging.level)

    @property
    def window(self) -> int:
        """Position along W of the shortest window that covers the deciding lead (the longest, where none does)."""
        steps = self.judging.lead_seconds / self.task.grid.step_seconds
        return next((i for i, w in enumerate(self.task.peak_steps) if w >= steps), len(self.task.peak_steps) - 1)

    @property
    def lead_seconds(self) -> NDArray[np.int64]:
        return self.task.grid.step_seconds * np.arange(1, self.task.horizon_steps + 1)

    @property
    def window_seconds(self) -> NDArray[np.int64]:
        return self.task.grid.step_seconds * np.asarray(self.task.peak_steps, np.int64)


@dataclass(frozen=True, slots=True)
class Case:
    """The judged windows of one series, and the units of its scores."""

    name: str
    rows: NDArray[np.int64]
    truth_NH: Floats
    peak_NW: Floats
    start_NH: NDArray[np.int64]
    """local time at which each step begins"""
    naive_error_N: metrics.Scores
    mean_demand: float
    daily_r2: float


def judged(windows: Windows, predictions: Mapping[str, Prediction], task: Task) -> NDArray[np.bool_]:
    """Which windows count: answered by every model, with some truth known. [N]  Raises ModelError as `compare`."""
    if not any(name in predictions for name in NAIVE):
        raise ModelError(f"nothing to compare with: {' or '.join(NAIVE)} must be among {', '.join(predictions)}")
    levels, sizes = len(task.levels), task.sizes
    wanted = ((len(windows), task.horizon_steps, levels), (len(windows), len(task.peak_steps), levels))
    for name, one in predictions.items():
        found = (one.quantiles_NHQ.shape, one.peaks_NWQ.shape)
        if found != wanted:
            raise ModelError(f"{name}: quantiles and peaks are {found}, must be {wanted} ({sizes})")
    rows = (~np.isnan(windows.truth.demand_NH)).any(axis=1)
    for one in predictions.values():
        rows = rows & answered(one)
    if not rows.any():
        shares = ", ".join(f"{name} answers {answered(one).mean():.0%}" for name, one in predictions.items())
        raise ModelError(f"no window is answered by every model: {shares}")
    return np.asarray(rows)


def answered(prediction: Prediction) -> NDArray[np.bool_]:
    """Which windows have an answer that the scaler would take: finite, not negative, ascending. [N]"""
    valid = np.ones(len(prediction.quantiles_NHQ), np.bool_)
    for values in (prediction.quantiles_NHQ, prediction.peaks_NWQ):
        valid &= (np.isfinite(values) & (values >= 0)).all(axis=(1, 2))
        valid &= (values[:, :, 1:] >= values[:, :, :-1]).all(axis=(1, 2))
    peaks = prediction.peaks_NWQ
    valid &= (peaks[:, 1:] >= peaks[:, :-1]).all(axis=(1, 2))
    return valid


def cases_of(windows: Windows, rows: NDArray[np.bool_], evaluation: Evaluation) -> Iterator[Case]:
    grid, task = windows.grid, evaluation.task
    season = DAY_SECONDS // grid.step_seconds
    for place in np.unique(windows.series_N[rows]):
        mine = np.flatnonzero(rows & (windows.series_N == place))
        history_NT, truth = windows.past.history_NT[mine], Truth(windows.truth.demand_NH[mine])
        latest = windows.past.long_history_NL2[mine[np.argmax(windows.cutoff_N[mine])], :, 0]
        yield Case(
            windows.names[place],
            mine,
            truth.demand_NH,
            truth.peaks(task.peak_steps),
            windows.future.local_time_NH[mine] - grid.step_seconds,
            metrics.naive_error(history_NT, season if season < grid.steps else 1),
            float(metrics.mean_known(truth.demand_NH, truth.demand_NH)),
            metrics.daily_r2(latest, DAY_SECONDS // grid.coarse_seconds),
        )


def each(cases: Iterable[Case], predictions: Predictions) -> Iterator[tuple[str, Case, Prediction]]:
    """The predictions of each model for the judged windows of each series."""
    for case in cases:
        for model, prediction in predictions.items():
            yield model, case, Prediction(prediction.quantiles_NHQ[case.rows], prediction.peaks_NWQ[case.rows])


def together(
    pieces: Sequence[tuple[Windows, Mapping[str, Prediction]]],
) -> tuple[Windows, dict[str, Prediction]]:
    """Windows and predictions of several folds as those of one test, in order; series keep their names.

    Raises ModelError where a model is missing from a fold.
    """
    names = tuple(dict.fromkeys(name for windows, _ in pieces for name in windows.names))
    models = tuple(dict.fromkeys(model for _, predictions in pieces for model in predictions))
    for i, (_, predictions) in enumerate(pieces):
        if missing := [model for model in models if model not in predictions]:
            raise ModelError(f"fold {i + 1}: lacks the predictions of {', '.join(missing)}")
    parts = [windows for windows, _ in pieces]
    places = [np.array([names.index(name) for name in part.names], np.int64)[part.series_N] for part in parts]
    past = Past(
        np.concatenate([part.past.history_NT for part in parts]),
        np.concatenate([part.past.long_history_NL2 for part in parts]),
        np.concatenate([part.past.local_time_N for part in parts]),
        np.concatenate(places),
    )
    future = KnownFuture(np.concatenate([part.future.local_time_NH for part in parts]))
    truth = Truth(np.concatenate([part.truth.demand_NH for part in parts]))
    cutoff_N = np.concatenate([part.cutoff_N for part in parts])
    joined = {
        model: Prediction(
            np.concatenate([predictions[model].quantiles_NHQ for _, predictions in pieces]),
            np.concatenate([predictions[model].peaks_NWQ for _, predictions in pieces]),
        )
        for model in models
    }
    return Windows(parts[0].grid, past, future, truth, names, cutoff_N), joined


def system_of(name: str) -> str:
    """The system in a name of `Windows.names`."""
    return name.partition("/")[0]

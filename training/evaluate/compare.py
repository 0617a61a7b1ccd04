"""Models on the same windows: tables of scores, skill against the naive models, and significance.

A window is judged where every model answers it: the same windows for all.

Axes: N windows, H future steps, W window lengths, Q levels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import inf, nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.series import Floats
from training.data.windows import Windows
from training.errors import ModelError
from training.evaluate import metrics
from training.evaluate.cases import (
    BY_DEFAULT,
    NAIVE,
    Case,
    Evaluation,
    Judging,
    Predictions,
    answered,
    cases_of,
    judged,
)
from training.evaluate.skill import BETTER_NAIVE, DECISIVE, Paired, by_series, paired_in, ranks, skill
from training.evaluate.tables import calendar, coverage, coverage_by_lead, leads, peak_windows, series_scores
from training.task import Prediction, Task

STRONGLY_SEASONAL = 0.8
"""daily R² above which a series counts as strongly seasonal"""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a model: seconds to fit, seconds to answer all compared windows, bytes of its bundle."""

    fit_seconds: float = nan
    inference_seconds: float = nan
    size_bytes: float = nan


@dataclass(frozen=True, slots=True)
class Example:
    """One judged window: recorded demand and each model's forecast. Times are local seconds since the epoch."""

    series: str
    place: float
    """its difficulty: the share of judged windows that were easier for the better naive model"""
    past_time_T: NDArray[np.int64]
    past_T: Floats
    time_H: NDArray[np.int64]
    truth_H: Floats
    answers: Mapping[str, Prediction]
    """of this window alone (N = 1)"""


@dataclass(frozen=True)
class Comparison:
    """The content of a report. Frames: see the function of the same name."""

    task: Task
    judging: Judging
    models: tuple[str, ...]
    windows: int
    judged: int
    answered: Mapping[str, float]
    """share of the windows that each model answers"""
    left_out: tuple[str, ...]
    """series without a score, and why"""
    first: float
    last: float
    """cutoffs of the first and the last window judged, in seconds since the epoch"""
    scores: pd.DataFrame
    leads: pd.DataFrame
    seasonal_leads: pd.DataFrame
    """as `leads`, of the strongly seasonal series alone (none: no rows)"""
    peak_windows: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame
    coverage: pd.DataFrame
    coverage_by_lead: pd.DataFrame
    skill: pd.DataFrame
    against_naive: tuple[Paired, ...]
    """each model against the better naive one"""
    pairs: tuple[Paired, ...]
    """each model against each other one"""
    ranks: pd.DataFrame
    costs: Mapping[str, Cost] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    importance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """by model, see `training.evaluate.importance`; models without features are missing"""

    @property
    def deciding_seconds(self) -> int:
        """Length of the window whose peak decides: at least the requested lead."""
        evaluation = Evaluation(self.task, self.judging)
        return int(evaluation.window_seconds[evaluation.window])

    @property
    def series(self) -> int:
        return int(self.scores["series"].nunique())

    @property
    def systems(self) -> int:
        return int(self.scores["system"].nunique())

    @property
    def summary(self) -> pd.DataFrame:
        """A row per model, best first: medians over the series of the main scores, and its cost."""
        return summary(self)


def compare(
    windows: Windows,
    predictions: Mapping[str, Prediction],
    task: Task,
    costs: Mapping[str, Cost] | None = None,
    judging: Judging = BY_DEFAULT,
    examples: int = 6,
    seed: int = 0,
) -> Comparison:
    """All tables for the predictions of the models (by name) for the same windows.

    Raises ModelError where no naive model is among them, shapes or levels do not fit the task, or no window is
    answered by every model.
    """
    rows = judged(windows, predictions, task)
    evaluation = Evaluation(task, judging)
    cases = tuple(cases_of(windows, rows, evaluation))
    scores = series_scores(cases, predictions, evaluation)
    left_out = _without_score(scores)
    cases = tuple(case for case in cases if case.name not in left_out)
    scores = scores[~scores["series"].isin(left_out)].reset_index(drop=True)
    if scores.empty:
        raise ModelError("no series has a score: no demand in their windows, or a gap in each first peak")
    losses = by_series(scores)
    answers = {name: float(answered(one).mean()) for name, one in predictions.items()}
    moments = windows.cutoff_N[rows]
    return Comparison(
        task=task,
        judging=judging,
        models=tuple(predictions),
        windows=len(windows),
        judged=int(rows.sum()),
        answered=answers,
        left_out=tuple(f"{name}: {rule}" for name, rule in {**_unjudged(windows, rows), **left_out}.items()),
        first=float(moments.min()),
        last=float(moments.max()),
        scores=scores,
        leads=leads(cases, predictions, evaluation),
        seasonal_leads=leads([case for case in cases if case.daily_r2 > STRONGLY_SEASONAL], predictions, evaluation),
        peak_windows=peak_windows(cases, predictions, evaluation),
        hours=calendar(cases, predictions, evaluation, "hour"),
        weekdays=calendar(cases, predictions, evaluation, "weekday"),
        coverage=coverage(cases, predictions, evaluation),
        coverage_by_lead=coverage_by_lead(cases, predictions, evaluation),
        skill=skill(scores),
        against_naive=tuple(paired_in(losses, model, BETTER_NAIVE, seed) for model in predictions),
        pairs=tuple(paired_in(losses, one, other, seed) for one, other in permutations(predictions, 2)),
        ranks=ranks(scores),
        costs=dict(costs or {}),
        examples=tuple(_examples(windows, cases, predictions, evaluation, examples)),
    )


def summary(comparison: Comparison) -> pd.DataFrame:
    """A row per model, best first by peak loss against the better naive one: medians over series, and its cost.

    ratio, low, high, p, better: as `Paired`, against the better naive model. coverage, peak_coverage: means.
    inference_seconds: for 10,000 windows.
    """
    grouped = comparison.scores.groupby("model", sort=False)
    medians = grouped[["peak_loss", "peak_loss_at_level", "pinball", "wql", "mase", "mape", "smape", "r2"]].median()
    means = grouped[["coverage", "peak_coverage"]].mean()
    relative = comparison.scores["rmse"] / comparison.scores["mean_demand"]
    rmse = relative.groupby(comparison.scores["model"], sort=False).median().rename("rmse")
    table = pd.concat([medians, rmse, means], axis=1)
    pairs = {pair.model: pair for pair in comparison.against_naive}
    for column in ("median_ratio", "low", "high", "p", "better", "series"):
        table[column] = [getattr(pairs[model], column) for model in table.index]
    costs = [comparison.costs.get(model, Cost()) for model in table.index]
    table["fit_seconds"] = [cost.fit_seconds for cost in costs]
    table["inference_seconds"] = [cost.inference_seconds / comparison.windows * 10_000 for cost in costs]
    table["size_bytes"] = [cost.size_bytes for cost in costs]
    table = table.join(comparison.ranks.set_index("model")[["mean_rank", "first_on"]])
    return table.sort_values(["median_ratio", "peak_loss"], kind="stable").reset_index()


def _without_score(scores: pd.DataFrame) -> dict[str, str]:
    """The series without a score of any model, and why."""
    unknown = scores[scores[DECISIVE].isna()].drop_duplicates("series")
    idle = "no demand in any window: relative losses are undefined"
    gaps = "a gap in each first peak: the truth is unknown"
    return {row.series: gaps if row.mean_demand > 0 else idle for row in unknown.itertuples()}


def _unjudged(windows: Windows, rows: NDArray[np.bool_]) -> dict[str, str]:
    """The series that have windows, none of which is judged."""
    gone = set(windows.series_N.tolist()) - set(windows.series_N[rows].tolist())
    return {
        windows.names[place]: "no window that every model answers and whose truth is known" for place in sorted(gone)
    }


def _examples(
    windows: Windows, cases: Sequence[Case], predictions: Predictions, evaluation: Evaluation, count: int
) -> Iterator[Example]:
    """Windows spread evenly from easy to hard for the better naive model, without a gap in the truth, and each from
    another series if there are enough."""
    rows = np.concatenate([case.rows for case in cases])
    loss = np.full(len(rows), inf)
    for naive in (predictions[name] for name in NAIVE if name in predictions):
        parts = [
            metrics.pinball(
                case.peak_NW[:, evaluation.window],
                naive.peaks_NWQ[case.rows, evaluation.window],
                evaluation.task.levels,
            ).mean(axis=-1)
            / case.mean_demand
            for case in cases
        ]
        loss = np.minimum(loss, np.concatenate(parts))
    whole = ~np.isnan(windows.truth.demand_NH[rows]).any(axis=1)
    order = np.argsort(loss[whole], kind="stable")
    rows = rows[whole][order]
    shown: set[int] = set()
    for target in (np.arange(count) + 0.5) / count * len(rows):
        near = np.argsort(np.abs(np.arange(len(rows)) - target), kind="stable")
        fresh = [i for i in near if int(windows.series_N[rows[i]]) not in shown]
        if not len(near):
            return
        chosen = int((fresh or list(near))[0])
        row = int(rows[chosen])
        shown.add(int(windows.series_N[row]))
        yield _example(windows, predictions, row, chosen / len(rows))


def _example(windows: Windows, predictions: Predictions, row: int, place: float) -> Example:
    step, steps = windows.grid.step_seconds, min(windows.grid.steps, 2 * windows.truth.demand_NH.shape[1])
    return Example(
        series=windows.names[windows.series_N[row]],
        place=place,
        past_time_T=windows.past.local_time_N[row] + step * np.arange(1 - steps, 1),
        past_T=windows.past.history_NT[row, -steps:],
        time_H=windows.future.local_time_NH[row],
        truth_H=windows.truth.demand_NH[row],
        answers={
            model: Prediction(prediction.quantiles_NHQ[row : row + 1], prediction.peaks_NWQ[row : row + 1])
            for model, prediction in predictions.items()
        },
    )

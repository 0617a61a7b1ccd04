"""A model next to seasonal naive and persistence, as other publications report forecasts.

Losses are over those of the naive model, by geometric mean (as the GIFT-Eval benchmark of Aksu et al., 2024, does for
WQL and MASE). Each series is judged by time: on the last three tenths of its record, one after the other, each with
naive models that are calibrated on what came before. The naive models are Headway's own: the same time yesterday (or
last week), and the newest value, with the quantiles of their errors in units of the demand's changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from training.data.clean import clean, without_marked
from training.data.load import Series
from training.data.windows import Past, Windows
from training.evaluate.cases import Evaluation, Judging, cases_of, judged, together
from training.evaluate.folds import Fold, by_time, training_of, windows_of
from training.evaluate.tables import series_scores
from training.models import Model, Training
from training.models.naive import Persistence, SeasonalNaive
from training.task import Prediction, Task

GENERAL = "general"
RIVALS = ("seasonal-naive", "persistence")
PEAK_MINUTES = (2, 5, 15, 60)
FIGURES = (*(f"peak {minutes} min" for minutes in PEAK_MINUTES), "wql", "mase")
FOLDS = 3
WINDOWS = 150
"""of each series and tenth, at most"""

Ask = Callable[[Past], Prediction]
Others = Callable[[Fold, Task, Windows], Mapping[str, Prediction]]


def no_others(fold: Fold, task: Task, test: Windows) -> Mapping[str, Prediction]:
    return {}


def beside_naive(
    series: Sequence[Series], task: Task, general: Ask, count: int = WINDOWS, others: Others = no_others
) -> pd.DataFrame:
    """A row per model and series, with a column per figure. others: predictions of further rivals by name."""
    pieces = []
    for fold in (fold for one in series for fold in by_time([one], task, FOLDS)):
        test = windows_of(fold.test, task, count)
        pieces.append((test, {GENERAL: general(test.past), **_naive(fold, task, test), **others(fold, task, test)}))
    windows, predictions = together(pieces)
    return scored(windows, predictions, task)


def scored(windows: Windows, predictions: Mapping[str, Prediction], task: Task) -> pd.DataFrame:
    """A row per model and series: WQL, MASE, and the loss of the peak of each length, on windows that all answer."""
    rows, found = judged(windows, predictions, task), pd.DataFrame()
    for minutes in PEAK_MINUTES:
        evaluation = Evaluation(task, Judging(lead_seconds=60 * minutes))
        scores = series_scores(tuple(cases_of(windows, rows, evaluation)), predictions, evaluation)
        if found.empty:
            found = scores[["model", "series", "system", "windows", "wql", "mase"]].copy()
        found[f"peak {minutes} min"] = scores["peak_loss"]
    return found


def ratios(scores: pd.DataFrame, rivals: Sequence[str] = RIVALS) -> pd.DataFrame:
    """A row per rival and series: each figure of the general bundle over that of the rival."""
    names = list(FIGURES)
    by_model = scores.set_index(["model", "series"])
    mine = by_model.loc[GENERAL]
    parts = []
    for rival in rivals:
        part = (mine[names] / by_model.loc[rival][names]).reset_index()
        parts.append(part.assign(rival=rival, system=mine["system"].to_numpy(), windows=mine["windows"].to_numpy()))
    return pd.concat(parts, ignore_index=True)


def of_systems(every: pd.DataFrame, rival: str) -> pd.DataFrame:
    """A row per system: the geometric mean of each figure over its series."""
    mine = every[every["rival"] == rival]
    return mine.groupby("system", sort=False)[list(FIGURES)].agg(geometric_mean)


def over_naive(every: pd.DataFrame) -> dict[str, float]:
    """Scores for a manifest: each figure over each rival, the geometric mean over the systems."""
    return {
        f"over {rival}: {figure}": round(float(value), 3)
        for rival in RIVALS
        for figure, value in geometric_mean(of_systems(every, rival)).items()
    }


def geometric_mean(values: Any) -> Any:
    """Of what is known."""
    return np.exp(np.log(values).mean())


def _naive(fold: Fold, task: Task, test: Windows) -> dict[str, Prediction]:
    cut, cleaned = training_of(fold, task, 600, 150), [clean(series) for series in fold.seen]
    learned, held_out = (without_marked(part, cleaned) for part in (cut.windows, cut.held_out))
    training = Training(task, tuple(one.kept for one in cleaned), learned, held_out)
    models: Mapping[str, Model] = dict(zip(RIVALS, (SeasonalNaive(), Persistence()), strict=True))
    for model in models.values():
        model.fit(training)
    return {name: model.predict_quantiles(test.past) for name, model in models.items()}

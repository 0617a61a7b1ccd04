"""Scores of the general model on systems that it has not seen, relative to the shipped seasonal model.

Axes: N windows, W window lengths, Q levels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.load import Series
from training.data.windows import Past, Windows
from training.evaluate.folds import Part, windows_of
from training.evaluate.metrics import Numbers, pinball
from training.shipped.data import WARM_UP, shortened
from training.task import DAY_SECONDS, Prediction, Task

MINUTES = (2, 5, 15, 60)
"""window lengths"""
HISTORIES: Mapping[str, float] = {"weeks": np.inf, "a day": DAY_SECONDS, "3 hours": 3 * 3600}
WINDOWS = 600
"""of each series"""
SAFE_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Score:
    """One series: the pinball loss of the peak over that of the seasonal model, and how often the peak was covered."""

    system: str
    history: str
    """length of the history given to the models"""
    minutes: int
    ratio: float
    covered: float
    """by the quantile of the safe level"""


def scores(
    series: Sequence[Series],
    task: Task,
    model: Callable[[Past], Prediction],
    seasonal: Callable[[Past], Prediction],
) -> Iterator[Score]:
    """On windows that both models answer."""
    windows = windows_of(
        [Part(one, one.start + WARM_UP * (one.end - one.start), one.end) for one in series], task, WINDOWS
    )
    for history, seconds in HISTORIES.items():
        past = shortened(windows.past, np.full(len(windows), seconds), task)
        mine, theirs = model(past).peaks_NWQ, seasonal(past).peaks_NWQ
        for minutes in MINUTES:
            w = task.peak_steps.index(minutes * 60 // task.grid.step_seconds)
            yield from _each_series(windows, w, task, history, mine[:, w], theirs[:, w])


def summary(found: Iterable[Score]) -> dict[str, float]:
    """Scores for a manifest: by history and window length over all series, and each system's median at five minutes."""
    everything = list(found)
    figures: dict[str, float] = {}
    for history in HISTORIES:
        for minutes in MINUTES:
            some = [one for one in everything if one.history == history and one.minutes == minutes]
            name = f"{history}, {minutes} min"
            figures[f"{name}: loss"] = _rounded(np.median([one.ratio for one in some]))
            figures[f"{name}: worst loss"] = _rounded(max(one.ratio for one in some))
            figures[f"{name}: p90 coverage"] = _rounded(np.mean([one.covered for one in some]))
    for system in dict.fromkeys(one.system for one in everything):
        its = [one.ratio for one in everything if (one.system, one.history, one.minutes) == (system, "weeks", 5)]
        figures[f"{system}: loss"] = _rounded(np.median(its))
    return figures


def _each_series(
    windows: Windows, w: int, task: Task, history: str, mine_NQ: Numbers, theirs_NQ: Numbers
) -> Iterator[Score]:
    truth_N = windows.truth.peaks(task.peak_steps)[:, w]
    loss_N, their_loss_N = (
        pinball(truth_N, predicted, task.levels).mean(axis=-1) for predicted in (mine_NQ, theirs_NQ)
    )
    both_N = np.isfinite(loss_N) & np.isfinite(their_loss_N)
    within_N = truth_N <= mine_NQ[:, task.levels.index(SAFE_LEVEL)]
    minutes = task.peak_steps[w] * task.grid.step_seconds // 60
    for s in np.unique(windows.past.series_N[both_N]):
        rows = both_N & (windows.past.series_N == s)
        ratio = float(loss_N[rows].sum() / their_loss_N[rows].sum())
        yield Score(windows.names[s].split("/")[0], history, minutes, ratio, float(within_N[rows].mean()))


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 3)

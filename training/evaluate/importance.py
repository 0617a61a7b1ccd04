"""Which features a model relies on: permutation importance.

The features of one subject come from another window, drawn at random; all others stay. What the model then loses more
is what it owes to them (Breiman, "Random forests", 2001; for any model: Fisher, Rudin, Dominici, 2019). Subjects with
the same information can stand in for each other, so that each of them alone may seem to matter little. The expected
value and the usual error that a core starts from (see training.models.learned) stay as they are.

Axes: N windows, K targets, Q levels.
"""

from math import nan
from typing import Protocol, runtime_checkable

import numpy as np

from training import graph
from training.data.windows import Past, Windows
from training.evaluate import metrics
from training.features.extract import SEQUENCE_SUBJECT, Extracted
from training.task import Prediction, Task, step_leads

MOST_WINDOWS = 600


@runtime_checkable
class Explained(Protocol):
    """A fitted model that predicts from features."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """What each column of its features is about."""
        ...

    def extract(self, past: Past) -> Extracted:
        """The features of windows."""
        ...

    def predict_extracted(self, seen: Extracted) -> Prediction:
        """The predictions for extracted features."""
        ...


def importance(model: object, windows: Windows, task: Task, seed: int = 0) -> dict[str, float]:
    """By how much the loss rises, as a share, without each subject; the largest first. Empty without features.

    Loss: `demand_loss`, on at most MOST_WINDOWS windows. Rounded to a hundredth of a percent.
    """
    if not isinstance(model, Explained):
        return {}
    windows = windows.take(np.arange(0, len(windows), -(-len(windows) // MOST_WINDOWS)))
    seen = model.extract(windows.past)
    usual = demand_loss(task, windows, model.predict_extracted(seen))
    if not usual > 0:
        return {}
    random = np.random.default_rng(seed)
    found = {}
    for subject in dict.fromkeys((*model.subjects, SEQUENCE_SUBJECT)):
        other = seen.exchanged(subject, model.subjects, random.permutation(len(windows)))
        found[subject] = round(demand_loss(task, windows, model.predict_extracted(other)) / usual - 1, 4)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def demand_loss(task: Task, windows: Windows, said: Prediction) -> float:
    """Pinball loss of peaks and of the learned steps over mean demand; geometric mean over the series.

    Windows without an answer and unknown truths do not count, nor do series without demand. NaN if nothing is left.
    """
    steps = np.asarray(step_leads(task)) - 1
    truth_NK = np.concatenate([windows.truth.peaks(task.peak_steps), windows.truth.demand_NH[:, steps]], axis=1)
    quantiles_NKQ = np.concatenate([said.peaks_NWQ, said.quantiles_NHQ[:, steps]], axis=1)
    loss_NK = metrics.pinball(truth_NK, quantiles_NKQ, task.levels).mean(axis=-1)
    losses = []
    for s in range(len(windows.names)):
        mine = windows.series_N == s
        known = np.isfinite(loss_NK[mine])
        demand = truth_NK[mine][known].mean() if known.any() else 0.0
        if demand > 0:
            losses.append(loss_NK[mine][known].mean() / demand)
    return float(np.exp(np.log(np.maximum(losses, graph.TINY)).mean())) if losses else nan

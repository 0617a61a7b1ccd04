"""The data before a moment of each series, for a model that must not have seen what comes after it.

Axes: S series, B moments.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.data.windows import cut, cutoffs, ended
from training.models import Training
from training.models.empirical import Values

JUDGED = 0.2
"""the last share of the data, for calibration"""


def borders(training: Training, shares: Sequence[float]) -> Values:
    """The moments at which these shares of each series' record before its held-out windows end. [B, S]"""
    held_out = training.held_out
    starts, ends = [], []
    for s, one in enumerate(training.series):
        moments = held_out.cutoff_N[held_out.series_N == s]
        starts.append(one.start)
        ends.append(moments.min() if len(moments) else one.end)
    start_S, end_S = np.asarray(starts), np.asarray(ends)
    return np.asarray(start_S + np.asarray(shares)[:, None] * (end_S - start_S))


def before(training: Training, border_S: Values) -> Training:
    """The data before the borders. The last part of each series is both held out and learned from.

    Raises ModelError if no series has a window there.
    """
    task = training.task
    known = [ended(one, moment) for one, moment in zip(training.series, border_S, strict=True)]
    since = [one.end - JUDGED * (one.end - one.start) for one in known]
    chosen = [
        (one, cutoffs(one, 2, task.horizon_steps, first, one.end)) for one, first in zip(known, since, strict=True)
    ]
    windows = cut(chosen, task.grid, task.horizon_steps)
    return replace(training, series=tuple(known), windows=windows, held_out=windows)

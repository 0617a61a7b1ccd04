"""Scores as a replica has them, for tests."""

import numpy as np

from scaler.scoring import Scores
from scaler.scoring.losses import FIGURES, Figure
from scaler.scoring.pending import BUCKETS


def scored() -> Scores:
    """Of 20 peaks, and of 10 forecasts of five minutes."""
    sums_BF = np.zeros((len(BUCKETS), FIGURES), np.float32)
    peak, soon = sums_BF[BUCKETS.index("peak")], sums_BF[BUCKETS.index("5 min")]
    peak[[Figure.COUNT, Figure.HELD, Figure.PROMISED, Figure.PROMISED_PERSISTENCE]] = 20, 19, 1, 3
    soon[[Figure.COUNT, Figure.PERCENT, Figure.PERCENT_COUNT]] = 10, 1, 10
    return Scores(sums_BF)

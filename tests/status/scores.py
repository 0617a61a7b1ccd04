"""Scores as a replica has them, for tests."""

import numpy as np

from scaler.scoring import Scores
from scaler.scoring.losses import FIGURES, Figure
from scaler.scoring.pending import BUCKETS


def scored() -> Scores:
    """Of 20 peaks, and of 10 forecasts of five minutes and of an hour.

    Losses an hour ahead: 2, of the newest observation 8, of the demand of the day before 2.
    """
    sums_BF = np.zeros((len(BUCKETS), FIGURES), np.float32)
    peak, soon = sums_BF[BUCKETS.index("peak")], sums_BF[BUCKETS.index("5 min")]
    peak[[Figure.COUNT, Figure.HELD, Figure.PROMISED, Figure.PROMISED_PERSISTENCE]] = 20, 19, 1, 3
    soon[[Figure.COUNT, Figure.PERCENT, Figure.PERCENT_COUNT]] = 10, 1, 10
    soon[[Figure.ABSOLUTE, Figure.BIAS]] = 40, -30
    later = sums_BF[BUCKETS.index("60 min")]
    later[[Figure.COUNT, Figure.PINBALL, Figure.PERSISTENCE, Figure.BESIDE_SEASONAL, Figure.SEASONAL]] = 10, 2, 8, 2, 2
    return Scores(sums_BF)

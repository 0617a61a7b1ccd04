"""How often demand has a new number, where that is less often than every minute: a metric that is scraped or recorded
every five minutes, seen by the minute as stairs. Pure numpy.
"""

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats

SHORTEST, LONGEST = 3, 15
"""minutes"""
FEWEST_RISERS = 30
"""risers of the stairs that must be known"""
LONGEST_RISER = 2
"""minutes that a riser takes: a rate shows a part of a new number first"""
REGULAR, ALMOST_ALL = 0.5, 0.95
"""share of the risers that follow each other after one step, and that follow no sooner"""
FEWEST_LEVELS = 8
"""that differ: what switches between a few levels, as a crontab does, has no step"""


def find_step(minutes_M: Floats) -> int:
    """Minutes between two new numbers in demand by the minute, oldest first, NaN where missing; 0 without a step.

    A step is the time from one change to the next. Demand that does not change, as in nights of zero, shows none: what
    counts are changes that follow each other after the same time, and hardly any that follow sooner.
    """
    changed = np.diff(minutes_M) != 0  # NaN too, where something is missing
    known = ~np.isnan(minutes_M)
    changed &= known[1:] & known[:-1]
    begins = np.flatnonzero(changed & ~np.concatenate([[False], changed[:-1]]))
    if len(begins) < FEWEST_RISERS or changed.sum() > LONGEST_RISER * len(begins):
        return 0
    between = np.diff(begins)
    step = int(np.median(between))
    if not SHORTEST <= step <= LONGEST:
        return 0
    late = 1 if step > SHORTEST else 0
    is_regular = np.mean(np.abs(between - step) <= late) >= REGULAR and np.mean(between >= step - late) >= ALMOST_ALL
    return step if is_regular and _differ(minutes_M, begins) else 0


def _differ(minutes_M: Floats, begins: NDArray[np.intp]) -> bool:
    return len(np.unique(minutes_M[begins])) >= FEWEST_LEVELS

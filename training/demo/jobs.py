"""Generated demand of a workload whose jobs announce themselves: demand dips for six minutes, then it triples.

Jobs come at random times, so past days say nothing of the next one; a model that has learned the dip does. From
`changed_from` on there are no such jobs: demand builds up for an hour and drops, again and again, which that model has
never seen.
"""

import numpy as np
from numpy.typing import NDArray

from scaler.history.traces import Trace

QUERY = "checkout_requests"
"""the name of the series"""
STEP_SECONDS, DAY_SECONDS = 60.0, 86_400.0
USUAL, DIP, JOB = 100.0, 0.5, 3.0
"""demand, and what it is multiplied with before and during a job"""
DAILY_SHARE, NOISE = 0.2, 0.03
APART_MINUTES = (25, 55)
"""fewest and most minutes from the end of a job to the next announcement"""
DIP_MINUTES, JOB_MINUTES = 6, 12
BUILDS_UP_MINUTES, BUILT_UP = 60, 8.0
"""minutes of a build-up, and what demand is multiplied with at its end"""


def checkout_requests(start: float, end: float, changed_from: float, seed: int = 0) -> Trace:
    """Demand by the minute in [start, end), seconds since the epoch; the same seed gives the same demand."""
    random = np.random.default_rng(seed)
    times_S = np.arange(start, end, STEP_SECONDS)
    daily_S = 1 + DAILY_SHARE * np.sin(2 * np.pi * times_S / DAY_SECONDS)
    noise_S = random.normal(1.0, NOISE, len(times_S))
    built_up_S = 1 + (BUILT_UP - 1) * (times_S / STEP_SECONDS % BUILDS_UP_MINUTES) / BUILDS_UP_MINUTES
    factor_S = np.where(times_S < changed_from, _jobs(len(times_S), random), built_up_S)
    values_S = np.rint(USUAL * daily_S * noise_S * factor_S)
    return Trace(QUERY, "requests per minute", start, STEP_SECONDS, values_S.astype(np.float32))


def _jobs(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """What demand is multiplied with in each minute."""
    factor_S, minute = np.ones(count), 0
    while (minute := minute + int(random.integers(*APART_MINUTES, endpoint=True))) < count:
        begins = minute + DIP_MINUTES
        factor_S[minute:begins] = DIP
        factor_S[begins : begins + JOB_MINUTES] = JOB
        minute = begins + JOB_MINUTES
    return factor_S

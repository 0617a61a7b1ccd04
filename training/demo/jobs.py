"""Generated demand of a workload, by the minute: jobs that announce themselves, then two changes.

Jobs come at random times, so past days say nothing of the next one; a model that has learned the announcement does:
demand dips for six minutes, then it triples. `halves_from` on there are no more jobs: demand halves, and again every
two hours, which looks like an announcement that goes on. `batches_from` on demand builds up for an hour and drops,
again and again, which past periods show.
"""

import numpy as np
from numpy.typing import NDArray

from scaler.history.traces import Trace

QUERY = "checkout_requests"
"""the name of the series"""
STEP_SECONDS, DAY_SECONDS = 60.0, 86_400.0
USUAL, DIP, JOB = 400.0, 0.5, 3.0
"""demand, and what it is multiplied with before and during a job"""
DAILY_SHARE, NOISE = 0.2, 0.03
APART_MINUTES = (25, 55)
"""fewest and most minutes from the end of a job to the next announcement"""
DIP_MINUTES, JOB_MINUTES = 6, 12
HALF_MINUTES = 120
"""from one halving to the next"""
BUILDS_UP_MINUTES, BUILT_UP = 60, 8.0
"""minutes of a build-up, and what demand is multiplied with at its end"""


def checkout_requests(start: float, end: float, halves_from: float, batches_from: float, seed: int = 0) -> Trace:
    """Demand by the minute in [start, end), seconds since the epoch; the same seed gives the same demand."""
    random = np.random.default_rng(seed)
    times_S = np.arange(start, end, STEP_SECONDS)
    daily_S = 1 + DAILY_SHARE * np.sin(2 * np.pi * times_S / DAY_SECONDS)
    noise_S = random.normal(1.0, NOISE, len(times_S))
    halved_S = 0.5 ** (np.maximum(times_S - halves_from, 0) // (HALF_MINUTES * 60) + 1)
    built_up_S = 1 + (BUILT_UP - 1) * (times_S / 60 % BUILDS_UP_MINUTES) / BUILDS_UP_MINUTES
    changed_S = np.where(times_S < batches_from, halved_S, built_up_S)
    factor_S = np.where(times_S < halves_from, _jobs(len(times_S), random), changed_S)
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

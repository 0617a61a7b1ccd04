"""A generated workload on a clock: an office that opens on weekdays at 06:00 UTC, ten times the demand in 3 minutes."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from scaler.history.traces import Trace

GENERATED = "ticket_requests"
"""the name of the series"""

OPENS_SECONDS, CLOSES_SECONDS = 6 * 3600.0, 18 * 3600.0
"""of the day, UTC"""
RAMP_SECONDS = 180.0
OPEN, CLOSED = 700.0, 70.0
"""demand"""
NOISE = 0.03
"""standard deviation of each minute, relative"""
STEP_SECONDS, DAY_SECONDS = 60.0, 86_400.0


def ticket_requests(start: float, end: float, seed: int = 0) -> Trace:
    """Demand by the minute from `start` (midnight UTC) to `end`; the same seed gives the same noise."""
    times_S = np.arange(start, end, STEP_SECONDS) + STEP_SECONDS / 2
    noise_S = np.random.default_rng(seed).normal(1.0, NOISE, len(times_S))
    values_S = np.rint((CLOSED + (OPEN - CLOSED) * _openness(times_S)) * noise_S)
    return Trace(GENERATED, "requests per minute", start, STEP_SECONDS, values_S.astype(np.float32))


def openings(start: float, end: float) -> Iterator[float]:
    """The moments in [start, end) at which demand begins to rise."""
    for midnight in np.arange(start // DAY_SECONDS, end // DAY_SECONDS + 1) * DAY_SECONDS:
        at = float(midnight) + OPENS_SECONDS
        if start <= at < end and datetime.fromtimestamp(at, UTC).weekday() < 5:
            yield at


def _openness(times_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 while closed, 1 while open, in between on the ramps."""
    weekday_S = (times_S // DAY_SECONDS + 3) % 7  # the epoch began on a Thursday
    second_S = times_S % DAY_SECONDS
    rising_S = np.clip((second_S - OPENS_SECONDS) / RAMP_SECONDS, 0, 1)
    falling_S = np.clip((CLOSES_SECONDS - second_S) / RAMP_SECONDS, 0, 1)
    return np.where(weekday_S < 5, rising_S * falling_S, 0.0)

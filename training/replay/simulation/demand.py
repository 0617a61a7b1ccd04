"""Recorded demand at any moment, and what a metric server reported at that moment.

Demand is assumed constant within a recorded bin. The server reports what `rate(...[window])` returns: the mean over the
window before the last scrape, always a little late.

Axes: K moments.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.data.load import Series

Moments: TypeAlias = NDArray[np.float64]
LEAST_KNOWN = 0.5
"""recorded share of a stretch that its mean requires"""


@dataclass(frozen=True, slots=True)
class Observing:
    """How late demand is seen. scrape_seconds: how old the newest sample is; window_seconds: what `rate()` spans."""

    scrape_seconds: float = 15.0
    window_seconds: float = 60.0


class Demand:
    """One recorded series as a function of time, NaN where it is not recorded."""

    def __init__(self, series: Series) -> None:
        self.series = series
        known_S = ~np.isnan(series.values)
        step = float(series.step_seconds)
        amounts = np.where(known_S, series.values, 0).astype(np.float64) * step
        self._edges = series.start + step * np.arange(len(series.values) + 1)
        self._amount = np.concatenate([[0.0], np.cumsum(amounts)])
        self._known = np.concatenate([[0.0], np.cumsum(known_S * step)])

    @property
    def start(self) -> float:
        return self.series.start

    @property
    def end(self) -> float:
        return self.series.end

    def mean(self, begin_K: Moments, end_K: Moments) -> Moments:
        """Mean demand over each [begin, end); NaN where less than half of it is on record."""
        amount, known = (
            np.interp(end_K, self._edges, values) - np.interp(begin_K, self._edges, values)
            for values in (self._amount, self._known)
        )
        sufficient = known >= LEAST_KNOWN * (np.asarray(end_K) - np.asarray(begin_K)) - 1e-9
        return np.asarray(np.where(sufficient, np.maximum(amount, 0) / np.maximum(known, 1e-9), np.nan))

    def observed(self, at_K: Moments, observing: Observing) -> Moments:
        """What a metric server returns at each moment; NaN if it has no value."""
        seen = np.asarray(at_K) - observing.scrape_seconds
        return self.mean(seen - observing.window_seconds, seen)

"""What the series of a range answer say about each moment: demand, nothing, or something that is no demand. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaler.history.answers import Malformed, Series, ambiguity
from scaler.history.ranges import merged
from scaler.series import Floats, Gap, within


class Sampled(NamedTuple):
    """One query, or several of the same moments, at each moment."""

    times: NDArray[np.float64]
    """ascending"""
    columns: tuple[Floats, ...]
    """finite and >= 0, one for each query"""
    gaps: tuple[Gap, ...]
    """moments with samples of several series"""
    unusable: NDArray[np.float64]
    """moments with a sample that is no demand: NaN, infinite, negative"""

    def with_gaps(self, gaps: Sequence[Gap], step_seconds: float) -> "Sampled":
        """The same with further gaps."""
        return self._replace(gaps=tuple(merged([*gaps, *self.gaps], step_seconds)))

    def with_zeros(self, end: float, step_seconds: float) -> "Sampled":
        """The same with 0 where nothing was returned, on every step from the first known moment to `end`.

        What lies in a gap or is no demand stays unknown.
        """
        times = self.times
        if not len(times):
            return self
        positions = np.round((times - times[0]) / step_seconds).astype(np.int64)
        count = int(max(positions[-1], math.floor((end - times[0]) / step_seconds + 1e-9))) + 1
        moments = times[0] + np.arange(count) * step_seconds
        known = ~within(moments, self.gaps)
        unknown = np.round((self.unusable - times[0]) / step_seconds).astype(np.int64)
        known[unknown[(unknown >= 0) & (unknown < count)]] = False
        known[positions] = True
        filled = [np.zeros(count, np.float32) for _ in self.columns]
        for column, values in zip(filled, self.columns, strict=True):
            column[positions] = values
        return self._replace(times=moments[known], columns=tuple(column[known] for column in filled))


def one_history(found: Sequence[Series], step_seconds: float) -> Sampled:
    """The demand in these series, each moment once.

    Several series are one history where they follow each other (a label changed on the way). Where they overlap,
    neither counts. Raises AmbiguousDemand where that leaves nothing.
    """
    if not found:
        return Sampled(np.empty(0), (np.empty(0, np.float32),), (), np.empty(0))
    times = np.concatenate([one.times for one in found])
    values = np.concatenate([one.values for one in found])
    moments, first, count = np.unique(times, return_index=True, return_counts=True)
    unique, twice = count == 1, moments[count > 1]
    error = ambiguity(list({tuple(sorted(one.labels.items())): one.labels for one in found}.values()))
    if len(twice) and not unique.any():
        raise error
    gaps = tuple(_gaps_at(twice, step_seconds, str(error)))
    with np.errstate(over="ignore"):
        short = values[first[unique]].astype(np.float32)
    known = np.isfinite(short) & (short >= 0)
    return Sampled(moments[unique][known], (short[known],), gaps, moments[unique][~known])


def side_by_side(first: Sequence[Series], second: Sequence[Series], step_seconds: float) -> Sampled:
    """Two queries that return something at the same moments. Raises Malformed where they do not, as one_history."""
    if not np.array_equal(_moments(first), _moments(second)):
        raise Malformed("the server's answer to several queries lacks a part of one of them")
    one, other = one_history(first, step_seconds), one_history(second, step_seconds)
    times, in_one, in_other = np.intersect1d(one.times, other.times, assume_unique=True, return_indices=True)
    columns = (one.columns[0][in_one], other.columns[0][in_other])
    return Sampled(times, columns, (*one.gaps, *other.gaps), np.union1d(one.unusable, other.unusable))


def _moments(found: Sequence[Series]) -> NDArray[np.float64]:
    return np.unique(np.concatenate([one.times for one in found])) if found else np.empty(0)


def _gaps_at(moments: NDArray[np.float64], step_seconds: float, why: str) -> Iterator[Gap]:
    """Neighbouring moments as one gap."""
    if not len(moments):
        return
    for run in np.split(moments, np.flatnonzero(np.diff(moments) > 1.5 * step_seconds) + 1):
        yield Gap(float(run[0]), float(run[-1]), why)

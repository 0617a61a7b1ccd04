"""Cutting series at moments: what was known then, what the calendar tells, and what came, kept apart.

Axes as in scaler.series: N windows, T fine past steps, L coarse past blocks, H future steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaler.bundle.folder import Arrays
from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, SERIES
from scaler.series import Floats, Grid
from training.data.load import Series

Rows: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
"""which windows: their positions, or a mark for each"""


@dataclass(frozen=True, slots=True)
class Past:
    """What a forecaster may know: the bundle's inputs. series_N: whose window it is, a position in `Windows.names`."""

    history_NT: Floats
    long_history_NL2: Floats
    local_time_N: NDArray[np.int64]
    series_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.local_time_N)

    def take(self, rows: "Rows") -> "Past":
        return Past(self.history_NT[rows], self.long_history_NL2[rows], self.local_time_N[rows], self.series_N[rows])

    def inputs(self) -> Arrays:
        """The tensors of a bundle's graph by name, `series` among them."""
        return {
            HISTORY.name: self.history_NT,
            LONG_HISTORY.name: self.long_history_NL2,
            LOCAL_TIME.name: self.local_time_N,
            SERIES.name: self.series_N,
        }


@dataclass(frozen=True, slots=True)
class KnownFuture:
    """What is known ahead: the local time of each future step, in seconds. [N, H]"""

    local_time_NH: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truth:
    """What came. NaN where nobody recorded it. [N, H]"""

    demand_NH: Floats

    def peaks(self, steps: Sequence[int]) -> Floats:
        """The largest demand over the first w steps, for each w; NaN where a step within is unknown. [N, W]"""
        running = np.maximum.accumulate(self.demand_NH, axis=1)
        return running[:, np.asarray(steps) - 1]


@dataclass(frozen=True, slots=True)
class Windows:
    """N windows of the series in `names` (system/name); `cutoff_N` is the moment of each."""

    grid: Grid
    past: Past
    future: KnownFuture
    truth: Truth
    names: tuple[str, ...]
    cutoff_N: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cutoff_N)

    @property
    def series_N(self) -> NDArray[np.int64]:
        return self.past.series_N

    def take(self, rows: Rows) -> "Windows":
        """The windows in `rows`; `names` stays, so that positions in it keep their meaning."""
        future, truth = KnownFuture(self.future.local_time_NH[rows]), Truth(self.truth.demand_NH[rows])
        return Windows(self.grid, self.past.take(rows), future, truth, self.names, self.cutoff_N[rows])


def cutoffs(series: Series, count: int, horizon: int, since: float, until: float) -> NDArray[np.float64]:
    """At most `count` moments spread evenly over [since, until), each with a whole horizon of record behind it."""
    step = series.step_seconds
    first = max(0, int(np.ceil((since - series.start) / step)))
    last = min(len(series.values) - horizon, int(np.floor((until - series.start) / step)) - horizon)
    if last <= first:
        return np.empty(0)
    positions = np.unique(np.linspace(first + 1, last, count).astype(np.int64))
    return np.asarray(series.start + step * positions, np.float64)


def cut(chosen: Iterable[tuple[Series, NDArray[np.float64]]], grid: Grid, horizon: int) -> Windows:
    """The windows of each series at its cutoffs, in that order. A window's past ends with the last bin before it.

    Series without a cutoff keep their place in `names`. Raises ValueError where no series has one.
    """
    parts = list(chosen)
    names = tuple(f"{series.system}/{series.name}" for series, _ in parts)
    if not sum(len(moments) for _, moments in parts):
        raise ValueError("no window can be cut: every series is shorter than the horizon")
    fine = np.concatenate([_fine(s, _places(s, m), grid.steps) for s, m in parts])
    coarse = np.concatenate([_coarse(s, m, grid) for s, m in parts])
    truth = np.concatenate([_ahead(s, _places(s, m), horizon) for s, m in parts])
    moments = np.concatenate([m for _, m in parts])
    # the last sample is known at the cutoff: a bin that covers (…, cutoff] is a sample at the cutoff
    local = moments.astype(np.int64)
    ahead = local[:, None] + grid.step_seconds * np.arange(1, horizon + 1)
    owner = np.repeat(np.arange(len(parts)), [len(m) for _, m in parts])
    past = Past(fine, coarse, local, owner)
    return Windows(grid, past, KnownFuture(ahead), Truth(truth), names, moments)


def _places(series: Series, moments: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many bins lie before each moment."""
    return np.asarray(np.rint((moments - series.start) / series.step_seconds), np.int64)


def _fine(series: Series, places: NDArray[np.int64], steps: int) -> Floats:
    padded = np.concatenate([np.full(steps, np.nan, np.float32), series.values])
    window: Floats = padded[places[:, None] + np.arange(steps)]
    return window


def _ahead(series: Series, places: NDArray[np.int64], horizon: int) -> Floats:
    window: Floats = series.values[places[:, None] + np.arange(horizon)]
    return window


def _coarse(series: Series, moments: NDArray[np.float64], grid: Grid) -> Floats:
    """Mean and max per complete clock-aligned block before each moment. [N, L, 2]"""
    per = grid.coarse_seconds // series.step_seconds
    first = int(np.ceil(series.start / grid.coarse_seconds))
    skipped = round((first * grid.coarse_seconds - series.start) / series.step_seconds)
    whole = max(0, (len(series.values) - skipped) // per)
    bins = series.values[skipped : skipped + whole * per].reshape(whole, per)
    blocks = np.full((grid.coarse_steps + whole, 2), np.nan, np.float32)
    known = ~np.isnan(bins).all(axis=1)
    blocks[grid.coarse_steps :][known, 0] = np.nanmean(bins[known], axis=1)
    blocks[grid.coarse_steps :][known, 1] = np.nanmax(bins[known], axis=1)
    complete = np.clip(np.floor(moments / grid.coarse_seconds).astype(np.int64) - first, 0, whole)
    window: Floats = blocks[complete[:, None] + np.arange(grid.coarse_steps)]
    return window

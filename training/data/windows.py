"""Windows cut from series at given moments: past, known future and truth, kept apart.

Axes as in scaler.series: N windows, T fine past steps, L coarse past blocks, H future steps.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaler.bundle.folder import Arrays
from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, SERIES
from scaler.history.grid import summed_up
from scaler.series import Floats, Grid
from training.data.load import Series, local_seconds
from training.errors import ModelError

Rows: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
"""which windows: their positions, or a mark for each"""


@dataclass(frozen=True, slots=True)
class Past:
    """What a forecaster may know: the bundle's inputs. series_N: the window's series, a position in `Windows.names`."""

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
    """What is known in advance: the local time of each future step, in seconds. [N, H]"""

    local_time_NH: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truth:
    """The recorded demand; NaN if not recorded. [N, H]"""

    demand_NH: Floats

    def peaks(self, steps: Sequence[int]) -> Floats:
        """The largest demand over the first w steps, for each w; NaN if a step of these is unknown. [N, W]"""
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


def ended(series: Series, moment: float) -> Series:
    """The series with the bins that are over at `moment`."""
    bins = int(np.floor((moment - series.start) / series.step_seconds + 1e-6))
    return replace(series, values=series.values[: max(0, bins)])


def cutoffs(series: Series, count: int, horizon: int, since: float, until: float) -> NDArray[np.float64]:
    """At most `count` moments spread evenly over [since, until], the `horizon` steps after each within it and recorded.

    Each has at least one step of record before it. None where the series or the span is too short.
    """
    step = series.step_seconds
    first = max(1, math.ceil((since - series.start) / step - 1e-6))
    last = min(len(series.values), math.floor((until - series.start) / step + 1e-6)) - horizon
    if last < first or count < 1:
        return np.empty(0)
    positions = np.unique(np.linspace(first, last, count).astype(np.int64))
    return np.asarray(series.start + step * positions, np.float64)


def fair_share(counts: Sequence[int], limit: int) -> int:
    """The largest share for each, so that all together have at most `limit`; at least one."""
    most = max(counts, default=0)
    within = bisect_right(range(1, most + 1), limit, key=lambda share: int(np.minimum(counts, share).sum()))
    return max(1, within)


def cut(chosen: Iterable[tuple[Series, NDArray[np.float64]]], grid: Grid, horizon: int) -> Windows:
    """The windows of each series at its cutoffs, in that order. A window's past ends with the last bin before it.

    Series without a cutoff keep their place in `names`. Raises ModelError where no series has a cutoff, where one is
    on another step than the grid, and where a cutoff is not between two of its bins with the horizon on record.
    """
    parts = list(chosen)
    names = tuple(f"{series.system}/{series.name}" for series, _ in parts)
    if not sum(len(moments) for _, moments in parts):
        raise ModelError("no window can be cut: every series is shorter than the horizon")
    places = [_places(series, moments, grid, horizon) for series, moments in parts]
    fine_NT, coarse_NL2, truth_NH = (
        np.empty((sum(map(len, places)), *shape), np.float32)
        for shape in ((grid.steps,), (grid.coarse_steps, 2), (horizon,))
    )
    end = 0
    for (series, moments), before in zip(parts, places, strict=True):
        rows, end = slice(end, end + len(before)), end + len(before)
        fine_NT[rows] = fine_windows(series, before, grid.steps)
        coarse_NL2[rows] = coarse_windows(series, moments, grid)
        truth_NH[rows] = _ahead(series, before, horizon)
    # the last bin covers (…, cutoff] as a sample taken at the cutoff does: local time is the cutoff's
    local = np.concatenate([local_seconds(moments, series.timezone) for series, moments in parts])
    ahead = local[:, None] + grid.step_seconds * np.arange(1, horizon + 1)
    owner = np.repeat(np.arange(len(parts)), [len(moments) for _, moments in parts])
    past = Past(fine_NT, coarse_NL2, local, owner)
    moments = np.concatenate([moments for _, moments in parts])
    return Windows(grid, past, KnownFuture(ahead), Truth(truth_NH), names, moments)


def _places(series: Series, moments: NDArray[np.float64], grid: Grid, horizon: int) -> NDArray[np.int64]:
    """How many bins lie before each moment."""
    name = f"{series.system}: series {series.name!r}"
    if series.step_seconds != grid.step_seconds:
        raise ModelError(f"{name}: has a step of {series.step_seconds} s, the windows one of {grid.step_seconds} s")
    exact = (np.asarray(moments, np.float64) - series.start) / series.step_seconds
    places = np.asarray(np.rint(exact), np.int64)
    if (np.abs(exact - places) > 1e-6).any():
        raise ModelError(f"{name}: a cutoff must lie between two of its bins")
    if (places < 0).any() or (places + horizon > len(series.values)).any():
        raise ModelError(f"{name}: a cutoff must have {horizon} steps of record after it, and none may lie before it")
    return places


def fine_windows(series: Series, places: NDArray[np.int64], steps: int) -> Floats:
    """The last `steps` bins before each place, NaN before the record. [N, T]"""
    padded = np.concatenate([np.full(steps, np.nan, np.float32), series.values])
    window: Floats = padded[places[:, None] + np.arange(steps)]
    return window


def _ahead(series: Series, places: NDArray[np.int64], horizon: int) -> Floats:
    window: Floats = series.values[places[:, None] + np.arange(horizon)]
    return window


def coarse_windows(series: Series, moments: NDArray[np.float64], grid: Grid) -> Floats:
    """Mean and max per complete clock-aligned block before each moment, as the scaler keeps them. [N, L, 2]

    A block is made of the bins that end within (start, start + coarse]; it is missing where fewer than half are known.
    """
    per = grid.coarse_seconds // series.step_seconds
    first = math.floor(series.start / grid.coarse_seconds + 1e-9)
    before = math.ceil((series.start - first * grid.coarse_seconds) / series.step_seconds - 1e-9)
    bins = np.concatenate([np.full(before, np.nan, np.float32), series.values])
    whole = len(bins) // per
    bins = bins[: whole * per].reshape(whole, per)
    blocks = np.concatenate([np.full((grid.coarse_steps, 2), np.nan, np.float32), summed_up(bins)])
    complete = np.clip(np.floor(np.asarray(moments) / grid.coarse_seconds).astype(np.int64) - first, 0, whole)
    window: Floats = blocks[complete[:, None] + np.arange(grid.coarse_steps)]
    return window

"""How good each expert was of late, and how much it therefore counts. Pure numpy.

Every minute the experts' quantiles of the coming peak are noted. When the window is over, their pinball losses are
known. An expert counts by its loss at this time of day on the last days, in the last two hours, and in the last week.
The weight is the loss to the power of -8: nearly the best expert alone, without a jump where two are alike.

Axes: N series, E experts (0 is the bundle), Q scored levels, P noted minutes.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scaler.series import PAST_KINDS, Floats

Integers = NDArray[np.int64]

LEVELS: Final = (0.5, 0.9, 0.95, 0.99)
EXPERTS: Final = ("bundle", *PAST_KINDS)
BIN_MINUTES = 5
BINS = 1440 // BIN_MINUTES
NEIGHBOURS = (-1, 0, 1, 2)
"""bins that are looked at: from 5 to 10 minutes before now to 10 to 15 minutes after"""
DAY_DECAY = 0.8
"""a loss of yesterday counts for 0.8 of one of today"""
HOURS_MINUTES = 120.0
WEEK_MINUTES = 7 * 1440.0
PARTS = (1.0, 0.5, 0.5)
"""weight of the losses at this time of day, of the last hours and of the last week"""
POWER = 8.0
PAST_FACTOR = 1.1
"""what the losses of past days are multiplied by: in doubt the bundle counts"""
UNKNOWN_FACTOR = 1.5
"""an expert without losses counts as one with this many times the loss of the bundle"""
MOST_SURPRISE = 20.0
"""times the mean loss of the week: where all experts lose more, as at an outlier, their losses count that much"""
NOTED = 16
LONGEST_WINDOW = 30
"""minutes; longer windows are scored by their first half hour"""
ROWS = 128
_LEAST = 1e-6


class Page:
    """The scores of ROWS triggers; NaN where no loss is known."""

    def __init__(self) -> None:
        experts = len(EXPERTS)
        self.by_time = np.full((ROWS, experts, BINS), np.nan, np.float16)
        """binary logarithm of the mean loss in five minutes of the day"""
        self.seen = np.zeros((ROWS, BINS), np.uint8)
        self.hours = np.full((ROWS, experts), np.nan, np.float32)
        self.week = np.full((ROWS, experts), np.nan, np.float32)
        self.count = np.zeros(ROWS, np.int32)
        """losses so far"""
        self.noted_at = np.full((ROWS, NOTED), -1, np.int64)
        """minute of local time in which quantiles were noted; -1 without"""
        self.noted_minutes = np.zeros((ROWS, NOTED), np.uint8)
        """how many minutes after that one show the demand of the window"""
        self.noted = np.full((ROWS, NOTED, experts, len(LEVELS)), np.nan, np.float32)
        self.period = np.zeros(ROWS, np.int32)
        """minutes of the cycle that was found; 0 without"""
        self.step = np.zeros(ROWS, np.int32)
        """minutes between two new numbers of demand; 0 where it may have one every minute"""
        self.searched_at = np.full(ROWS, -(10**9), np.int64)
        """minute in which a cycle and a step were last looked for"""

    def clear(self, row: int) -> None:
        self.by_time[row], self.hours[row], self.week[row], self.noted[row] = np.nan, np.nan, np.nan, np.nan
        self.seen[row], self.count[row], self.noted_at[row], self.period[row] = 0, 0, -1, 0
        self.step[row], self.searched_at[row] = 0, -(10**9)


def note(
    page: Page, rows: Integers, minute_N: Integers, window_N: Integers, quantiles_NEQ: Floats, lag_N: Integers
) -> None:
    """Keep what the experts expect of the window that begins now, once a minute. lag: see `lag_minutes`."""
    every_N = _stride(window_N)
    slot_N = minute_N // every_N % NOTED
    is_due = (minute_N % every_N == 0) & (page.noted_at[rows, slot_N] != minute_N)
    rows, slot_N = rows[is_due], slot_N[is_due]
    page.noted_at[rows, slot_N] = minute_N[is_due]
    page.noted_minutes[rows, slot_N] = (window_N + lag_N)[is_due]
    page.noted[rows, slot_N] = quantiles_NEQ[is_due]


def due(page: Page, rows: Integers, minute_N: Integers, window_N: Integers) -> tuple[Integers, Integers]:
    """Positions in `rows`, and slots, of the noted minutes whose window is over."""
    noted_NP = page.noted_at[rows]
    is_over = (noted_NP >= 0) & (noted_NP + window_N[:, None] + 1 < minute_N[:, None])
    position, slot = np.nonzero(is_over)
    return position, slot


def learn(page: Page, rows: Integers, slot_N: Integers, window_N: Integers, truth_N: Floats) -> None:
    """Take the losses of noted minutes into the scores. A row at most once per call. truth NaN: nothing is learned."""
    minute_N = page.noted_at[rows, slot_N].copy()
    page.noted_at[rows, slot_N] = -1
    known = ~np.isnan(truth_N)
    rows, slot_N, minute_N, truth_N = rows[known], slot_N[known], minute_N[known], truth_N[known]
    _take(page, rows, minute_N, _stride(window_N[known]), pinball(page.noted[rows, slot_N], truth_N))


def rehearse(page: Page, row: int, minute_M: Integers, quantiles_MEQ: Floats, truth_M: Floats) -> None:
    """Take the losses of past minutes of one row into its scores, ascending, a few minutes apart."""
    loss_ME = pinball(quantiles_MEQ, truth_M)
    every, rows = np.array([BIN_MINUTES]), np.array([row])
    for i in np.flatnonzero(~np.isnan(truth_M)).tolist():
        _take(page, rows, minute_M[i : i + 1], every, loss_ME[i : i + 1])


def _take(page: Page, rows: Integers, minute_N: Integers, every_N: Integers, loss_NE: Floats) -> None:
    loss_NE = _bounded(loss_NE, page.week[rows])
    bin_N = minute_N % 1440 // BIN_MINUTES
    seen_N, count_N = page.seen[rows, bin_N].astype(np.float32), page.count[rows].astype(np.float32)
    per_day = BIN_MINUTES / every_N
    page.by_time[rows, :, bin_N] = _moved_log(
        page.by_time[rows, :, bin_N], loss_NE, np.maximum(1 / (seen_N + 1), 1 - DAY_DECAY ** (1 / per_day))
    )
    page.hours[rows] = _moved(page.hours[rows], loss_NE, np.maximum(1 / (count_N + 1), every_N / HOURS_MINUTES))
    page.week[rows] = _moved(page.week[rows], loss_NE, np.maximum(1 / (count_N + 1), every_N / WEEK_MINUTES))
    page.seen[rows, bin_N] = np.minimum(seen_N + 1, 255).astype(np.uint8)
    page.count[rows] += 1


def _bounded(loss_NE: Floats, week_NE: Floats) -> Floats:
    """The losses, in the same proportion but smaller where all experts were surprised: one outlier is not a week."""
    best_N, usual_N = _smallest(loss_NE), _smallest(week_NE)
    with np.errstate(divide="ignore", invalid="ignore"):
        share_N = np.where(best_N > MOST_SURPRISE * usual_N, MOST_SURPRISE * usual_N / best_N, 1)
    return np.asarray(loss_NE * np.where(usual_N > 0, share_N, 1)[:, None], np.float32)


def _smallest(values_NE: Floats) -> Floats:
    """Of each series; NaN where none is known."""
    return np.asarray(np.fmin.reduce(values_NE, axis=1), np.float32)


def weights(page: Page, rows: Integers, minute_N: Integers) -> Floats:
    """How much each expert counts [N, E]; the sum over experts is 1."""
    bins = (minute_N[:, None] % 1440 // BIN_MINUTES + np.array(NEIGHBOURS)) % BINS
    at_time_NKE = np.exp2(page.by_time[rows[:, None], :, bins].astype(np.float32))
    return mixed(np.stack([_known_mean(at_time_NKE, 1), page.hours[rows], page.week[rows]]))


def mixed(loss_KNE: Floats) -> Floats:
    """Weights [N, E] from the losses at this time of day, of the last hours and of the last week; NaN is unknown."""
    parts = np.array(PARTS, np.float32)[:, None, None]
    known = ~np.isnan(loss_KNE)
    total = np.where(known, loss_KNE * parts, 0).sum(axis=0)
    share = np.where(known, parts, 0).sum(axis=0)
    loss_NE = np.where(share > 0, total / np.maximum(share, _LEAST), np.nan)
    loss_NE[:, 1:] *= PAST_FACTOR
    bundle_N1 = np.nan_to_num(loss_NE[:, :1], nan=1.0)
    loss_NE = np.where(np.isnan(loss_NE), UNKNOWN_FACTOR * bundle_N1, loss_NE)
    loss_NE[:, :1] = bundle_N1
    relative = loss_NE / np.maximum(loss_NE.min(axis=1, keepdims=True), _LEAST * np.maximum(bundle_N1, 1e-30))
    weight = np.maximum(relative, 1e-4) ** -POWER
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


def pinball(quantiles_NEQ: Floats, truth_N: Floats) -> Floats:
    """Mean pinball loss over `LEVELS` [N, E]. Koenker and Bassett 1978."""
    level = np.array(LEVELS, np.float32)
    above = truth_N[:, None, None] - quantiles_NEQ
    return np.asarray(np.maximum(level * above, (level - 1) * above).mean(axis=2), np.float32)


def _stride(window_N: Integers) -> Integers:
    """Minutes between two notes: all whose windows are not over must fit."""
    return -(-(window_N + 2) // (NOTED - 1))


def _moved(old_NE: Floats, new_NE: Floats, share_N: Floats) -> Floats:
    """Each mean, moved towards the new value; NaN counts as missing on both sides."""
    moved = old_NE + share_N[:, None] * (new_NE - old_NE)
    return np.where(np.isnan(new_NE), old_NE, np.where(np.isnan(old_NE), new_NE, moved)).astype(np.float32)


def _moved_log(old_NE: NDArray[np.float16], new_NE: Floats, share_N: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log2(np.maximum(_moved(np.exp2(old_NE.astype(np.float32)), new_NE, share_N), 1e-30))


def _known_mean(values: Floats, axis: int) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)

"""Quantiles of the coming demand from the same minutes of past days: the similar-day method, by the minute. Pure numpy.

A past day counts by its kind (same weekday, weekend), its age, and how much its last hour was like the last hour of
today. A day can be scaled to today's level first. The quantiles of demand are the weighted quantiles over the days: a
batch that starts every day at 02:30 is sharp to the minute, one that starts between 06:12 and 06:18 is wide by six.

Axes: N series, B minutes before now and including it, A minutes ahead, D past days, X windows and steps, Q levels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats, PastDays

LIKENESS_SHARPNESS = 8.0
"""a day whose last hour differed by a factor of e^(1/8) counts e times less"""
LEVEL_BLOCK_MINUTES = 10
"""the level is the mean over the last two blocks of this length, compared block by block"""
MOST_SCALING = 2.0
"""times that a past day is scaled to today's level, up or down"""
NEGLIGIBLE = 0.05
"""share of the mean demand that is added to both sides of a ratio: nights of zero differ by a factor of 1"""
AS_HIGH = 0.7
"""share of a peak from which on another one counts as as high"""
ENOUGH_KNOWN = 0.8
"""share of a window's minutes that must be known of a day"""
_DAY_BITS = np.uint32(15)
_NAN_BITS = np.uint32(0x7FC00000)
MOST_DAYS = 15
"""past days that can be sorted; see `_sorted_days`"""


class Kinds(NamedTuple):
    """How much past days count: `same` weekday, the `similar` ones (weekday or weekend) and `other` days."""

    same: float
    similar: float
    other: float
    half_life_days: float


ALL_DAYS = Kinds(2.0, 1.0, 0.3, 14.0)
SAME_WEEKDAY = Kinds(1.0, 0.02, 0.002, 28.0)
ALIKE = Kinds(1.0, 1.0, 1.0, 14.0)


class Quantiles(NamedTuple):
    """What one expert expects. NaN where no past day is known."""

    peaks_NWQ: Floats
    """of the largest demand in each window from now"""
    steps_NHQ: Floats
    """of the demand in each minute from now"""


class Comparison(NamedTuple):
    """Past days compared with today, by columns X = N series times (W windows and H steps)."""

    values_DX: Floats
    """as they would be today, ascending; 0 in place of what is not known, which comes last"""
    days_DX: NDArray[np.intp]
    """which day each value is of"""
    known_X: NDArray[np.uint8]
    """how many values are known"""
    likeness_ND: Floats
    """0 to 1"""
    windows: int


def compare(
    past: PastDays, windows: Sequence[int], steps: int, is_scaled: bool, lag_N: NDArray[np.int64]
) -> Comparison:
    """Past days as they would be today: the peaks over the first `windows` minutes, and the first `steps` minutes.

    A window of w minutes covers the observed minutes 1 to w + lag: what is observed is behind demand.
    """
    eps_N = NEGLIGIBLE * past.mean_N
    log_today_NB, log_before_NBD = _logs(past, eps_N)
    shift_ND = _shift(past, eps_N) if is_scaled else np.zeros_like(past.before_NBD[:, 0])
    likeness_ND = _likeness(log_today_NB, log_before_NBD, shift_ND)
    grown_NAD = _grown(past.ahead_NAD, eps_N, shift_ND)
    values_NXD = _peaks_and_steps(_behind(grown_NAD, lag_N), windows, steps)
    return Comparison(*_sorted_days(values_NXD), likeness_ND, len(windows))


def quantiles(compared: Comparison, day_weights_ND: Floats, levels: Sequence[float]) -> Quantiles:
    """Weighted quantiles over the days, by the midpoint rule: each day spans a share of the levels, its weight."""
    weights_ND = day_weights_ND * compared.likeness_ND
    series, days = weights_ND.shape
    owner_X = np.repeat(np.arange(series) * days, len(compared.known_X) // series)
    weights_DX = weights_ND.ravel()[owner_X + compared.days_DX]
    weights_DX *= np.arange(days)[:, None] < compared.known_X
    found_NXQ = _weighted(compared.values_DX, weights_DX, compared.known_X, levels).reshape(series, -1, len(levels))
    return Quantiles(found_NXQ[:, : compared.windows], found_NXQ[:, compared.windows :])


def days_with(compared: Comparison, window_N: NDArray[np.int64], peak_N: Floats) -> NDArray[np.int64]:
    """On how many days the peak was at least `AS_HIGH` of this one, and how many days are known [N, 2].

    window: index of the window of each series.
    """
    series = np.arange(len(window_N))
    columns = series * (len(compared.known_X) // len(series)) + window_N
    is_known_DN = np.arange(len(compared.values_DX))[:, None] < compared.known_X[columns]
    is_as_high_DN = compared.values_DX[:, columns] >= AS_HIGH * peak_N
    return np.stack([(is_known_DN & is_as_high_DN).sum(axis=0), is_known_DN.sum(axis=0)], axis=1)


def day_weights(kinds: Kinds, weekday_N: NDArray[np.int64], days: int) -> Floats:
    """Weight of each of the last `days` days [N, D], yesterday first. weekday: 0 is Monday."""
    age_D = np.arange(1, days + 1)
    then_ND = (weekday_N[:, None] - age_D) % 7
    is_same_ND = then_ND == weekday_N[:, None]
    is_similar_ND = (then_ND >= 5) == (weekday_N[:, None] >= 5)
    kind_ND = np.where(is_same_ND, kinds.same, np.where(is_similar_ND, kinds.similar, kinds.other))
    return (kind_ND * 0.5 ** (age_D / kinds.half_life_days)).astype(np.float32)


def _logs(past: PastDays, eps_N: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore"):
        return np.log(past.today_NB + eps_N[:, None]), np.log(past.before_NBD + eps_N[:, None, None])


def _shift(past: PastDays, eps_N: Floats) -> Floats:
    """Logarithm of today's level over that of each day [N, D]; 0 where it is not known.

    Only minutes that are known of both days are compared: a gap over an edge is no change of the level.
    """
    minutes = 2 * LEVEL_BLOCK_MINUTES
    then_NBD = past.before_NBD[:, -minutes:]
    now_NBD = np.broadcast_to(past.today_NB[:, -minutes:, None], then_NBD.shape)
    known_NBD = ~(np.isnan(then_NBD) | np.isnan(now_NBD))
    now_NKD, then_NKD = (_block_means(one, known_NBD) + eps_N[:, None, None] for one in (now_NBD, then_NBD))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_NKD = np.log(now_NKD) - np.log(then_NKD)
    known_NKD = np.isfinite(ratio_NKD)
    mean_ND = np.where(known_NKD, ratio_NKD, 0).sum(axis=1) / np.maximum(known_NKD.sum(axis=1), 1)
    return np.asarray(np.clip(mean_ND, -np.log(MOST_SCALING), np.log(MOST_SCALING)), np.float32)


def _block_means(minutes_NBD: Floats, known_NBD: NDArray[np.bool_]) -> Floats:
    """Means over two blocks [N, 2, D] of the known minutes; NaN without any."""
    series, _, days = minutes_NBD.shape
    parts, known = (one.reshape(series, 2, -1, days) for one in (minutes_NBD, known_NBD))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, parts, 0).sum(axis=2) / known.sum(axis=2), np.float32)


def _likeness(log_today_NB: Floats, log_before_NBD: Floats, shift_ND: Floats) -> Floats:
    difference = np.abs(log_today_NB[:, :, None] - log_before_NBD - shift_ND[:, None, :])
    known = np.isfinite(difference)
    count_ND = known.sum(axis=1)
    mean_ND = np.where(known, difference, 0).sum(axis=1) / np.maximum(count_ND, 1)
    return np.exp(-LIKENESS_SHARPNESS * np.where(count_ND > 0, mean_ND, 1.0)).astype(np.float32)


def _grown(ahead_NAD: Floats, eps_N: Floats, shift_ND: Floats) -> Floats:
    if not shift_ND.any():
        return ahead_NAD
    eps = eps_N[:, None, None]
    return np.asarray(np.maximum((ahead_NAD + eps) * np.exp(shift_ND)[:, None, :] - eps, 0), np.float32)


def _behind(ahead_NAD: Floats, lag_N: NDArray[np.int64]) -> Floats:
    """The minutes from the first one that a step shows: with a lag of 0 each step begins a minute sooner."""
    behind_NAD = ahead_NAD.copy()
    sooner = lag_N == 0
    behind_NAD[sooner, 1:] = ahead_NAD[sooner, :-1]
    return behind_NAD


def _peaks_and_steps(ahead_NAD: Floats, windows: Sequence[int], steps: int) -> Floats:
    """[N, X, D]: the peaks over the windows, then the steps; NaN where too little is known of a day."""
    last = np.asarray(windows)
    peak_NAD = np.fmax.accumulate(ahead_NAD, axis=1)
    known_NAD = np.cumsum(~np.isnan(ahead_NAD), axis=1, dtype=np.uint8)
    enough = known_NAD[:, last] >= np.ceil(ENOUGH_KNOWN * (last + 1))[:, None]
    peaks_NWD = np.where(enough, peak_NAD[:, last], np.nan)
    steps_NHD = np.fmax(ahead_NAD[:, :steps], ahead_NAD[:, 1 : steps + 1])
    return np.concatenate([peaks_NWD, steps_NHD], axis=1)


def _sorted_days(values_NXD: Floats) -> tuple[Floats, NDArray[np.intp], NDArray[np.uint8]]:
    """Values ascending by day, the day of each, and how many are known.

    The bits of positive floats are in the order of their values. So the day can take the place of the four lowest bits
    (2e-6 of the value), and one sort of integers gives both, in a quarter of the time of argsort.
    """
    bits = np.ascontiguousarray(values_NXD, np.float32).view(np.uint32)
    keys = (bits & ~_DAY_BITS) | np.arange(values_NXD.shape[2], dtype=np.uint32)
    keys[np.isnan(values_NXD)] |= _NAN_BITS
    keys.sort(axis=2)
    keys_DX = np.ascontiguousarray(keys.reshape(-1, keys.shape[2]).T)
    is_known_DX = keys_DX < _NAN_BITS
    values_DX = np.where(is_known_DX, (keys_DX & ~_DAY_BITS).view(np.float32), 0)
    return values_DX, (keys_DX & _DAY_BITS).astype(np.intp), np.add.reduce(is_known_DX, axis=0, dtype=np.uint8)


def _weighted(values_DX: Floats, weights_DX: Floats, known_X: NDArray[np.uint8], levels: Sequence[float]) -> Floats:
    """The quantiles of each column [X, Q]; `known` counts the values, which come first. NaN without any weight."""
    total_X = weights_DX.sum(axis=0)
    middle_DX = np.cumsum(weights_DX, axis=0)
    middle_DX -= 0.5 * weights_DX
    middle_DX /= np.maximum(total_X, 1e-30)
    columns, last_X = np.arange(len(total_X)), np.maximum(known_X.astype(np.int64) - 1, 0)
    values, middle = values_DX.ravel(), middle_DX.ravel()
    found_XQ = np.empty((len(total_X), len(levels)), np.float32)
    for q, level in enumerate(levels):
        below_X = np.add.reduce(middle_DX < level, axis=0, dtype=np.uint8)
        upper_X = np.minimum(below_X, last_X)
        high, low = columns + len(columns) * upper_X, columns + len(columns) * np.maximum(upper_X - 1, 0)
        width_X = middle[high] - middle[low]
        share_X = np.where(width_X > 0, np.clip((level - middle[low]) / np.maximum(width_X, 1e-9), 0, 1), 1)
        found_XQ[:, q] = values[low] + share_X * (values[high] - values[low])
    found_XQ[total_X <= 0] = np.nan
    return found_XQ

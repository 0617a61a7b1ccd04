"""Findings in recorded demand that models must not learn from: described, masked in training, never altered.

Values stay as recorded, and gaps stay NaN. These are marked:

counter   the whole series only rises, and falls back to about 0 at times: a raw counter, whose query lacks `rate()`
outage    demand falls to about 0, stays there and recovers, at a time at which it usually is far from 0
anomaly   demand is outside everything usual at this time: a robust residual test against the same time of the days
          and weeks around (median and median absolute deviation: Iglewicz and Hoaglin, "How to detect and handle
          outliers", 1993), brought to one level, so that growth, level shifts and regular peaks are usual; demand
          that also occurred at this time on a few other days is no anomaly, however far from most days it is
listed    the scaler has listed it as an anomaly, and the run was told to do without (without.py)

In a series with frequent bursts, bursts are normal: nothing is marked, and the report states it.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

from scaler.series import Floats
from training.data.load import DAY_SECONDS, Loaded, Refused, Series, moment_text
from training.data.windows import Truth, Windows

Kind: TypeAlias = Literal["counter", "outage", "anomaly", "listed", "restless", "unchecked"]
Marks: TypeAlias = NDArray[np.bool_]

DAYS_AROUND = 7
WEEKS_AROUND = 4
FEWEST_DAYS = 3
"""with less, usual demand is unknown"""
LEVEL_MINUTES = 360
"""the level of demand is its median over this time"""
SHIFT_MINUTES = 10
"""demand may rise or fall this much earlier or later than on other days"""

NEAR_ZERO = 0.05
"""of the usual demand"""
MOST_OFTEN_ZERO = 0.15
"""if more of the other days are near zero at this time, that is usual"""
SUDDEN = 0.3
"""an outage begins and ends next to demand of at least this share of the usual; a holiday does not"""
OUTAGE_MINUTES = (3, 3 * 1440)
"""shortest and longest outage; a longer one means that the workload was switched off"""
MOST = 0.9
"""share that counts as all"""

ODD = 8.0
"""robust standard deviations beyond all that is usual at this time, from which a moment is an anomaly"""
ODDER_THAN_MOST = 3.0
"""an anomaly also deviates this many times as much as all but one in 200 moments of its series"""
AT_ITS_EDGES = 4.0
"""robust standard deviations, from which the moments next to an anomaly belong to it"""
RECURS_DAYS = 2
"""demand that deviated as far on this many other days around this time recurs: it is to be expected"""
RECURS_MINUTES = 30
"""this much earlier or later than on those days"""
AS_FAR = 0.5
"""this share of the deviation counts as equally far"""
SMOOTH_MINUTES = 30
"""the spread is averaged over this time in both directions"""
SMALLEST_SPREAD = 0.05
"""of the level: any demand varies by this much"""

COMMON: Mapping[Kind, tuple[float, float]] = {"outage": (1 / 3, 0.15), "anomaly": (2.0, 0.01)}
"""most per day, and largest share of the record: with more, they are normal for the series, and none is marked"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding in a series. [since, until) in seconds since the epoch."""

    kind: Kind
    since: float
    until: float
    words: str

    @property
    def record(self) -> dict[str, str]:
        """For the record of a run."""
        since, until = (f"{moment_text(moment)}Z" for moment in (self.since, self.until))
        return {"kind": self.kind, "since": since, "until": until, "words": self.words}

    def __str__(self) -> str:
        return f"{self.kind} {moment_text(self.since)} to {moment_text(self.until)}: {self.words}"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A series as recorded, and the bins that training must not learn from. mask_S: True for those."""

    series: Series
    mask_S: Marks
    report: tuple[Finding, ...]

    @property
    def name(self) -> str:
        return f"{self.series.system}/{self.series.name}"

    @property
    def kept(self) -> Series:
        """A copy with NaN where the mask is: for models that are fitted to the whole record."""
        return replace(self.series, values=_without(self.series.values, self.mask_S))


def without_counters(loaded: Loaded) -> Loaded:
    """The series without raw counters; these join the refused, with the reason."""
    found = [(one, _counter(one.values)) for one in loaded.series]
    refused = tuple(Refused(one.system, one.name, words) for one, words in found if words)
    return Loaded(tuple(one for one, words in found if not words), loaded.refused + refused)


def clean(series: Series) -> Cleaned:
    """The mask for training and its reasons, from the whole record, later values included."""
    nothing = np.zeros(len(series.values), np.bool_)
    if words := _counter(series.values):
        return Cleaned(series, ~nothing, (Finding("counter", series.start, series.end, words),))
    if len(series.values) * series.step_seconds < FEWEST_DAYS * DAY_SECONDS or DAY_SECONDS % series.step_seconds:
        words = f"fewer than {FEWEST_DAYS} days, or no whole number of steps a day: usual demand is unknown"
        return Cleaned(series, nothing, (Finding("unchecked", series.start, series.end, words),))
    if not (series.values > 0).any():
        return Cleaned(series, nothing, ())
    expected_S, busy_S = _expected(series)
    outage_S, outages = _judged("outage", series, _outages(series, expected_S, busy_S), expected_S)
    rest = replace(series, values=_without(series.values, outage_S))
    anomalous_S, usual_S = _deviation(rest)
    anomaly_S, anomalies = _judged("anomaly", series, _anomalies(series, anomalous_S), usual_S)
    mask_S = (outage_S | anomaly_S) & ~np.isnan(series.values)
    return Cleaned(series, mask_S, tuple(sorted((*outages, *anomalies), key=lambda one: one.since)))


def _judged(kind: Kind, series: Series, found: Iterable[slice], usual_S: Floats) -> tuple[Marks, list[Finding]]:
    """Which of the runs to mark, and the findings. Marks: [S]"""
    runs = list(found)
    marks_S = _marks(series, runs)
    a_day, of_record = COMMON[kind]
    if marks_S.mean() > of_record or len(runs) > max(FEWEST_DAYS, a_day * (series.end - series.start) / DAY_SECONDS):
        times = f"{len(runs)} times like an {kind}, {marks_S.mean():.1%} of the record"
        words = f"{times}: normal for this series, nothing is marked"
        return np.zeros_like(marks_S), [Finding("restless", series.start, series.end, words)]
    if kind == "anomaly":
        above_S = series.values - usual_S
        runs = [run for run in runs if not _recurs(series, above_S, run)]
    return _marks(series, runs), [_finding(kind, series, run, usual_S) for run in runs]


def _furthest(above_S: Floats, run: slice) -> int:
    """Where in the run demand was furthest from the usual; its begin if that is unknown."""
    above = np.nan_to_num(np.abs(above_S[run]), nan=-1.0)
    return int(run.start) + int(np.argmax(above))


def _marks(series: Series, runs: Sequence[slice]) -> Marks:
    marks_S = np.zeros(len(series.values), np.bool_)
    for run in runs:
        marks_S[run] = True
    return marks_S


def _finding(kind: Kind, series: Series, run: slice, usual_S: Floats) -> Finding:
    far = _furthest(series.values - usual_S, run)
    words = f"demand of {series.values[far]:.3g} where {usual_S[far]:.3g} is usual at this time"
    since, until = (series.start + series.step_seconds * place for place in (run.start, run.stop))
    return Finding(kind, since, until, words)


def without_marked(windows: Windows, cleaned: Sequence[Cleaned]) -> Windows:
    """The same windows with unknown truth (NaN) where it is marked; the past stays as a forecaster sees it.

    `cleaned` in the order of `windows.names`.
    """
    demand = windows.truth.demand_NH.copy()
    ahead = np.arange(demand.shape[1])
    for position, one in enumerate(cleaned):
        rows = np.flatnonzero(windows.series_N == position)
        before = np.rint((windows.cutoff_N[rows] - one.series.start) / one.series.step_seconds).astype(np.int64)
        demand[rows] = np.where(one.mask_S[before[:, None] + ahead], np.float32(np.nan), demand[rows])
    return replace(windows, truth=Truth(demand))


def _counter(values: Floats) -> str:
    """Why these are the readings of a counter; empty if they are not."""
    known = values[~np.isnan(values)].astype(np.float64)
    moves = np.diff(known)
    rises, falls = int((moves > 0).sum()), np.flatnonzero(moves < 0)
    if rises < 100 or rises < 0.2 * len(moves) or len(falls) > 0.002 * rises:
        return ""
    if (known[falls + 1] > 0.5 * known[falls]).any() or moves[moves > 0].sum() < 20 * np.quantile(moves, 0.99):
        return ""
    resets = f"falls back {len(falls)} times" if len(falls) else "never falls"
    return f"rises {rises} times and {resets}: a raw counter; its query lacks rate() or increase()"


def _lags(series: Series) -> tuple[list[int], list[int]]:
    """In steps: the days around, and the same weekday of the weeks around."""
    per_day = DAY_SECONDS // series.step_seconds
    days = [per_day * day for day in range(-DAYS_AROUND, DAYS_AROUND + 1) if day]
    return days, [7 * per_day * week for week in range(-WEEKS_AROUND, WEEKS_AROUND + 1) if week]


def _expected(series: Series) -> tuple[Floats, Marks]:
    """Median demand at this time on other days, and where it was hardly ever near zero then. Both [S].

    Only the same weekday counts if there are enough of them: others may be closed.
    """
    days, weeks = (_at_this_time(series.values, lags) for lags in _lags(series))
    enough_S = weeks[2] >= FEWEST_DAYS
    expected_S = np.where(enough_S, weeks[0], np.fmin(days[0], weeks[0]))
    zero_S = np.where(enough_S, weeks[1], np.fmax(days[1], weeks[1]))
    return expected_S, (zero_S <= MOST_OFTEN_ZERO) & (expected_S > 0)


def _at_this_time(values: Floats, lags: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """Median of the days at `lags`, the share of them that was near zero, and how many are on record. Each [S]"""
    others_KS = _lagged(values, lags)
    median_S = _median(others_KS)
    count_S = np.asarray((~np.isnan(others_KS)).sum(axis=0), np.float32)
    return median_S, (others_KS <= NEAR_ZERO * median_S).sum(axis=0) / np.maximum(count_S, 1), count_S


def _outages(series: Series, expected_S: Floats, busy_S: Marks) -> Iterator[slice]:
    """Runs of bins near zero that begin and end suddenly, at times that are busy on other days; gaps do not end one."""
    known = np.flatnonzero(~np.isnan(series.values))
    values, expected, busy = series.values[known], expected_S[known], busy_S[known]
    no_progress = values <= NEAR_ZERO * expected
    shortest, longest = (_steps(series, minutes) for minutes in OUTAGE_MINUTES)
    shortest = max(shortest, _longest_by_chance(no_progress[busy]) + 1)
    for run in _runs(no_progress, 0):
        lasts = shortest <= run.stop - run.start <= longest
        if lasts and busy[run].mean() > MOST and _is_sudden(values, expected, run, _steps(series, SHIFT_MINUTES, 2)):
            yield slice(int(known[run.start]), int(known[run.stop - 1]) + 1)


def _longest_by_chance(no_progress: Marks) -> int:
    """The longest run of zero steps that occurs once in 100 such series, if each step is zero by chance."""
    count = max(len(no_progress), 2)
    share = np.clip(no_progress.mean() if len(no_progress) else 0.0, 1 / count, 0.99)
    return int(np.log(0.01 / count) / np.log(share))


def _is_sudden(values: Floats, expected: Floats, run: slice, reach: int) -> bool:
    """Whether demand was usual shortly before and shortly after the run."""
    before, after = values[max(0, run.start - reach) : run.start], values[run.stop : run.stop + reach]
    first, last = expected[max(0, run.start - 1) : run.start + 1], expected[run.stop - 1 : run.stop + 1]
    if not len(before) or not len(after):
        return False
    return bool(before.mean() >= SUDDEN * np.nanmax(first) and after.mean() >= SUDDEN * np.nanmax(last))


def _deviation(series: Series) -> tuple[Floats, Floats]:
    """How many robust standard deviations demand is outside the usual range at this time (0 within), and the usual.

    Both [S]. Other days are first brought to the level of this one. Of the days around and the same weekdays, the
    smaller deviation counts.
    """
    values = series.values
    hours = _steps(series, LEVEL_MINUTES) // 2 * 2 + 1
    rolling = pd.Series(values).rolling(hours, center=True, min_periods=max(1, hours // 6))
    level_S = np.asarray(rolling.median(), np.float32)
    days, weeks = (_usual(series, level_S, lags) for lags in _lags(series))
    beyond_S = np.fmin(days.beyond(values), weeks.beyond(values))
    spread_S = np.fmax(days.spread_S, _smooth(days.spread_S, _steps(series, SMOOTH_MINUTES)))
    smallest_S = SMALLEST_SPREAD * np.fmax(level_S, np.nanmean(values))
    return np.asarray(np.nan_to_num(beyond_S / np.fmax(spread_S, smallest_S)), np.float32), days.middle_S


@dataclass(frozen=True)
class _Usual:
    """Demand at the same time of other days, brought to the level of this one. All [S]; NaN if no other is recorded."""

    middle_S: Floats
    """median"""
    low_S: Floats
    """median of the smallest demand within some minutes of this time"""
    high_S: Floats
    """median of the largest"""
    spread_S: Floats
    """robust standard deviation, at least that of Poisson counts"""

    def beyond(self, values: Floats) -> Floats:
        """How far demand is above or below the usual range; 0 within it."""
        beyond: Floats = np.maximum(np.maximum(values - self.high_S, self.low_S - values), 0)
        return beyond


def _usual(series: Series, level_S: Floats, lags: Sequence[int]) -> _Usual:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_KS = np.clip(level_S / _lagged(level_S, lags), 0.1, 10)
    ratio_KS[~np.isfinite(ratio_KS)] = 1
    reach = _steps(series, SHIFT_MINUTES, least=0)
    low_S, high_S = (_median(_lagged(_extreme(series.values, reach, sign), lags) * ratio_KS) for sign in (-1, 1))
    others_KS = _lagged(series.values, lags) * ratio_KS
    middle_S = _median(others_KS)
    spread_S = np.float32(1.4826) * _median(np.abs(others_KS - middle_S))
    grain, known = _grain(series.values), np.maximum((~np.isnan(others_KS)).sum(axis=0), 1)
    by_chance_S = np.sqrt(grain * np.nansum(others_KS, axis=0) / known) + grain / 2
    return _Usual(middle_S, low_S, high_S, np.fmax(spread_S, by_chance_S))


def _grain(values: Floats) -> float:
    """The unit in which demand is counted: Poisson noise has the deviation sqrt(grain * mean); 0 if unknown."""
    known = values[values > 0].astype(np.float64)
    grain = float(known.min())
    return grain if (np.abs(known / grain - np.rint(known / grain)) < 1e-3).mean() > MOST else 0.0


def _smooth(values: Floats, steps: int) -> Floats:
    return np.asarray(pd.Series(values).rolling(2 * steps + 1, center=True, min_periods=1).mean(), np.float32)


def _lagged(values: Floats, lags: Sequence[int]) -> Floats:
    """`values` shifted by steps (negative: earlier), NaN beyond the record. [K, S]"""
    rows_KS = np.full((len(lags), len(values)), np.nan, np.float32)
    for row, lag in zip(rows_KS, lags, strict=True):
        if 0 < lag < len(values):
            row[:-lag] = values[lag:]
        elif 0 < -lag < len(values):
            row[-lag:] = values[:lag]
    return rows_KS


def _median(rows_KS: Floats) -> Floats:
    """Median of the known values of each column; NaN without any. (np.nanmedian, ten times as fast.)"""
    ascending = np.sort(rows_KS, axis=0)
    known = (~np.isnan(rows_KS)).sum(axis=0)
    low, high = (np.take_along_axis(ascending, np.maximum(at, 0)[None], 0)[0] for at in ((known - 1) // 2, known // 2))
    return np.asarray(np.where(known > 0, low / 2 + high / 2, np.nan), np.float32)


def _extreme(values: Floats, reach: int, sign: int) -> Floats:
    """Largest (sign 1) or smallest (-1) demand within `reach` steps of each; NaN if none is known."""
    gaps = np.isnan(values)
    widest = ndimage.maximum_filter1d(np.where(gaps, -np.inf, sign * values), 2 * reach + 1, mode="nearest")
    return np.where(np.isfinite(widest), sign * widest, np.nan).astype(np.float32)


def _without(values: Floats, marks: Marks) -> Floats:
    return np.asarray(np.where(marks, np.nan, values), np.float32)


def _anomalies(series: Series, anomalous_S: Floats) -> Iterator[slice]:
    """Anomalous runs, each with the less anomalous moments on both sides. Slices of bins."""
    limit = max(ODD, ODDER_THAN_MOST * float(np.quantile(anomalous_S, 0.995)))
    for run in _runs(anomalous_S > AT_ITS_EDGES / ODD * limit, _steps(series, SHIFT_MINUTES)):
        if anomalous_S[run].max() > limit:
            yield run


def _recurs(series: Series, above_S: Floats, run: slice) -> bool:
    """Whether demand deviated as far on other days around the time of the run."""
    far = above_S[_furthest(above_S, run)]
    as_far_S = above_S * np.sign(far) >= AS_FAR * abs(far)
    reach = _steps(series, RECURS_MINUTES, least=0)
    others = {*itertools.chain(*_lags(series))}
    around = ((run.start + lag - reach, run.stop + lag + reach) for lag in others)
    return sum(bool(as_far_S[max(0, first) : max(0, end)].any()) for first, end in around) >= RECURS_DAYS


def _runs(marks: Marks, apart: int) -> list[slice]:
    """Runs where `marks` are set; runs at most this many steps apart are joined."""
    places = np.flatnonzero(marks)
    if not len(places):
        return []
    pieces = np.split(places, np.flatnonzero(np.diff(places) > apart + 1) + 1)
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _steps(series: Series, minutes: float, least: int = 1) -> int:
    return max(least, round(minutes * 60 / series.step_seconds))

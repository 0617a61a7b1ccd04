"""The values that travel: trigger → history → forecast → plan → metric.

Axes: N series, T fine past steps, L coarse past blocks, H future steps, W window lengths, Q quantile levels.
Times are seconds since the epoch (float, UTC). Demand is float32 in the units of the trigger's query; NaN is "missing".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaler.recurrence import DAY_MINUTES as DAY_MINUTES
from scaler.recurrence import Recurrence

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grid:
    """The two resolutions on which a bundle wants history."""

    step_seconds: int = 60
    """seconds between two fine samples"""
    steps: int = 1440
    """T: how many fine samples"""
    coarse_seconds: int = 900
    """seconds of one coarse block; blocks are aligned to the clock (their start is a multiple of this)"""
    coarse_steps: int = 2688
    """L: how many complete coarse blocks"""

    @property
    def fine_span_seconds(self) -> int:
        return self.step_seconds * self.steps

    @property
    def coarse_span_seconds(self) -> int:
        return self.coarse_seconds * self.coarse_steps


@dataclass(frozen=True, slots=True)
class Gap:
    """Moments from `first` to `last` for which a source has no usable answer, and its reason."""

    first: float
    last: float
    why: str
    may_close: bool = False
    """whether the source may have the answer later, as after an outage of one of its stores"""

    def __str__(self) -> str:
        begin, end = (datetime.fromtimestamp(moment, UTC) for moment in (self.first, self.last))
        if end == begin:
            return f"{begin:%d %b %Y %H:%M} UTC: {self.why}"
        same_day = begin.date() == end.date()
        return f"{begin:%d %b %Y %H:%M} to {end:{'%H:%M' if same_day else '%d %b %Y %H:%M'}} UTC: {self.why}"


def within(moments: NDArray[np.float64], gaps: Iterable[Gap]) -> NDArray[np.bool_]:
    """Which of the moments lie in a gap."""
    ends = np.array(sorted((gap.first, gap.last) for gap in gaps), dtype=np.float64).reshape(-1, 2)
    last = np.concatenate([[-np.inf], np.maximum.accumulate(ends[:, 1])])
    return moments <= last[np.searchsorted(ends[:, 0], moments, side="right")]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a source returned for one trigger: times ascending and unique [S], values [S], never NaN or infinite."""

    times: NDArray[np.float64]
    values: Floats
    gaps: tuple[Gap, ...] = ()
    """ascending; moments without a sample that are in no gap had no demand to return"""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Mean and max of demand per clock-aligned block. `starts` ascending and unique [B]; `mean`, `max` [B]."""

    starts: NDArray[np.float64]
    mean: Floats
    max: Floats
    gaps: tuple[Gap, ...] = ()
    """from the start of the first block that could not be read to the end of the last, ascending"""


@dataclass(frozen=True, slots=True)
class HistoryBatch:
    """History of N triggers on one grid, as a bundle's graph wants it; all end at the same moment.

    history_NT: demand, oldest first; the last sample is at `end`. NaN where missing.
    long_history_NL2: mean and max per coarse block, oldest first; the last block is the last one *complete* at `end`.
    local_time_N: int64 seconds since the epoch of `end`, shifted to each trigger's local time.
    """

    keys: Sequence[str]
    end: float
    history_NT: Floats
    long_history_NL2: Floats
    local_time_N: NDArray[np.int64]

    def take(self, rows: Sequence[int]) -> "HistoryBatch":
        """Those triggers alone, in the order of `rows`."""
        chosen = np.asarray(rows, np.int64)
        return HistoryBatch(
            [self.keys[i] for i in rows],
            self.end,
            self.history_NT[chosen],
            self.long_history_NL2[chosen],
            self.local_time_N[chosen],
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles of demand for each future step, with the moment from which the steps count.

    Step h (0-based) covers (start + h * step_seconds, start + (h + 1) * step_seconds].
    quantiles_HQ: finite, >= 0, sorted along Q. peaks_WQ: quantiles of the running maximum over the first
    peak_steps[w] steps, or None where the bundle gives none.
    """

    start: float
    step_seconds: float
    levels: tuple[float, ...]
    quantiles_HQ: Floats
    peak_steps: tuple[int, ...]
    peaks_WQ: Floats | None
    model: str
    """bundle name and version, as `seasonal@1`"""
    past_shares: tuple[float, ...] = ()
    """weight of each of `PAST_KINDS` in the forecast; empty where it is the bundle's alone"""
    days_alike: tuple[int, int] = (0, 0)
    """on how many past days demand was about as high as is expected now, and how many are known"""
    recurrence: Recurrence | None = None
    """the edge of past days that is about to come, or has just come; None where there is none"""
    data_step_seconds: float = 0.0
    """between two new numbers of demand, where it was seen to have one less often than every minute; else 0"""

    @property
    def end(self) -> float:
        return self.start + self.step_seconds * len(self.quantiles_HQ)

    @property
    def past_share(self) -> float:
        """Weight of past days in the forecast, 0 to 1."""
        return sum(self.past_shares)

    @property
    def basis(self) -> str:
        """What the forecast is made of, as `80 % past days, 20 % general@1`: all with a share of a twentieth and more.

        Where past days make up most of it, also what they show: `every weekday at 09:00 since 2 March (10 of 10), × 9`.
        """
        shares = dict(zip(PAST_KINDS, self.past_shares, strict=False)) | {self.model: 1 - self.past_share}
        shown = sorted((name for name in shares if shares[name] >= SHOWN_SHARE), key=lambda name: -shares[name])
        if shown == [self.model]:
            return self.model
        parts = ", ".join(f"{100 * shares[name]:.0f} % {PAST_NAMES.get(name, name)}" for name in shown)
        alike, known = self.days_alike
        if self.past_share < MOSTLY:
            return parts
        if self.recurrence is not None:
            return f"{parts}: {self.recurrence.sentence}"
        return f"{parts} (as on {alike} of {known} past days)" if known else parts


@dataclass(frozen=True, slots=True)
class HoursAhead:
    """Quantiles of the mean demand of the hours after `start` [H, Q], for people; no answer to KEDA rests on them."""

    start: float
    levels: tuple[float, ...]
    quantiles_HQ: Floats | None
    """None: the history is too short"""
    basis: str
    """what they are made of"""
    source: str
    """which history they are made from"""
    reach_hours: int
    """how far back that goes"""
    known_hours: int
    """how many of these hours are known"""


PAST_KINDS = ("days", "weekday", "cycle")
"""what past days can be compared as: scaled to today, the same weekday, periods of a cycle"""
PAST_NAMES = {"days": "past days", "weekday": "past weekdays", "cycle": "earlier cycles"}
SHOWN_SHARE, MOSTLY = 0.05, 0.5


class PastDays(NamedTuple):
    """Demand by the minute around now, today and on D past days, the last one first. NaN where it is not known.

    The days can be other stretches that repeat: periods of a cycle.
    """

    today_NB: Floats
    """the last B minutes; the last one is now"""
    before_NBD: Floats
    """the same minutes on past days"""
    ahead_NAD: Floats
    """the next A minutes on past days"""
    mean_N: Floats
    """of all minutes that are known"""
    weekday_N: NDArray[np.int64]
    """of now, in local time; 0 is Monday"""

    def take(self, rows: NDArray[np.int64]) -> "PastDays":
        """Those series alone, in the order of `rows`."""
        today, before, ahead, mean, weekday = self
        return PastDays(today[rows], before[rows], ahead[rows], mean[rows], weekday[rows])


@dataclass(frozen=True, slots=True)
class MinuteDay:
    """One local day of a trigger's demand by the minute, as it is stored.

    Minute m of the day, 0-based, is the one that ends m minutes after midnight.
    """

    key: str
    """of the trigger's history"""
    zone: str
    """IANA time zone of the day"""
    day: int
    """days from the epoch of local time"""
    demand_M: Floats
    """[DAY_MINUTES]; NaN where it is unknown"""
    complete: int
    """so many minutes, from the first, need not be fetched: what is unknown there, the source does not have either"""


RECENT_SECONDS = 900
"""how far back `Observation.recent_peak` looks"""


@dataclass(frozen=True, slots=True)
class Observation:
    """The newest demand a source returned, and what the planner must know of the demand before it."""

    at: float
    value: float
    recent_peak: float
    """largest demand observed in the last `RECENT_SECONDS`, this one included"""
    history_peak: float
    """largest demand in all history kept for the trigger, this one included"""


FURTHEST_AHEAD_SECONDS = 30.0
"""how far ahead a moment may lie: one from further ahead comes from a clock that is wrong, or was set back since"""

REMEMBERED: Mapping[str, tuple[float, float]] = {
    "growth": (1.0, 2.0),
    "level_shift": (0.0, 10.0),
    "lost_by": (0.0, 1000.0),
    "calibration": (1.0, 2.0),
    "answered": (0.0, 1e300),
    "returning": (0.0, 1e300),
    "replicas": (1.0, 2.0**31 - 1),
    "replicas_20_syncs": (1.0, 2.0**31 - 1),
    "replicas_1_sync": (1.0, 2.0**31 - 1),
}
"""the range of each conclusion of the planner that an outlook can hold, by name"""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a refresh publishes for one trigger: all that a plan is made of besides the trigger and the time.

    `counts_from` lies a little after the moment of issue, so that replicas which receive it at different times
    still answer equally for the same moment.
    """

    counts_from: float
    observation: Observation | None
    forecast: Forecast | None
    error: str = ""
    """why the observation is old or missing, in the source's own words; empty when all is well"""
    remembered: Mapping[str, float] = field(default_factory=dict)
    """what the planner concluded from earlier observations and answers, by name; see scaler/plan/memory.py"""

    @property
    def order(self) -> tuple[float, float, float]:
        """Of two outlooks of one trigger, the greater one is newer: by what was known, and then by when it counts."""
        observed_at = self.observation.at if self.observation is not None else 0.0
        return observed_at, self.forecast.start if self.forecast is not None else 0.0, self.counts_from

    def is_ahead(self, now: float, staleness_seconds: float) -> bool:
        """Whether a moment in it lies so far ahead that a clock is wrong, or was set back since: the observation may
        lie ahead as far as it may be old."""
        seen = self.observation
        is_unusable = seen is not None and seen.at > now + staleness_seconds
        return is_unusable or max(self.order) > now + FURTHEST_AHEAD_SECONDS


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """What the refresh knows of one trigger's history. Moments are seconds since the epoch, spans are seconds."""

    model: str
    """the bundle that will forecast, as `seasonal@1`"""
    observed_at: float | None
    """when the newest observation was made"""
    forecast_at: float | None
    """when the newest forecast was issued"""
    covered_seconds: float
    """history that is there"""
    needed_seconds: float
    """the least history that the bundle forecasts from"""
    wanted_seconds: float
    """the history that it can make use of"""
    is_backfilled: bool
    """whether the past has been fetched, as far as the source has it"""
    error: str = ""
    """why the newest observation failed; empty when it did not"""
    backfill_error: str = ""
    """why the last attempt to fetch the past failed; empty when it did not"""
    retry_at: float | None = None
    """when the failed attempt is repeated"""
    gaps: tuple[Gap, ...] = ()
    """stretches of the past that the source could not answer"""

"""Edges that recur: at which time of the local day demand rises, on which days it did, since when and by how much.

It explains a forecast and changes nothing in it. Pure numpy.

Axes: N series, M minutes around now, D past days, yesterday first.
"""

from collections.abc import Iterable, Sequence, Set
from statistics import median_low
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaler.forecast.similar_days import NEGLIGIBLE
from scaler.recurrence import FROM_NOTHING, KINDS, Recurrence
from scaler.series import DAY_MINUTES, Floats, PastDays

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

LEAST_RISE = 1.5
"""times demand before it, from which on a rise is an edge"""
RISE_MINUTES = 5
"""within which it must rise so much"""
BACK_MINUTES = 15
"""before now that are looked at: an edge may have come earlier on some days"""
AHEAD_MINUTES = 32
"""of past days that are looked at"""
SHOWN_MINUTES = 10
"""after the latest time of an edge, in which it explains a forecast"""
STARTED = 0.1
"""share of a rise at which it has started: the first minute of a rate shows a part of it …"""
CLEARLY = 1.15
"""… times demand before it, which is more than noise"""
NEAR_MINUTES = 15
"""between an edge and the median of all days, beyond which it is another one"""
ENOUGH_KNOWN = 0.6
"""share of the minutes that must be known of a day"""
FEWEST, MOSTLY = 2, 0.5
"""days, and share of the days, on which it must have come"""
_THURSDAY = 3
"""the epoch's day of the week"""


class Day(NamedTuple):
    """One past day; see `Rises`. came: whether it had a rise of the expected kind."""

    ratio: float
    minute: int
    is_known: bool
    came: bool


class Rises(NamedTuple):
    """The steepest rise of each day around now."""

    ratio_ND: Floats
    """demand after it over demand before; 1 without any"""
    minute_ND: Integers
    """the minute, from now on, in which it starts"""
    known_ND: Booleans
    """whether enough is known of the day"""


def recurrences(past: PastDays, minute_N: Integers, rise_N: Floats) -> list[Recurrence | None]:
    """The edge that comes next and was there on past days; None where there is nothing to say.

    minute: of local time, now. rise: expected demand over demand now.
    """
    ratio_ND, minute_ND, known_ND = rises(past)
    came_ND = known_ND & (ratio_ND >= np.maximum(LEAST_RISE, np.sqrt(rise_N))[:, None])
    rows = zip(
        minute_N.tolist(), ratio_ND.tolist(), minute_ND.tolist(), known_ND.tolist(), came_ND.tolist(), strict=True
    )
    return [_recurrence(now, [Day(*day) for day in zip(*days, strict=True)]) for now, *days in rows]


def rises(past: PastDays) -> Rises:
    """The steepest rise within `RISE_MINUTES` of each day."""
    back = BACK_MINUTES + RISE_MINUTES
    days_NMD = np.concatenate([past.before_NBD[:, -back:], past.ahead_NAD], axis=1)
    known_ND = (~np.isnan(days_NMD)).mean(axis=1) >= ENOUGH_KNOWN
    eps_N11 = np.maximum(NEGLIGIBLE * past.mean_N, 1e-9)[:, None, None]
    with np.errstate(invalid="ignore"):
        ratio_NMD = (days_NMD[:, RISE_MINUTES:] + eps_N11) / (days_NMD[:, :-RISE_MINUTES] + eps_N11)
    ratio_NMD = np.nan_to_num(ratio_NMD, nan=0.0)
    at_N1D = ratio_NMD.argmax(axis=1)[:, None]
    part_NRD = np.take_along_axis(days_NMD, at_N1D + np.arange(RISE_MINUTES + 1)[:, None], axis=1)
    low_N1D, high_N1D = part_NRD[:, :1], part_NRD[:, -1:]
    started_N1D = np.maximum(low_N1D + STARTED * (high_N1D - low_N1D), CLEARLY * low_N1D)
    starts_ND = (part_NRD >= started_N1D).argmax(axis=1)
    steep_ND = np.take_along_axis(ratio_NMD, at_N1D, axis=1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_ND = np.where(steep_ND >= LEAST_RISE, (high_N1D / low_N1D)[:, 0], 1.0)
    minute_ND = at_N1D[:, 0] + starts_ND - back + 1
    return Rises(np.minimum(ratio_ND, FROM_NOTHING).astype(np.float32), minute_ND, known_ND)


def _recurrence(now: int, days: Sequence[Day]) -> Recurrence | None:
    """Of one series. days: yesterday first."""
    middle = median_low([day.minute for day in days if day.came] or [0])
    today = (now + middle - 1) // DAY_MINUTES
    known = {today - back: day for back, day in enumerate(days, 1) if day.is_known}
    came = {date for date, day in known.items() if day.came and abs(day.minute - middle) <= NEAR_MINUTES}
    if not came:
        return None
    kind = _kind(today, came, [date for date in known if date >= min(came)])
    came = {date for date in came if _is_of(kind, date)}
    since = min(came, default=today)
    count = sum(date >= since and _is_of(kind, date) for date in known)
    if len(came) < max(FEWEST, MOSTLY * count):
        return None
    minutes = [known[date].minute for date in came]
    first = (now + min(minutes) - 1) % DAY_MINUTES
    factor = median_low([known[date].ratio for date in came])
    return Recurrence(first, first + max(minutes) - min(minutes), kind, since, factor, len(came), count)


def _kind(today: int, came: Set[int], known: Iterable[int]) -> int:
    """The kind of today's day that fits best: the fewest days without it, and days of other kinds with it.

    known: days since the first one with it, so that what is new, or has moved, is not measured by the days before.
    """
    dates = list(known)
    fitting = [kind for kind in range(len(KINDS)) if _is_of(kind, today)]
    return min(fitting, key=lambda kind: sum((date in came) != _is_of(kind, date) for date in dates))


def _is_of(kind: int, date: int) -> bool:
    return (date + _THURSDAY) % 7 in KINDS[kind][2]


def is_shown(recurrence: Recurrence, minute: int) -> bool:
    """Whether the edge is about to come, or has just come, at a minute of local time."""
    begins = recurrence.first - AHEAD_MINUTES
    spread = recurrence.last - recurrence.first
    return (minute - begins) % DAY_MINUTES <= AHEAD_MINUTES + spread + SHOWN_MINUTES

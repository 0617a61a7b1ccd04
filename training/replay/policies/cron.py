"""KEDA's `cron` triggers next to the reactive one, with windows as a careful person would set them from the past.

Source: KEDA's `cron` scaler (https://keda.sh/docs/latest/scalers/cron/): from `start` to `end` in a `timezone` it asks
for `desiredReplicas`, else for one; the HPA takes the largest of all triggers.

How windows are set, from at most two weeks before the span:

* The profile is the 90th percentile, over days, of the replicas that the reactive target asks for, by minute of a
  calendar: the hour, the day, weekdays apart from weekends, or each weekday by itself.
* The profile is cut into bands, evenly spaced on a logarithmic scale from its usual low (10th percentile) to its
  maximum. Each band but the lowest is a trigger with the band's largest need as `desiredReplicas`. Its windows begin
  early by the start-up time and a poll.
* At most four triggers, and as many as need no more than 12 windows a day.
* The calendar is the one that leaves the least pinball loss (0.99) in those weeks, together with the reactive trigger.
  A finer one is taken only for a loss that is 5 % lower, as it is set from fewer days.

Nobody changes the windows later. Axes: M minutes before the span, C minutes of a calendar, K ticks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

from training.data.load import DAY_SECONDS, local_seconds
from training.replay.policies.reactive import beside_reactive
from training.replay.simulation.demand import Moments
from training.replay.simulation.policy import PolicyAnswer
from training.replay.simulation.scenario import Scenario

MOST_DAYS = 14
LEAST_DAYS = 2
PROFILE = 0.9
LOW = 0.1
SMOOTH_MINUTES = 5
MOST_TRIGGERS = 4
MOST_WINDOWS = 12
"""a day"""
WORTH = 1.5
"""how far the maximum must be above the usual low for a window to be set"""
STABILISATION_MINUTES = 5
LEVEL_OF_LOSS = 0.99
FINER = 0.95
POLL_SECONDS = 30.0

Minutes: TypeAlias = NDArray[np.int64]
"""local minutes since the epoch"""


@dataclass(frozen=True)
class Calendar:
    """Minutes that are alike. `place` gives the index in a calendar of `minutes` of each local minute."""

    minutes: int
    days: float
    place: Callable[[Minutes], Minutes]


def _weekday(minute: Minutes) -> Minutes:
    return np.asarray((minute // 1440 + 3) % 7)


CALENDARS: Mapping[str, Calendar] = {
    "every hour": Calendar(60, 1 / 24, lambda minute: minute % 60),
    "every day": Calendar(1440, 1, lambda minute: minute % 1440),
    "weekdays and weekends": Calendar(2 * 1440, 2, lambda minute: minute % 1440 + 1440 * (_weekday(minute) >= 5)),
    "each weekday": Calendar(7 * 1440, 7, lambda minute: minute % 1440 + 1440 * _weekday(minute)),
}
"""from coarse to fine"""


@dataclass(frozen=True)
class Windows:
    """Replicas that the triggers ask for, by minute of the calendar; 0 outside of all windows. [C]"""

    calendar: str
    replicas_C: Moments
    early_minutes: int

    def at(self, local_minute: Minutes) -> Moments:
        """What they ask for at each local minute."""
        calendar = CALENDARS[self.calendar]
        ahead = [calendar.place(local_minute + ahead) for ahead in range(self.early_minutes + 1)]
        return np.asarray(np.max([self.replicas_C[place] for place in ahead], axis=0))


class Cron:
    """target: as in `Reactive`; windows are set for it."""

    def __init__(self, scenario: Scenario, target: float | None = None) -> None:
        self.name = "cron"
        aim = scenario.setting.threshold if target is None else target
        self.windows = set_by_hand(scenario, aim)
        local_K = _local_minutes(scenario, scenario.sync_K)
        replicas_K = self.windows.at(local_K) if self.windows else np.zeros(len(local_K))
        self._answers = beside_reactive(scenario, target, replicas_K * aim)

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[k]


def set_by_hand(scenario: Scenario, target: float) -> Windows | None:
    """The windows that the days before the span suggest; None if they suggest none."""
    begin = max(scenario.demand.start, scenario.span.begin - MOST_DAYS * DAY_SECONDS)
    at_M = np.arange(math.ceil(begin / 60) * 60, scenario.span.begin, 60.0)
    if len(at_M) < LEAST_DAYS * 1440:
        return None
    need_M = np.ceil(scenario.demand.mean(at_M, at_M + 60) / target - 1e-9)
    local_M = _local_minutes(scenario, at_M)
    early = math.ceil((scenario.setting.start_up.usual + POLL_SECONDS) / 60)
    least, best = _loss(need_M, np.zeros(len(need_M)), early), None
    for name, calendar in CALENDARS.items():
        for windows in _windows(name, need_M, calendar.place(local_M), early):
            loss = _loss(need_M, windows.replicas_C[calendar.place(local_M)], early)
            if loss < FINER * least:
                least, best = loss, windows
    return best


def _windows(name: str, need_M: Moments, place_M: Minutes, early: int) -> Iterator[Windows]:
    """The most triggers that need few enough windows; nothing if the calendar suggests none."""
    calendar = CALENDARS[name]
    profile_C = _profile(need_M, place_M, calendar.minutes)
    low, high = max(1.0, float(np.quantile(profile_C, LOW))), float(profile_C.max())
    if high < WORTH * low:
        return
    for count in range(MOST_TRIGGERS, 0, -1):
        bounds = np.geomspace(low, high, 2 * count + 1)[1::2]
        band_C = np.searchsorted(bounds, profile_C)
        largest = np.maximum.accumulate([profile_C[band_C == band].max(initial=0.0) for band in range(count + 1)])
        replicas_C = np.where(band_C > 0, largest[band_C], 0.0)
        if _count(replicas_C) <= MOST_WINDOWS * max(1.0, calendar.days):
            yield Windows(name, replicas_C, early)
            return


def _profile(need_M: Moments, place_M: Minutes, minutes: int) -> Moments:
    """The percentile of the known needs of each minute of the calendar, at least 1; the largest of the minutes around
    it, as windows are not set for single minutes. [C]"""
    order = np.argsort(place_M, kind="stable")
    apart = np.split(need_M[order], np.searchsorted(place_M[order], np.arange(1, minutes)))
    known = [one[~np.isnan(one)] for one in apart]
    profile_C = np.array([np.quantile(one, PROFILE, method="higher") if len(one) else 1.0 for one in known])
    return np.asarray(ndimage.maximum_filter1d(np.maximum(profile_C, 1.0), SMOOTH_MINUTES, mode="wrap"))


def _count(replicas_C: Moments) -> int:
    """The number of windows: each rise to a higher level begins one."""
    return int((np.diff(replicas_C, append=replicas_C[:1]) > 0).sum())


def _loss(need_M: Moments, planned_M: Moments, late: int) -> float:
    """Mean pinball loss of the larger of the planned replicas and what the reactive trigger has ordered in time."""
    known_M = np.nan_to_num(need_M)
    held_M = ndimage.maximum_filter1d(known_M, STABILISATION_MINUTES, origin=STABILISATION_MINUTES // 2)
    ordered_M = np.concatenate([held_M[:1].repeat(late + 1), held_M])[: len(need_M)]
    short_M = need_M - np.maximum(planned_M, ordered_M)
    return float(np.nanmean(np.maximum(LEVEL_OF_LOSS * short_M, (LEVEL_OF_LOSS - 1) * short_M)))


def _local_minutes(scenario: Scenario, at: Moments) -> Minutes:
    return np.asarray(local_seconds(at, scenario.demand.series.timezone) // 60, np.int64)

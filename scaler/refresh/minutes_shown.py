"""Demand by the minute for people who look at it: of memory, or of the store where another replica keeps it."""

import numpy as np
from numpy.typing import NDArray

from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.refresh.local_time import utc_offsets_at
from scaler.series import DAY_MINUTES, Floats
from scaler.store import Store
from scaler.trigger import Trigger

MOST_MINUTES = 15 * DAY_MINUTES
"""of one request: what is kept"""


def full_minutes(since: float, until: float) -> NDArray[np.float64]:
    """The full minutes from `since` to `until` [M], the last MOST_MINUTES of them. Seconds since the epoch."""
    first, last = int(np.ceil(since / 60)), int(np.floor(until / 60))
    return 60.0 * np.arange(max(first, last - MOST_MINUTES + 1), last + 1, dtype=np.float64)


async def demand_by_minute(memory: MinuteMemory, store: Store, trigger: Trigger, since: float, until: float) -> Floats:
    """Demand in the minutes that end at `full_minutes` [M]; NaN where it is not known. Raises StoreUnavailable."""
    moment_M = full_minutes(since, until)
    if not len(moment_M):
        return np.empty(0, np.float32)
    minute_M = local_minutes(moment_M, utc_offsets_at(trigger.timezone, moment_M))
    if trigger.key in memory:
        found_NM = memory.at([trigger.key], minute_M[None])
        return np.asarray(found_NM[0], np.float32)
    return await _stored(store, trigger, minute_M)


async def _stored(store: Store, trigger: Trigger, minute_M: NDArray[np.int64]) -> Floats:
    """Minute m of a day ends m minutes after midnight: minute 0 is the first of its day."""
    day_M, place_M = np.divmod(minute_M, DAY_MINUTES)
    found = np.full(len(minute_M), np.nan, np.float32)
    owner = trigger.history_key, trigger.timezone
    for day in await store.load_minutes([owner], (int(day_M[0]), int(day_M[-1]) + 1)):
        same = day_M == day.day
        found[same] = day.demand_M[place_M[same]]
    return found

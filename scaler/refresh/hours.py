"""Demand by the hour of one trigger, as far back as anything keeps it, and what its next days will be like.

Blocks of 15 minutes, kept for four weeks, come first; minutes of two weeks fill what they lack. Nothing here is part
of an answer to KEDA: it runs when a person asks.

Axes: P past hours; H hours ahead; Q levels.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.forecast import Forecaster
from scaler.forecast.hourly import LEVELS, PAST_HOURS, hourly_forecast, is_enough
from scaler.history.minutes import MinuteMemory
from scaler.refresh.local_time import utc_offsets_at
from scaler.refresh.minutes_shown import demand_by_minute
from scaler.refresh.tracked import Tracked
from scaler.series import SHOWN_SHARE, Blocks, Floats, HistoryBatch, HoursAhead
from scaler.store import Store
from scaler.trigger import Trigger

HOUR = 3600
DEFAULT_BLOCK_SECONDS = 900
MINUTES_DAYS = 14


@dataclass(frozen=True, slots=True)
class PastHours:
    """Mean demand of each full hour, oldest first; the last one ended at `end`. NaN where it is not known."""

    end: float
    mean_P: Floats
    source: str
    """what it is of"""


async def past_hours(
    tracked: Tracked | None, memory: MinuteMemory, store: Store, trigger: Trigger, now: float
) -> PastHours:
    """All that is known. Raises StoreUnavailable where only the store knows the trigger, and it does not answer."""
    end = now // HOUR * HOUR
    since = end - PAST_HOURS * HOUR
    blocks = await _blocks(tracked, store, trigger, since)
    hours_P = np.full(PAST_HOURS, np.nan) if blocks is None else await asyncio.to_thread(of_blocks, blocks, end)
    source = "blocks of 15 minutes"
    if np.isnan(hours_P).mean() > 0.05:
        minute_M = await demand_by_minute(memory, store, trigger, end - MINUTES_DAYS * 24 * HOUR + 60, end)
        from_minutes_P = await asyncio.to_thread(of_minutes, minute_M)
        source = "minutes" if np.isnan(hours_P).all() else "blocks of 15 minutes, and minutes"
        hours_P = np.where(np.isnan(hours_P), from_minutes_P, hours_P)
    return PastHours(end, hours_P.astype(np.float32), source)


async def _blocks(tracked: Tracked | None, store: Store, trigger: Trigger, since: float) -> Blocks | None:
    if tracked is not None and tracked.key in tracked.table and HOUR % tracked.table.grid.coarse_seconds == 0:
        return await asyncio.to_thread(tracked.table.blocks_of, tracked.key)
    found = await store.load_blocks([trigger.history_key], DEFAULT_BLOCK_SECONDS, since)
    return found.get(trigger.history_key)


def of_blocks(blocks: Blocks, end: float) -> NDArray[np.float64]:
    """Means of the PAST_HOURS hours before `end`, of those with half of their blocks known."""
    hour_B = PAST_HOURS - 1 - np.floor((end - 1 - blocks.starts) / HOUR).astype(np.int64)
    inside = (hour_B >= 0) & (hour_B < PAST_HOURS) & (blocks.starts < end)
    count_P = np.bincount(hour_B[inside], minlength=PAST_HOURS)
    total_P = np.bincount(hour_B[inside], blocks.mean[inside], PAST_HOURS)
    most = max(1, int(count_P.max(initial=0)))
    return np.where(2 * count_P >= most, total_P / np.maximum(count_P, 1), np.nan)


def of_minutes(minute_M: Floats) -> NDArray[np.float64]:
    """Means of the PAST_HOURS hours before the last minute's end, of those with half of their minutes known."""
    whole = len(minute_M) // 60
    hours_PM = minute_M[len(minute_M) - 60 * whole :].reshape(whole, 60).astype(np.float64)
    known_P = np.isfinite(hours_PM).sum(axis=1)
    mean_P = np.nansum(hours_PM, axis=1) / np.maximum(known_P, 1)
    found_P = np.full(PAST_HOURS, np.nan)
    found_P[PAST_HOURS - whole :] = np.where(known_P >= 30, mean_P, np.nan)
    return found_P


def hours_ahead(past: PastHours, trigger: Trigger, hours: int, bundles: Sequence[Forecaster] = ()) -> HoursAhead:
    """The hours after the past, by the first hourly bundle that reaches so far, else from past days. CPU work of a
    tenth of a second: run it off the event loop."""
    own = ((bundle.model, _of_bundle(bundle, past, trigger, hours)) for bundle in bundles)
    basis, found_HQ = next(((model, made) for model, made in own if made is not None), ("", None))
    if found_HQ is None:
        basis, found_HQ = _of_past_days(past, trigger, hours)
    known = np.flatnonzero(np.isfinite(past.mean_P))
    reach = len(past.mean_P) - int(known[0]) if len(known) else 0
    return HoursAhead(past.end, LEVELS, found_HQ, basis, past.source, reach, len(known))


def _of_past_days(past: PastHours, trigger: Trigger, hours: int) -> tuple[str, Floats | None]:
    local_P, newest = in_local_time(past, trigger.timezone)
    if not is_enough(local_P, hours):
        return "", None
    made = hourly_forecast(local_P, newest, hours)
    shares = sorted(made.weights.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {share:.1f}" for name, share in shares if share >= SHOWN_SHARE), made.quantiles_AQ


def in_local_time(past: PastHours, timezone: str) -> tuple[Floats, int]:
    """The same by the hours of the local clock, and the number of the newest: where clocks are set back, the later of
    two hours with one name counts; the one that clocks skip is not known."""
    start_P = past.end - HOUR * np.arange(len(past.mean_P), 0, -1, dtype=np.float64)
    local_P = np.floor((start_P + utc_offsets_at(timezone, start_P)) / HOUR).astype(np.int64)
    first, newest = int(local_P.min()), int(local_P[-1])
    found = np.full(newest - first + 1, np.nan, np.float32)
    inside = local_P <= newest
    found[local_P[inside] - first] = past.mean_P[inside]
    return found, newest


def _of_bundle(bundle: Forecaster, past: PastHours, trigger: Trigger, hours: int) -> Floats | None:
    """None where the bundle has no forecast, or not so far."""
    batch = HistoryBatch(
        (trigger.key,),
        past.end,
        _last(past.mean_P, bundle.grid.steps)[None],
        _coarse(past, bundle.grid.coarse_seconds // HOUR, bundle.grid.coarse_steps)[None],
        np.array([math.floor(past.end)], np.int64) + utc_offsets_at(trigger.timezone, np.array([past.end])),
    )
    forecast = bundle.forecast(batch)[0]
    if forecast is None or len(forecast.quantiles_HQ) < hours:
        return None
    own_HQ = forecast.quantiles_HQ[:hours]
    return np.stack([np.interp(LEVELS, forecast.levels, row) for row in own_HQ]).astype(np.float32)


def _coarse(past: PastHours, width: int, count: int) -> Floats:
    """Mean and max of `count` stretches of `width` hours that are aligned to the clock, the last complete one last."""
    over = int(past.end // HOUR) % width
    hours = _last(past.mean_P[: len(past.mean_P) - over], width * count).reshape(count, width)
    known = np.isfinite(hours)
    mean = np.where(known, hours, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    most = np.where(known, hours, -np.inf).max(axis=1)
    found = np.stack([mean, most], axis=1)
    found[~known.any(axis=1)] = np.nan
    return found.astype(np.float32)


def _last(values: Floats, count: int) -> Floats:
    """The last `count`; NaN in front where there are fewer."""
    kept = values[max(0, len(values) - count) :]
    return np.concatenate([np.full(count - len(kept), np.nan, np.float32), kept])

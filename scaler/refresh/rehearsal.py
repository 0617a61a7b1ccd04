"""Scores for the experts of a new trigger, from its past: what each would have expected on the last two days.

Without it a new trigger would rely on its bundle for the first days, and learn what its schedule is worth at each time
of day only when that time comes. One trigger takes a fifth of a second in the worker thread, so they come one by one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.refresh.forecasting import ForecastRunner
from scaler.refresh.local_time import utc_offset_seconds
from scaler.refresh.tracked import Phase, Tracked, Tracking
from scaler.series import Blocks, Floats, Grid, HistoryBatch

log = structlog.get_logger()

REHEARSED_MINUTES = 2880
EVERY_MINUTES = 5
MOMENTS_AT_A_TIME = 48
PAUSE_SECONDS = 1.0
"""before each trigger: its first forecast, and those of a refresh, come first"""


class Rehearsal:
    """The triggers whose past is still to be scored. `run` loops for ever."""

    def __init__(self, tracking: Tracking, runner: ForecastRunner, clock: Clock) -> None:
        self._tracking = tracking
        self._runner = runner
        self._clock = clock
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def consider(self, tracked: Tracked) -> None:
        """Rehearse the trigger when all of its past is there."""
        is_by_minute = tracked.forecaster.grid.step_seconds == 60
        if tracked.rehearsed or not is_by_minute or not {Phase.MINUTES, Phase.COARSE} <= tracked.done:
            return
        tracked.rehearsed = True
        self._waiting.setdefault(tracked.key)
        self._some.set()

    async def run(self) -> None:
        """Score one after another, for ever."""
        while True:
            await self._some.wait()
            await self._clock.sleep_until(self._clock.now() + PAUSE_SECONDS)
            key, _ = self._waiting.popitem(last=False)
            if not self._waiting:
                self._some.clear()
            tracked = self._tracking.get(key)
            if tracked is not None:
                await self._rehearse(tracked, self._clock.now())

    async def _rehearse(self, tracked: Tracked, at: float) -> None:
        memory, grid = self._tracking.combining.memory, tracked.forecaster.grid
        offset, blocks = utc_offset_seconds(tracked.trigger.timezone, at), tracked.table.blocks_of(tracked.key)
        try:
            for moments in chunks(moments_of(at), MOMENTS_AT_A_TIME):
                await self._runner.rehearse(tracked, past_batch(tracked.key, memory, blocks, grid, moments, offset))
        except Exception:  # the trigger learns from now on
            log.exception("rehearsal_failed", namespace=tracked.trigger.namespace, name=tracked.trigger.name)


def moments_of(at: float) -> list[float]:
    """Past moments, a few minutes apart, the oldest first."""
    last = at // 60 * 60
    return [last - 60 * minutes for minutes in range(REHEARSED_MINUTES, 0, -EVERY_MINUTES)]


def past_batch(
    key: str, memory: MinuteMemory, blocks: Blocks, grid: Grid, moments: Sequence[float], offset: int
) -> HistoryBatch:
    """What a bundle would have been passed at each of the moments. offset: seconds that local time is ahead of UTC."""
    moment_N = np.asarray(moments, np.float64)
    back_T = np.arange(grid.steps - 1, -1, -1) * grid.step_seconds // 60
    minute_N = local_minutes(moment_N, np.full(len(moment_N), offset))
    history_NT = memory.at([key], (minute_N[:, None] - back_T).reshape(1, -1)).reshape(len(moment_N), -1)
    local_N = np.floor(moment_N).astype(np.int64) + offset
    return HistoryBatch(
        [key] * len(moments), float(moments[0]), history_NT, _blocks_at(blocks, grid, moment_N), local_N
    )


def _blocks_at(blocks: Blocks, grid: Grid, moment_N: NDArray[np.float64]) -> Floats:
    """Mean and max of the blocks that were complete at each moment [N, L, 2]."""
    last_N = np.floor(moment_N / grid.coarse_seconds).astype(np.int64) - 1
    first = int(last_N[0]) - grid.coarse_steps + 1
    known = np.full((int(last_N[-1]) - first + 1, 2), np.nan, np.float32)
    place = np.rint(blocks.starts / grid.coarse_seconds).astype(np.int64) - first
    fits = (place >= 0) & (place < len(known))
    known[place[fits]] = np.stack([blocks.mean, blocks.max], axis=1)[fits]
    window: Floats = known[(last_N - last_N[0])[:, None] + np.arange(grid.coarse_steps)]
    return window

"""Forecasts for tracked triggers, in chunks, in a worker thread."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from scaler.chunks import chunks
from scaler.forecast import Forecaster
from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.refresh.local_time import utc_offsets
from scaler.refresh.scoring import Asked
from scaler.refresh.tracked import Tracked, Tracking
from scaler.refresh.urgency import LEAST, Candidate
from scaler.series import Forecast, HistoryBatch
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Mode

log = structlog.get_logger()

RISING = 1.05
"""a plan whose need is above this multiple of the observation expects growth"""


class ForecastRunner:
    """Runs the forecasters, one chunk at a time over all servers, and measures how long a forecast takes."""

    def __init__(self, telemetry: Telemetry, chunk: int, tracking: Tracking) -> None:
        self.seconds_per_forecast = 0.0
        """in the worker thread; 0 until it has been measured"""
        self._telemetry = telemetry
        self._chunk = chunk
        self._combining, self._scoring = tracking.combining, tracking.scoring
        self._anomalies, self._doubts = tracking.anomalies, tracking.doubts
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forecast")
        self._turn = asyncio.Lock()
        self._seconds, self._forecasts = 0.0, 0

    async def forecast(self, tracked: Iterable[Tracked], at: float) -> AsyncIterator[Sequence[Tracked]]:
        """Forecast in chunks, each with its newest history; yields each chunk once it is done, also where it failed."""
        for group in _by_forecaster(tracked):
            for chunk in chunks(group, self._chunk):
                async with self._turn:
                    await self._forecast_chunk(chunk, at)
                yield chunk

    async def rehearse(self, tracked: Tracked, past: HistoryBatch) -> None:
        """Forecast past moments of one trigger, to score the experts. Raises what a graph raises."""
        ahead = tracked.trigger.lead_time_seconds + SCORED_BEYOND_SECONDS

        def compute() -> None:
            self._combining.rehearse(tracked.key, tracked.forecaster.forecast(past), past.local_time_N, ahead)

        async with self._turn:
            await asyncio.get_running_loop().run_in_executor(self._pool, compute)

    async def compare(
        self, chunk: Sequence[Tracked], one: Forecaster, other: Forecaster, at: float
    ) -> list[tuple[Forecast | None, Forecast | None]]:
        """What two bundles on the grid of these triggers forecast for each now; nothing of it is used. (None, None)
        where a graph fails."""
        offsets_N = utc_offsets([t.trigger.timezone for t in chunk], at)
        table, keys = chunk[0].table, [t.key for t in chunk]

        def compute() -> list[tuple[Forecast | None, Forecast | None]]:
            batch = table.batch(keys, offsets_N)
            return list(zip(one.forecast(batch), other.forecast(batch), strict=True))

        try:
            async with self._turn:
                return await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        except Exception:  # whatever a graph raises: the refresh says so, too
            log.exception("forecast_failed", model=f"{one.model}, {other.model}")
            return [(None, None)] * len(chunk)

    def close(self) -> None:
        """Stop the worker; what has begun ends on its own."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _forecast_chunk(self, chunk: Sequence[Tracked], at: float) -> None:
        offsets_N = utc_offsets([t.trigger.timezone for t in chunk], at)
        triggers = [t.trigger for t in chunk]
        table, forecaster, keys = chunk[0].table, chunk[0].forecaster, [t.key for t in chunk]
        ahead = [t.trigger.lead_time_seconds + SCORED_BEYOND_SECONDS for t in chunk]
        asked = [Asked(t.trigger.quantile, seconds) for t, seconds in zip(chunk, ahead, strict=True)]

        def compute() -> tuple[list[Forecast | None], float]:
            started = time.perf_counter()
            made = forecaster.forecast(table.batch(keys, offsets_N))
            mixed = self._combining.combine(keys, made, at, offsets_N, ahead)
            try:
                self._scoring.score(self._combining.memory, keys, mixed, asked, at, offsets_N)
                self._anomalies.watch(self._combining.memory, triggers, mixed, at, offsets_N)
                self._doubts.note(triggers, made, mixed, ahead, at)
            except Exception:  # a fault of ours must not cost forecasts: none of these changes an answer
                log.exception("watching_failed")
            return mixed, time.perf_counter() - started

        try:
            made, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        except Exception:  # whatever a graph raises costs the forecasts of its chunk alone
            log.exception("forecast_failed", model=forecaster.model)
            self._telemetry.count("forecast_failed", model=forecaster.model)
            return
        self._measure(seconds, len(chunk))
        for tracked, forecast in zip(chunk, made, strict=True):
            tracked.registration.forecast_coming = False
            if forecast is not None:
                tracked.forecast = forecast

    def _measure(self, seconds: float, forecasts: int) -> None:
        self._seconds += seconds
        self._forecasts += forecasts
        if self._forecasts >= LEAST:
            self.seconds_per_forecast = self._seconds / self._forecasts
            self._seconds, self._forecasts = 0.0, 0


def candidates(tracked: Iterable[Tracked]) -> list[Candidate]:
    """The triggers that a tick should forecast: those with history, unless they want no forecast."""
    return [
        Candidate(t.key, _expects_growth(t), t.forecast.start if t.forecast else 0.0)
        for t in tracked
        if t.done and t.trigger.mode is not Mode.REACTIVE
    ]


def _expects_growth(tracked: Tracked) -> bool:
    current = tracked.registration.current
    if current is None or current.plan.need is None or current.plan.observed is None:
        return True
    return current.plan.need > RISING * current.plan.observed


def _by_forecaster(tracked: Iterable[Tracked]) -> list[list[Tracked]]:
    groups: dict[int, list[Tracked]] = {}
    for one in tracked:
        groups.setdefault(id(one.forecaster), []).append(one)
    return list(groups.values())

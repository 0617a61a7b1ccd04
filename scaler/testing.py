"""Fakes of the protocols for tests and replay: scripted time, demand and forecasts."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from scaler.errors import DependencyError, NoDemand, SourceRefused
from scaler.series import Blocks, Floats, Forecast, Grid, HistoryBatch, Samples
from scaler.trigger import Trigger

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


ROUNDS = 100
"""of the event loop before time moves on: a refresh that pauses for calls between its parts takes some forty"""


class ManualClock:
    """A clock that moves only when it is set. Sleepers wake in order, each at its own moment."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep_until(self, moment: float) -> None:
        if moment > self._now:
            wake = asyncio.get_running_loop().create_future()
            self._sleepers.append((moment, wake))
            await wake

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`. Each sleeper due on the way wakes at its moment and runs until it waits again."""
        await self.set(self._now + seconds)

    async def set(self, moment: float) -> None:
        """Move on to `moment`, as `advance` does."""
        await _let_others_run()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= moment]:
            first = min(due, key=lambda sleeper: sleeper[0])
            self._sleepers.remove(first)
            self._now = max(self._now, first[0])
            if not first[1].done():
                first[1].set_result(None)
            await _let_others_run()
        self._now = max(self._now, moment)

    def step_back(self, seconds: float) -> None:
        """Set the clock back, as happens on real machines; sleepers still wake after the planned time."""
        self._now -= seconds
        self._sleepers = [(moment - seconds, wake) for moment, wake in self._sleepers]


async def _let_others_run() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


class FixedSource:
    """A MetricSource whose demand is a function of trigger and moment; an error it returns is the answer.

    NaN is no demand, or 0 where the trigger ignores null values.
    """

    def __init__(self, demand: Callable[[Trigger, float], float | DependencyError]) -> None:
        self.demand = demand
        self.observed: list[tuple[float, tuple[str, ...]]] = []
        """(moment, keys) of every observe()"""

    async def observe(
        self, triggers: Sequence[Trigger], at: float
    ) -> AsyncGenerator[Sequence[tuple[int, float | DependencyError]], None]:
        self.observed.append((at, tuple(trigger.key for trigger in triggers)))
        yield [(i, _observed(self.demand(trigger, at), trigger)) for i, trigger in enumerate(triggers)]

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        count = max(0, math.floor((end - start) / step_seconds + 1e-9) + 1)
        times = [start + i * step_seconds for i in range(count)]
        found = [(moment, value) for moment in times if not math.isnan(value := self._value(trigger, moment))]
        return Samples(np.array([t for t, _ in found]), np.array([v for _, v in found], np.float32))

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        first, last = math.ceil(start / block_seconds), math.floor(end / block_seconds)
        starts, means, peaks = [], [], []
        for number in range(first, last):
            minutes = np.arange(1, max(1, round(block_seconds / 60)) + 1) * 60.0 + number * block_seconds
            values = [value for t in minutes if not math.isnan(value := self._value(trigger, float(t)))]
            if values:
                starts.append(number * float(block_seconds))
                means.append(sum(values) / len(values))
                peaks.append(max(values))
        return Blocks(np.array(starts), np.array(means, np.float32), np.array(peaks, np.float32))

    def reachable(self, trigger: Trigger) -> bool:
        return True

    def circuits(self) -> dict[str, bool]:
        return {}

    def queue_lengths(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        pass

    def _value(self, trigger: Trigger, moment: float) -> float:
        """The demand, or NaN. Raises the errors that would fail a range query."""
        value = _observed(self.demand(trigger, moment), trigger)
        if isinstance(value, _Nothing | _Negative):
            return math.nan
        if isinstance(value, DependencyError):
            raise value.with_traceback(None)
        return value


class _Nothing(NoDemand):
    pass


class _Negative(SourceRefused):
    pass


def _observed(value: float | DependencyError, trigger: Trigger) -> float | DependencyError:
    """What a source observes: a finite value >= 0, or an error."""
    if isinstance(value, DependencyError):
        return value
    if not math.isfinite(value):
        return 0.0 if trigger.ignore_null_values else _Nothing(f"demand is {value} here")
    return value if value >= 0 else _Negative(f"demand is {value:g} here: it must not be negative")


class ScriptedForecaster:
    """A Forecaster that returns `script(key, end, history_T)`: a Forecast, or None for too little history."""

    def __init__(
        self,
        script: Callable[[str, float, Floats], Forecast | None],
        grid: Grid = Grid(),  # noqa: B008  frozen
        model: str = "scripted@1",
    ) -> None:
        self._script = script
        self._grid = grid
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def grid(self) -> Grid:
        return self._grid

    @property
    def needed_seconds(self) -> float:
        return 0.0

    def forecast(self, batch: HistoryBatch) -> list[Forecast | None]:
        """One forecast per series of the batch."""
        return [self._script(key, batch.end, row) for key, row in zip(batch.keys, batch.history_NT, strict=True)]


def flat_forecast(start: float, values: Sequence[float], step_seconds: float = 60.0, spread: float = 0.0) -> Forecast:
    """A forecast of `values`, one per step; the quantile of level q is the value + (q - 0.5) * spread, not below 0."""
    offsets = (np.array(LEVELS, np.float32) - 0.5) * spread
    quantiles_HQ = np.maximum(np.asarray(values, np.float32)[:, None] + offsets, 0).astype(np.float32)
    return Forecast(start, step_seconds, LEVELS, quantiles_HQ, (), None, "scripted@1")

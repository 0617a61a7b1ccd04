"""Demand from a recording, with the same interface as a metric server. It knows no speed: an accelerated replay runs
the whole service on an accelerated clock (`scaler.clock`), so lead times and intervals keep their meaning."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaler.errors import DependencyError, NoDemand, SettingsError, SourceRefused
from scaler.history.arriving import Arriving
from scaler.history.grid import summed_up
from scaler.history.sources import SourceOptions
from scaler.history.traces import Trace, read_traces
from scaler.series import Blocks, Floats, Samples
from scaler.trigger import Trigger

DAY = 86400.0
BLOCK_STEP_SECONDS = 60.0


class RecordedSource:
    """A MetricSource on recorded series. A trigger's query is the name of a series.

    A bin is known when it is over: at any moment the answer is the last complete bin, never the one under way.
    With `loop` the recording goes on for ever in both directions; the part that is repeated is cut to whole weeks
    (days, where it is shorter than a week), so that hours and weekdays stay in place. Without it, moments outside the
    recording have no demand. `shift_seconds` is added to a moment to get the moment of the recording.
    """

    def __init__(self, traces: Mapping[str, Trace], *, loop: bool = True, shift_seconds: float = 0.0) -> None:
        self._traces = dict(traces)
        self._loop = loop
        self._shift = shift_seconds

    @classmethod
    def read(cls, paths: Path | Iterable[Path], *, loop: bool = True, shift_seconds: float = 0.0) -> "RecordedSource":
        """A source on the series of these files. Raises SettingsError for a bad file or a name that occurs twice."""
        traces: dict[str, Trace] = {}
        for path in [paths] if isinstance(paths, Path) else paths:
            found = read_traces(path)
            twice = sorted(traces.keys() & found.keys())
            if twice:
                raise SettingsError(f"recording {path}: series {twice[0]} is in another file as well")
            traces |= found
        return cls(traces, loop=loop, shift_seconds=shift_seconds)

    @property
    def traces(self) -> Mapping[str, Trace]:
        return self._traces

    async def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """The last complete bin at `at` of each trigger's series."""
        yield [(position, self._seen(trigger, at)) for position, trigger in enumerate(triggers)]

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """The last complete bins at start, start + step, … <= end; gaps are left out."""
        count = math.floor((end - start) / step_seconds + 1e-9) + 1
        times = np.float64(start) + np.arange(max(0, count), dtype=np.float64) * step_seconds
        values = self._known(trigger, times)
        known = ~np.isnan(values)
        return Samples(times[known], values[known])

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """Mean and max of the samples in (s, s + block] per complete block; none where fewer than half are known."""
        first, last = math.ceil(start / block_seconds), math.floor(end / block_seconds)
        starts = np.arange(first, last, dtype=np.float64) * block_seconds
        per_block = max(1, round(block_seconds / BLOCK_STEP_SECONDS))
        within = np.arange(1, per_block + 1, dtype=np.float64) * (block_seconds / per_block)
        summary = summed_up(self._known(trigger, starts[:, None] + within))
        known = ~np.isnan(summary[:, 0])
        return Blocks(starts[known], summary[known, 0], summary[known, 1])

    def reachable(self, trigger: Trigger) -> bool:
        """Always."""
        return True

    def circuits(self) -> dict[str, bool]:
        """None: there is no server."""
        return {}

    def queue_lengths(self) -> dict[str, int]:
        """None: nothing waits."""
        return {}

    async def close(self) -> None:
        """Nothing to close."""

    def _seen(self, trigger: Trigger, at: float) -> float | DependencyError:
        try:
            value = float(self._at(trigger, np.array([at]))[0])
        except SourceRefused as error:
            return error
        if not math.isfinite(value):
            return NoDemand(f"the recording of {trigger.query} has a gap here")
        if value < 0:
            return SourceRefused(f"the recording of {trigger.query} has {value:g} here: demand must not be negative")
        return value

    def _known(self, trigger: Trigger, moments: NDArray[np.float64]) -> Floats:
        """Demand at each moment; NaN for a gap, and for what cannot be demand."""
        values = self._at(trigger, moments)
        return np.where(np.isfinite(values) & (values >= 0), values, np.float32(np.nan))

    def _at(self, trigger: Trigger, moments: NDArray[np.float64]) -> Floats:
        """The last complete bin at each moment; NaN for a gap (0 where the trigger ignores null values).

        Outside of a recording that is not repeated, nothing is known: NaN for every trigger.
        """
        trace = self._trace(trigger.query)
        bins = np.floor((moments + self._shift - trace.start) / trace.step_seconds + 1e-9).astype(np.int64) - 1
        inside = np.ones(bins.shape, bool)
        if self._loop:
            values = trace.values[bins % _whole_bins(trace)]
        else:
            inside = (bins >= 0) & (bins < len(trace.values))
            values = np.where(inside, trace.values[np.where(inside, bins, 0)], np.float32(np.nan))
        is_gap = inside & np.isnan(values)
        return np.where(is_gap, np.float32(0), values) if trigger.ignore_null_values else values

    def _trace(self, query: str) -> Trace:
        trace = self._traces.get(query.strip())
        if trace is None:
            near = difflib.get_close_matches(query, self._traces, n=1) or sorted(self._traces)[:1]
            raise SourceRefused(f"query={query[:80]!r}: the recording has no such series; the nearest is {near[0]!r}")
        return trace


def open_recorded(options: SourceOptions) -> RecordedSource:
    """The kind `recorded` of `scaler.history.sources`: the option `file` of each server names a recording.

    It goes on for ever, as RecordedSource does with `loop`. Raises SettingsError.
    """
    for access in options.access:
        if set(access.options) != {"file"}:
            raise SettingsError(f"server {access.pattern!r}: kind recorded takes one option, `file`")
    return RecordedSource.read(Path(access.options["file"]) for access in options.access)


def _whole_bins(trace: Trace) -> int:
    """How many bins are repeated: whole weeks, else whole days, else all."""
    span = len(trace.values) * trace.step_seconds
    for period in (7 * DAY, DAY):
        if span >= period and period % trace.step_seconds == 0:
            return round(span // period * period / trace.step_seconds)
    return len(trace.values)

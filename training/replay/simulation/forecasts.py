"""What the scaler would have forecast at any moment of the past, from what it could have observed by then.

Windows are those of the refresh (tests compare them with the real ones): fine samples back from the moment of issue for
an hour, clock-aligned before that, and complete clock-aligned blocks. Forecasts are made in batches and cached.

Axes: S slots (ticks of the refresh), N windows, T fine past steps, L coarse past blocks; I issues, H steps, W window
lengths, Q levels.
"""

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from scaler.files import appearing
from scaler.forecast.onnx_forecaster import OnnxForecaster
from scaler.history.grid import Slots, last_known
from scaler.plan.hpa import SYNC_SECONDS
from scaler.series import Floats, Forecast, HistoryBatch
from training.data.load import Series, local_seconds
from training.data.windows import coarse_windows
from training.progress import Progress, no_progress
from training.replay.simulation.demand import Demand, Moments, Observing
from training.replay.simulation.scenario import Span

BATCH = 1024
"""issues forecast at once: 30 MB of history"""
VERSION = 2
"""of the cache format"""
MOST_KEPT_BYTES = 2 * 2**30
"""in the user's cache folder: the forecasts of 30 days, one every 15 s, are 360 MB"""


@dataclass(frozen=True)
class Forecasts:
    """Forecasts issued at `issued_I` (ascending), truncated to the horizon that a replay needs."""

    issued_I: Moments
    newest_I: NDArray[np.int64]
    """index of the forecast in force at each issue: its own, or the newest valid one before; -1 if there is none"""
    quantiles_IHQ: Floats
    peaks_IWQ: Floats | None
    step_seconds: float
    levels: tuple[float, ...]
    peak_steps: tuple[int, ...]
    model: str
    past_shares_IE: Floats | None = None
    """weights as in `Forecast.past_shares`; None where all forecasts are the bundle's alone"""
    data_steps_I: Moments | None = None
    """as `Forecast.data_step_seconds`; None where no steps were looked for"""
    notes: tuple[str, ...] = ()
    """what the user should know of how they were made"""

    def at(self, moment_K: Moments) -> list[Forecast | None]:
        """The newest forecast issued at or before each moment."""
        issue_K = np.searchsorted(self.issued_I, np.asarray(moment_K) + 1e-6, side="right") - 1
        which_K = np.where(issue_K >= 0, self.newest_I[np.maximum(issue_K, 0)], -1)
        made = {int(i): self.forecast(int(i)) for i in np.unique(which_K[which_K >= 0])}
        return [made.get(i) for i in which_K.tolist()]

    def since(self, first: int) -> "Forecasts":
        """Without the first issues; a forecast of theirs that is still in force is lost."""
        return replace(
            self,
            issued_I=self.issued_I[first:],
            newest_I=np.maximum(self.newest_I[first:] - first, -1),
            quantiles_IHQ=self.quantiles_IHQ[first:],
            peaks_IWQ=None if self.peaks_IWQ is None else self.peaks_IWQ[first:],
            past_shares_IE=None if self.past_shares_IE is None else self.past_shares_IE[first:],
            data_steps_I=None if self.data_steps_I is None else self.data_steps_I[first:],
        )

    def forecast(self, i: int) -> Forecast:
        """The forecast of issue i."""
        peaks = None if self.peaks_IWQ is None else self.peaks_IWQ[i]
        return Forecast(
            float(self.issued_I[i]),
            self.step_seconds,
            self.levels,
            self.quantiles_IHQ[i],
            self.peak_steps,
            peaks,
            self.model,
            () if self.past_shares_IE is None else tuple(self.past_shares_IE[i].tolist()),
            data_step_seconds=0.0 if self.data_steps_I is None else float(self.data_steps_I[i]),
        )


@dataclass(frozen=True, slots=True)
class Issues:
    """The forecasts that a replay needs: one every `forecast_interval_seconds`, up to `ahead_seconds` ahead."""

    span: Span
    forecast_interval_seconds: float
    ahead_seconds: float
    threads: int = 1


def forecasts_of(
    demand: Demand,
    forecaster: OnnxForecaster,
    observing: Observing,
    issues: Issues,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> Forecasts:
    """Forecasts of one series by `forecaster`, cached in the folder `cache` by series, bundle and settings."""
    issued_I = _moments(issues)
    if cache is None:
        return _made(demand, forecaster, observing, issued_I, issues, progress)
    path = cache / f"{_key(demand.series, forecaster, observing, issues)}.npz"
    kept = _kept(path, forecaster, issued_I, _steps(forecaster, issues))
    if kept is not None:
        return kept
    made = _made(demand, forecaster, observing, issued_I, issues, progress)
    return replace(made, notes=_keep(path, made))


def joined(before: Forecasts, after: Forecasts) -> Forecasts:
    """The forecasts of one series, bundle and settings, issued one after the other."""
    first = len(before.issued_I)
    newest_I = np.concatenate([before.newest_I, np.where(after.newest_I >= 0, after.newest_I + first, -1)])
    peaks = None
    if before.peaks_IWQ is not None and after.peaks_IWQ is not None:
        peaks = np.concatenate([before.peaks_IWQ, after.peaks_IWQ])
    return replace(
        after,
        issued_I=np.concatenate([before.issued_I, after.issued_I]),
        newest_I=np.maximum.accumulate(newest_I),
        quantiles_IHQ=np.concatenate([before.quantiles_IHQ, after.quantiles_IHQ]),
        peaks_IWQ=peaks,
        notes=tuple(dict.fromkeys(before.notes + after.notes)),
    )


def forget_oldest(cache: Path, most_bytes: int = MOST_KEPT_BYTES) -> None:
    """Remove the oldest forecasts until the others take at most `most_bytes`."""
    found = []
    for path in cache.glob("*.npz"):
        with suppress(OSError):  # another process removed it
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > most_bytes:
            with suppress(OSError):
                path.unlink()


def _moments(issues: Issues) -> Moments:
    """From the last issue at or before the begin of the span."""
    first = math.floor(issues.span.begin / issues.forecast_interval_seconds) * issues.forecast_interval_seconds
    count = math.ceil((issues.span.end - first) / issues.forecast_interval_seconds)
    return np.asarray(first + issues.forecast_interval_seconds * np.arange(count), np.float64)


def _made(
    demand: Demand,
    forecaster: OnnxForecaster,
    observing: Observing,
    issued_I: Moments,
    issues: Issues,
    progress: Progress,
) -> Forecasts:
    manifest = forecaster.manifest
    steps = _steps(forecaster, issues)
    history = _History(demand, forecaster, observing)
    valid_I = np.zeros(len(issued_I), np.bool_)
    quantiles_IHQ = np.zeros((len(issued_I), steps, len(manifest.levels)), np.float32)
    peaks_IWQ = np.zeros((len(issued_I), len(manifest.peak_steps), len(manifest.levels)), np.float32)

    def fill(start: int) -> None:
        for i, forecast in enumerate(forecaster.forecast(history.batch(issued_I[start : start + BATCH])), start):
            if forecast is not None:
                valid_I[i] = True
                quantiles_IHQ[i] = forecast.quantiles_HQ[:steps]
                if forecast.peaks_WQ is not None:
                    peaks_IWQ[i] = forecast.peaks_WQ

    starts = range(0, len(issued_I), BATCH)
    with ThreadPoolExecutor(max_workers=issues.threads) as pool:
        for done, _ in enumerate(pool.map(fill, starts)):
            progress(f"forecasting with {forecaster.model}", (done + 1) / len(starts))
    return _forecasts(forecaster, issued_I, valid_I, quantiles_IHQ, peaks_IWQ if manifest.peak_steps else None)


def _steps(forecaster: OnnxForecaster, issues: Issues) -> int:
    """How many steps ahead are kept."""
    manifest = forecaster.manifest
    return min(manifest.horizon_steps, math.ceil(issues.ahead_seconds / manifest.step_seconds) + 1)


def _forecasts(
    forecaster: OnnxForecaster,
    issued_I: Moments,
    valid_I: NDArray[np.bool_],
    quantiles_IHQ: Floats,
    peaks_IWQ: Floats | None,
) -> Forecasts:
    manifest = forecaster.manifest
    newest_I = np.maximum.accumulate(np.where(valid_I, np.arange(len(valid_I)), -1))
    return Forecasts(
        issued_I=issued_I,
        newest_I=newest_I,
        quantiles_IHQ=quantiles_IHQ,
        peaks_IWQ=peaks_IWQ,
        step_seconds=manifest.step_seconds,
        levels=manifest.levels,
        peak_steps=manifest.peak_steps,
        model=forecaster.model,
    )


class _History:
    """History as the refresh passes it to a forecaster, at any of its ticks; see `scaler.history.table`.

    One difference: the first step of a gap is unknown here, while a refresh that has fetched missing samples holds the
    last one over it.
    """

    def __init__(self, demand: Demand, forecaster: OnnxForecaster, observing: Observing) -> None:
        self._grid = forecaster.grid
        self._slots = Slots(self._grid, SYNC_SECONDS)
        self._timezone = demand.series.timezone
        self._key = trigger_key(demand.series)
        self._before = self._slots.per_step * (self._grid.steps + 1)
        """number of unknown slots before the first block, so that every window fits"""
        self._origin = math.floor(demand.start / self._grid.coarse_seconds) * self._grid.coarse_seconds
        self._ends_S = self._known_of_steps(demand, observing)
        steps = self._ends_S[self._before + self._slots.per_step :: self._slots.per_step]
        self._steps = replace(
            demand.series, start=float(self._origin), step_seconds=self._grid.step_seconds, values=steps
        )

    def _known_of_steps(self, demand: Demand, observing: Observing) -> Floats:
        """The newest demand observed within the step that ends at each slot; NaN if there is none."""
        latest = demand.end + observing.scrape_seconds + observing.window_seconds
        first = -self._before - self._slots.per_step + 1
        slot_S = np.arange(first, math.ceil((latest - self._origin) / SYNC_SECONDS) + 1, dtype=np.float64)
        seen_S = demand.observed(self._origin + SYNC_SECONDS * slot_S, observing).astype(np.float32)
        return last_known(np.lib.stride_tricks.sliding_window_view(seen_S, self._slots.per_step))

    def batch(self, moments_N: Moments) -> HistoryBatch:
        """The windows of these moments; `end` is the first moment and has no meaning."""
        slot_N = np.rint((moments_N - self._origin) / SYNC_SECONDS).astype(np.int64)
        per_step = self._slots.per_step
        back_T = np.arange(self._grid.steps - 1, -1, -1)
        clock_N = slot_N // per_step * per_step
        newest_NT = np.where(back_T < self._slots.rolling_steps, slot_N[:, None], clock_N[:, None])
        history_NT = self._ends_S[self._before + newest_NT - per_step * back_T]
        coarse_NL2 = coarse_windows(self._steps, moments_N, self._grid)
        local_N = local_seconds(moments_N, self._timezone)
        return HistoryBatch([self._key] * len(moments_N), float(moments_N[0]), history_NT, coarse_NL2, local_N)


def trigger_key(series: Series) -> str:
    """The key of the series in a bundle, as `scaler.trigger.Trigger.key`."""
    name = series.name if "/" in series.name else f"{series.system}/{series.name}"
    return f"{name}/replay"


def _key(series: Series, forecaster: OnnxForecaster, observing: Observing, issues: Issues) -> str:
    manifest = forecaster.manifest
    digest = hashlib.sha256(series.values.tobytes())
    identity = (series.start, series.step_seconds, series.timezone, trigger_key(series) if manifest.series else "")
    digest.update(repr((identity, manifest.graph_sha256, observing, replace(issues, threads=1), VERSION)).encode())
    return digest.hexdigest()[:32]


def _kept(path: Path, forecaster: OnnxForecaster, issued_I: Moments, steps: int) -> Forecasts | None:
    """The cached forecasts; None if there are none or they cannot be read."""
    manifest = forecaster.manifest
    try:
        with np.load(path) as kept:
            valid_I, quantiles_IHQ = kept["sound"], kept["quantiles"]
            peaks_IWQ = kept["peaks"] if manifest.peak_steps else None
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile):
        return None
    count, levels = len(issued_I), len(manifest.levels)
    fits = [
        _fits(valid_I, (count,), np.bool_),
        _fits(quantiles_IHQ, (count, steps, levels), np.float32),
        peaks_IWQ is None or _fits(peaks_IWQ, (count, len(manifest.peak_steps), levels), np.float32),
    ]
    return _forecasts(forecaster, issued_I, valid_I, quantiles_IHQ, peaks_IWQ) if all(fits) else None


def _fits(found: NDArray[Any], shape: tuple[int, ...], kind: type[np.generic]) -> bool:
    return found.shape == shape and found.dtype == kind and bool(np.isfinite(found).all())


def _keep(path: Path, made: Forecasts) -> tuple[str, ...]:
    """Write the whole file or nothing, as other processes may read it. Returns a note if it cannot be written."""
    arrays = {"sound": made.newest_I == np.arange(len(made.newest_I)), "quantiles": made.quantiles_IHQ}
    if made.peaks_IWQ is not None:
        arrays["peaks"] = made.peaks_IWQ
    try:
        with appearing(path) as draft:
            np.savez(draft, **arrays)
    except OSError as error:
        return (f"{path.parent}: forecasts are not kept: {error.strerror or 'the file cannot be written'}",)
    return ()

"""Whether the forecasts of this replica's triggers are uncertain. It changes no answer.

`note` runs in the worker thread of the forecasts, all else on the event loop.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from scaler.pool import Pool
from scaler.scoring.uncertainty import Doubt, Widths, are_split, part_of_past, width_of
from scaler.series import Forecast
from scaler.trigger import Trigger

ROWS = 256


class Doubts:
    """Every trigger of this replica, by key."""

    def __init__(self) -> None:
        self._pool = Pool(ROWS, _new_page, Widths.clear)
        self._newest: dict[str, Doubt] = {}
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """Judge the forecasts of `key` from now on."""
        with self._lock:
            self._pool.add(key)

    def remove(self, key: str) -> None:
        """Forget `key`."""
        with self._lock:
            self._pool.remove(key)
            self._newest.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pool = Pool(ROWS, _new_page, Widths.clear)
            self._newest.clear()

    def of(self, key: str) -> Doubt | None:
        """Of the newest forecast; None where there is none, or another replica makes it."""
        with self._lock:
            return self._newest.get(key)

    def note(
        self,
        triggers: Sequence[Trigger],
        bundle: Sequence[Forecast | None],
        mixed: Sequence[Forecast | None],
        ahead_seconds: Sequence[float],
        at: float,
    ) -> None:
        """Judge the forecasts of a moment. bundle, mixed: without and with past days. ahead: how far plans look."""
        found: dict[str, tuple[float, float, float, float, float]] = {}
        for trigger, alone, one, ahead in zip(triggers, bundle, mixed, ahead_seconds, strict=True):
            if alone is not None and one is not None and (of := _parts(alone, one, ahead)) is not None:
                found[trigger.key] = (*of, trigger.threshold)
        with self._lock:
            for key in [trigger.key for trigger in triggers if trigger.key not in found]:
                self._newest.pop(key, None)
            keys = [key for key in found if key in self._pool]
            rows, _ = self._pool.rows_of(keys)
            for page, local, position in self._pool.by_page(rows):
                self._judge(page, local, [keys[i] for i in position.tolist()], found, int(at // 60))

    def _judge(
        self,
        page: Widths,
        rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
        keys: Sequence[str],
        found: dict[str, tuple[float, float, float, float, float]],
        minute: int,
    ) -> None:
        median_N, p95_N, bundle_N, share_N, replica_N = np.array([found[key] for key in keys], np.float64).T
        width_N = np.array([width_of(*pair) for pair in zip(median_N.tolist(), p95_N.tolist(), strict=True)])
        past = [part_of_past(*one) for one in zip(median_N.tolist(), bundle_N.tolist(), share_N.tolist(), strict=True)]
        past_N = np.array([np.nan if one is None else one for one in past])
        usual_N, is_wide = page.judge(rows, width_N.astype(np.float32))
        is_wide &= p95_N - median_N >= replica_N
        is_split = are_split(bundle_N, past_N, share_N, replica_N)
        page.note(rows, minute, width_N.astype(np.float32))
        for i, key in enumerate(keys):
            usual = None if np.isnan(usual_N[i]) else float(usual_N[i])
            about = float(width_N[i]), usual, past[i], float(bundle_N[i])
            self._newest[key] = Doubt(*about, bool(is_wide[i]), bool(is_split[i]))


def _new_page() -> Widths:
    return Widths(ROWS)


def _parts(bundle: Forecast, mixed: Forecast, ahead: float) -> tuple[float, float, float, float] | None:
    """Median and p95 of the peak, the median of the bundle alone, and the share of past days; None without a peak."""
    if mixed.peaks_WQ is None or bundle.peaks_WQ is None:
        return None
    window, median, p95 = _places(mixed.levels, mixed.peak_steps, mixed.step_seconds, ahead)
    peak_Q, alone_Q = mixed.peaks_WQ[window], bundle.peaks_WQ[window]
    return float(peak_Q[median]), float(peak_Q[p95]), float(alone_Q[median]), mixed.past_share


@lru_cache(maxsize=1024)
def _places(
    levels: tuple[float, ...], peak_steps: tuple[int, ...], step_seconds: float, ahead: float
) -> tuple[int, int, int]:
    """The window that a plan looks at, and the levels nearest to 0.5 and 0.95."""
    window = next((w for w, steps in enumerate(peak_steps) if steps * step_seconds >= ahead), len(peak_steps) - 1)
    median, p95 = (int(np.argmin(np.abs(np.array(levels) - wanted))) for wanted in (0.5, 0.95))
    return window, median, p95

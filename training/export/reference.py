"""Reference cases: histories that a bundle must answer as it did at export.

Axes: N cases, T fine past steps, L coarse past blocks.
"""

import numpy as np
from numpy.typing import NDArray

from scaler.bundle import Manifest
from scaler.bundle.folder import Arrays
from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, SERIES

END = 1_750_003_380
"""seconds: on a Sunday, not at the border of a block"""
_Values = NDArray[np.float64]


def reference_cases(manifest: Manifest, end: int = END) -> Arrays:
    """Inputs of the graph: plain days, gaps, too little, nothing, zeros, tiny and huge demand, and sudden changes.

    `end` is the moment of the cases in seconds of local time. A bundle of single series gets them in turn.
    """
    times = end + np.arange(1 - manifest.steps, 1) * manifest.step_seconds
    last_block = end // manifest.coarse_seconds * manifest.coarse_seconds - manifest.coarse_seconds
    blocks = last_block + np.arange(1 - manifest.coarse_steps, 1) * manifest.coarse_seconds
    plain, plain_blocks = _demand(times), _demand(blocks)
    no, no_blocks = np.full_like(plain, np.nan), np.full_like(plain_blocks, np.nan)
    short = np.where(np.arange(len(times)) < len(times) - manifest.minimum_history_steps, np.nan, plain)
    late = np.where(np.arange(len(times)) < len(times) * 0.9, plain, 5 * plain)
    cases = [
        (plain, plain_blocks, 0),
        (plain, plain_blocks, 2 * 86400),
        (_gaps(plain), _gaps(plain_blocks), 0),
        (np.where(times > end - 3600, np.nan, plain), plain_blocks, 0),
        (no, no_blocks, 0),
        (no, plain_blocks, 0),
        (plain, no_blocks, 0),
        (short, no_blocks, 0),
        (np.where(np.arange(len(times)) < len(times) - 3, np.nan, plain), no_blocks, 0),
        (0 * plain, 0 * plain_blocks, 0),
        (0 * plain, plain_blocks, 0),
        (0 * plain + 7, 0 * plain_blocks + 7, 0),
        (plain * 1e12, plain_blocks * 1e12, 0),
        (plain * 1e-9, plain_blocks * 1e-9, 0),
        (late, plain_blocks, 0),
        (np.where(np.arange(len(times)) % 60 == 0, 900.0, 0.0), 0 * plain_blocks + 15, 0),
    ]
    long = [np.stack([mean, mean * 1.25], axis=-1) for _, mean, _ in cases]
    turns = {SERIES.name: np.arange(len(cases), dtype=np.int64) % len(manifest.series)} if manifest.series else {}
    return {
        HISTORY.name: np.stack([fine for fine, _, _ in cases]).astype(np.float32),
        LONG_HISTORY.name: np.stack(long).astype(np.float32),
        LOCAL_TIME.name: np.array([end + shift for _, _, shift in cases], np.int64),
        **turns,
    }


def _demand(times: NDArray[np.int64]) -> _Values:
    """A daily wave, quieter on weekends, with a ripple that no wave explains; whole numbers, so that it packs well."""
    wave = 100 - 60 * np.cos(2 * np.pi * times / 86400)
    weekday = np.where((times // 86400 + 3) % 7 >= 5, 0.6, 1.0)
    ripple = (times // 60 * 7919 % 31) - 15
    return np.round(np.maximum(wave * weekday + ripple, 0)).astype(np.float64)


def _gaps(values: _Values) -> _Values:
    places = np.arange(len(values))
    return np.where((places % 7 == 3) | (places % 50 < 12), np.nan, values)

"""Files of made-up recorded demand."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def write_recording(path: Path, days: int = 6, step_minutes: int = 5, **sizes: float) -> Path:
    """A CSV with a noisy daily wave per name, of about that size."""
    rng = np.random.default_rng(3)
    a_day = 1440 // step_minutes
    moments = pd.date_range("2026-01-05", periods=days * a_day, freq=f"{step_minutes}min", tz="UTC")
    wave = 2 + np.sin(2 * np.pi * np.arange(len(moments)) / a_day)
    frames = [
        pd.DataFrame({"series": name, "timestamp": moments.strftime("%FT%TZ"), "value": rng.poisson(size * wave)})
        for name, size in sizes.items()
    ]
    pd.concat(frames).to_csv(path, index=False)
    return path


def write_values(path: Path, step_minutes: int = 5, **values: Floats) -> Path:
    """A CSV with these series, from the same moment on; NaN is an empty value."""
    frames = []
    for name, demand in values.items():
        moments = pd.date_range("2026-01-05", periods=len(demand), freq=f"{step_minutes}min", tz="UTC")
        frames.append(pd.DataFrame({"series": name, "timestamp": moments.strftime("%FT%TZ"), "value": demand}))
    pd.concat(frames).to_csv(path, index=False)
    return path


def bad_values() -> dict[str, tuple[Floats, str]]:
    """Six days in steps of five minutes that can be read and not be used, and the rule that each breaks."""
    rng = np.random.default_rng(5)
    day = 288
    usual = rng.poisson(100 * (2 + np.sin(2 * np.pi * np.arange(6 * day) / day))).astype(np.float64)
    nothing, one_gap, idle = (
        np.full(6 * day, np.nan),
        "2026-01-09 19:12, is one gap",
        "2026-01-09 19:12, is 0 throughout",
    )
    late, gone, woke, off = usual.copy(), usual.copy(), nothing * 0, usual.copy()
    late[: 5 * day], gone[5 * day : -1], woke[:], woke[-1], off[5 * day :] = np.nan, np.nan, 0, 500, 0
    return {
        "young": (usual[:day], "has 1.0 days of history; 1.7 days are needed at a step of 300 s: "),
        "brief": (usual[: day // 2], "has 0.5 days of history; 1.7 days are needed at a step of 300 s: "),
        "counter": (np.cumsum(usual), "rises 1727 times and never falls: a raw counter; its query lacks rate()"),
        "late": (late, f"its train part, 2026-01-05 00:00 to {one_gap}"),
        "gone": (gone, "its test part, 2026-01-10 09:36 to 2026-01-11 00:00, has 1 of its 173 values, and no window"),
        "woke": (woke, f"its train part, 2026-01-05 00:00 to {idle}"),
        "off": (off, "its test part, 2026-01-10 09:36 to 2026-01-11 00:00, is 0 throughout"),
    }


def add_series(path: Path, name: str, value: float) -> None:
    """One more series in the file, as long as its first, that never changes."""
    frame = pd.read_csv(path)
    still = frame[frame["series"] == frame["series"].iloc[0]].assign(series=name, value=value)
    pd.concat([frame, still]).to_csv(path, index=False)

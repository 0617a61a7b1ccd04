"""Files of made-up recorded demand."""

from pathlib import Path

import numpy as np
import pandas as pd


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


def add_series(path: Path, name: str, value: float) -> None:
    """One more series in the file, as long as its first, that never changes."""
    frame = pd.read_csv(path)
    still = frame[frame["series"] == frame["series"].iloc[0]].assign(series=name, value=value)
    pd.concat([frame, still]).to_csv(path, index=False)

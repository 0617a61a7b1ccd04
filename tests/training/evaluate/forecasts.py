"""Windows on a small grid, and made-up forecasts whose quality is known."""

import numpy as np

from scaler.series import Grid
from training.data.load import Series
from training.data.windows import Windows, cut, cutoffs
from training.task import Prediction, Task

HOUR = 3600
MONDAY = 1_749_427_200
"""midnight, UTC"""
TASK = Task(Grid(300, 24, 900, 96 * 8), 6, (0.1, 0.5, 0.9), (1, 2, 6), 4)
NORMAL = np.array([-1.2816, 0.0, 1.2816])


def series(system: str, name: str, seed: int = 0, days: float = 10, start: float = MONDAY, step: int = 300) -> Series:
    """A repeated day with noise, and a gap of two hours."""
    random = np.random.default_rng(seed)
    count = int(days * 86_400 / step)
    day = 2 + np.sin(np.arange(count) * step / 86_400 * 2 * np.pi)
    values = 10.0 ** random.integers(-2, 4) * day * random.lognormal(0, 0.1, count)
    values[200 : 200 + 2 * HOUR // step] = np.nan
    return Series(system, name, "", float(start), step, values.astype(np.float32))


def windows(systems: int = 3, of_each: int = 2, count: int = 20) -> Windows:
    chosen = [
        series(f"system{i}", f"web{j}", seed=10 * i + j, start=MONDAY + i * 86_400)
        for i in range(systems)
        for j in range(of_each)
    ]
    cuts = [(one, cutoffs(one, count, TASK.horizon_steps, one.start + 86_400, one.end)) for one in chosen]
    return cut(cuts, TASK.grid, TASK.horizon_steps)


def forecast(cut_windows: Windows, miss: float, seed: int = 0, bias: float = 0.0, steady: bool = False) -> Prediction:
    """The truth missed by so much of it, and quantiles as wide as that; zero demand where the truth is a gap.

    The size of a miss is the same in each window where `steady`, else drawn from a normal distribution.
    """
    random = np.random.default_rng(seed)
    truth = np.nan_to_num(cut_windows.truth.demand_NH)
    drawn = np.where(random.random(truth.shape) < 0.5, -1.0, 1.0) if steady else random.normal(size=truth.shape)
    middle = truth * (1 + bias + miss * drawn)
    quantiles = np.maximum(middle[..., None] + miss * truth[..., None] * NORMAL, 0.0)
    peaks = np.maximum.accumulate(quantiles, axis=1)[:, np.array(TASK.peak_steps) - 1]
    return Prediction(quantiles.astype(np.float32), peaks.astype(np.float32))


def forecasts(cut_windows: Windows) -> dict[str, Prediction]:
    """A good, a middling and a bad model, next to the naive ones."""
    return {
        "persistence": forecast(cut_windows, 0.2, 1),
        "seasonal-naive": forecast(cut_windows, 0.3, 2),
        "good": forecast(cut_windows, 0.05, 3),
        "middling": forecast(cut_windows, 0.15, 4),
        "bad": forecast(cut_windows, 0.6, 5),
    }

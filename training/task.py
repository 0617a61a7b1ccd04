"""The task of all models of a run, and the form of their predictions.

Axes: N windows, H future steps, W window lengths, Q quantile levels.
"""

from dataclasses import dataclass, field

from scaler.bundle import Manifest
from scaler.bundle.signature import Sizes
from scaler.series import Floats, Grid
from training.errors import ModelError

DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
PEAK_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120)
STEP_LEADS = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240)
HOURS_AHEAD = {60: 2, 300: 2, 900: 24, 1800: 24, 3600: 168}
"""horizons of the default grids, by step in seconds"""


@dataclass(frozen=True, slots=True)
class Task:
    """The grid that a model reads, and the leads and levels that it predicts."""

    grid: Grid = field(default_factory=Grid)
    horizon_steps: int = 120
    """H"""
    levels: tuple[float, ...] = LEVELS
    """Q"""
    peak_steps: tuple[int, ...] = PEAK_STEPS
    """W"""
    minimum_history_steps: int = 60
    """with fewer samples in a window's history a model answers NaN"""

    @property
    def sizes(self) -> Sizes:
        grid = self.grid
        return Sizes(grid.steps, grid.coarse_steps, self.horizon_steps, len(self.levels), len(self.peak_steps))

    def manifest(self, name: str, version: str, **fields: object) -> Manifest:
        """The manifest of a bundle for this task; its graph's checksum is filled in later."""
        return Manifest.model_validate(
            {
                "name": name,
                "version": version,
                "step_seconds": self.grid.step_seconds,
                "steps": self.grid.steps,
                "horizon_steps": self.horizon_steps,
                "coarse_seconds": self.grid.coarse_seconds,
                "coarse_steps": self.grid.coarse_steps,
                "levels": self.levels,
                "peak_steps": self.peak_steps,
                "minimum_history_steps": self.minimum_history_steps,
                "graph_sha256": "0" * 64,
                **fields,
            }
        )


def task_for(step_seconds: int) -> Task:
    """The default task on a step: a day of fine steps, four weeks of blocks, two hours ahead (a day if it is coarse).

    Raises ModelError for a step that does not divide the quarter of an hour, or is not whole hours of a day.
    """
    coarse = max(900, step_seconds)
    if coarse % step_seconds or DAY_SECONDS % coarse:
        raise ModelError(f"a step of {step_seconds} s: must divide 900 s, or be a multiple of it that divides a day")
    grid = Grid(step_seconds, max(24, DAY_SECONDS // step_seconds), coarse, 4 * WEEK_SECONDS // coarse)
    hours = next(hours for step, hours in sorted(HOURS_AHEAD.items(), reverse=True) if step <= max(60, step_seconds))
    horizon = hours * 3600 // step_seconds
    peaks = tuple(w for w in PEAK_STEPS if w < horizon) + ((horizon,) if horizon <= 240 else ())
    return Task(grid, horizon, LEVELS, peaks, max(4, min(60, 3600 // step_seconds * 2)))


def step_leads(task: Task) -> tuple[int, ...]:
    """Leads at which learned models learn demand, the last step included; between them they interpolate."""
    return (*(lead for lead in STEP_LEADS if lead < task.horizon_steps), task.horizon_steps)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions for N windows: quantiles_NHQ of each step, peaks_NWQ of the running maximum.

    Ascending along Q, not negative, peaks ascending along W; NaN for a window whose history is too short.
    """

    quantiles_NHQ: Floats
    peaks_NWQ: Floats

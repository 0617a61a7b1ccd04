"""Models: fit, predict, export. One file each, one protocol, one signature of the exported graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from training.data.load import Series
from training.data.windows import Past, Windows
from training.progress import Progress, no_progress
from training.task import Prediction, Task


@dataclass(frozen=True, slots=True)
class Training:
    """The data of a fit. Every window, its truth included, ends within `series`, which end where training ends."""

    task: Task
    series: tuple[Series, ...]
    """in the order of `windows.names`"""
    windows: Windows
    """to learn from"""
    held_out: Windows
    """later windows of the same series: early stopping, calibration, weights"""
    seed: int = 0
    notes: tuple[str, ...] = ()
    """what the user should know of how the windows were chosen"""


class Model(Protocol):
    """One way to forecast. The same data and seed give the same model, bit for bit."""

    name: str

    @property
    def series(self) -> tuple[str, ...]:
        """The series it was fitted to (as in `Windows.names`); empty: it serves any series.

        An empty name stands for a series without a forecast.
        """
        ...

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        """Fit the model. Returns figures for the record. An interrupted fit keeps the best so far and returns."""
        ...

    def predict_quantiles(self, past: Past) -> Prediction:
        """Predictions without the graph; those of `to_onnx` must agree to 1e-3."""
        ...

    def to_onnx(self) -> bytes:
        """The graph of the bundle contract (scaler/bundle/README.md), features included."""
        ...

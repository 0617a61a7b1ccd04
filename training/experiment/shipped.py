"""The bundle that ships with the scaler as a model, to compare new models with."""

from collections.abc import Mapping
from pathlib import Path

from scaler.bundle import Bundle, read_bundle
from scaler.bundle.signature import PEAKS, QUANTILES
from scaler.forecast.catalog import GENERAL
from scaler.forecast.onnx_forecaster import open_graph
from training.batched import run_batched
from training.data.windows import Past
from training.models import Training
from training.progress import Progress, no_progress
from training.task import Prediction, Task


class BundleModel:
    """A finished bundle as a model, see `training.models.Model`."""

    series: tuple[str, ...] = ()

    def __init__(self, bundle: Bundle) -> None:
        self.name = bundle.manifest.name
        self._graph = bundle.graph
        self._session = open_graph(bundle.graph, bundle.manifest.model)
        self._inputs = [value.name for value in self._session.get_inputs()]

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        """Nothing: it is fitted already."""
        return {}

    def predict_quantiles(self, past: Past) -> Prediction:
        """The predictions of its graph."""
        inputs = {name: past.inputs()[name] for name in self._inputs}
        outputs = run_batched(self._session, inputs, self.name)
        return Prediction(outputs[QUANTILES.name], outputs[PEAKS.name])

    def to_onnx(self) -> bytes:
        return self._graph


def shipped_for(task: Task, general: Path = GENERAL) -> BundleModel | None:
    """The general bundle if it has this task's grid, else None; it only reads the minute grid."""
    bundle = read_bundle(general)
    manifest = bundle.manifest
    same = task.manifest(manifest.name, manifest.version)
    fields = ("step_seconds", "steps", "horizon_steps", "coarse_seconds", "coarse_steps", "levels", "peak_steps")
    return BundleModel(bundle) if all(getattr(manifest, key) == getattr(same, key) for key in fields) else None

"""The learned part of the general bundle as a core that needs no fit, as a member of an ensemble.

Axes: N windows, K targets, Q levels.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx.shape_inference
from onnx.utils import Extractor

from scaler.bundle import Manifest, read_bundle
from scaler.forecast.catalog import GENERAL
from scaler.forecast.onnx_forecaster import open_graph
from scaler.series import Floats
from training.batched import run_batched
from training.errors import DataError
from training.features.extract import FEATURES, SEASONAL, SEQUENCE, CoreInputs
from training.models.join import CORE_OUTPUT
from training.models.learned import CHUNK
from training.progress import Progress
from training.task import Task


class PretrainedCore:
    """The core of the bundle in `folder`, see `training.models.learned.Core`. Raises DataError if the bundle has
    another task.
    """

    def __init__(self, task: Task, folder: Path = GENERAL) -> None:
        bundle = read_bundle(folder)
        _same_task(bundle.manifest, task)
        self.name = bundle.manifest.name
        self._graph = _core_of(bundle.graph)
        self._open = open_graph(self._graph, self.name)

    def fit(
        self,
        seen: CoreInputs,
        target_NK: Floats,
        held_out: CoreInputs,
        held_out_target_NK: Floats,
        levels: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Mapping[str, float]:
        """Nothing: it is fitted already."""
        return {}

    def predict(self, seen: CoreInputs) -> Floats:
        """[N, K, Q]"""
        known = {FEATURES: seen.features_NF, SEQUENCE: seen.sequence_NPC, SEASONAL: seen.seasonal_NKQ}
        inputs = {name: values for name, values in known.items() if values is not None}
        used = {wanted.name: inputs[wanted.name] for wanted in self._open.get_inputs()}
        return run_batched(self._open, used, self.name, CHUNK)["scaled"]

    def to_onnx(self) -> bytes:
        """The core's graph, as in the bundle."""
        return self._graph


def _same_task(manifest: Manifest, task: Task) -> None:
    wanted = task.manifest(manifest.name, manifest.version)
    for field in ("step_seconds", "steps", "coarse_seconds", "coarse_steps", "horizon_steps", "peak_steps", "levels"):
        mine, theirs = getattr(wanted, field), getattr(manifest, field)
        if mine != theirs:
            raise DataError(
                f"the bundle {manifest.name} was made for {field} = {theirs}, here it is {mine}: a blend needs both "
                "equal; use the recipe ensemble"
            )


def _core_of(joined_model: bytes) -> bytes:
    """The nodes between features and head of a graph made by `training.models.join`."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(joined_model))
    core = Extractor(model).extract_model([FEATURES, SEQUENCE, SEASONAL], [CORE_OUTPUT])
    for node in core.graph.node:
        node.output[:] = ["scaled" if name == CORE_OUTPUT else name for name in node.output]
    core.graph.output[0].name = "scaled"
    return bytes(core.SerializeToString(deterministic=True))

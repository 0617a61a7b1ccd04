"""The seasonal model as a core: it learns nothing, and stabilises an ensemble. Axes: see training.models.learned."""

from collections.abc import Mapping

import onnx_ir as ir

from scaler.series import Floats
from training import graph
from training.errors import ModelError
from training.features.extract import SEASONAL, CoreInputs
from training.progress import Progress
from training.task import Task, step_leads


class SeasonalCore:
    """The forecast of the seasonal model, see `training.models.learned.Core`."""

    name = "seasonal"

    def __init__(self, task: Task) -> None:
        self._shape = ("N", task.sizes.W + len(step_leads(task)), task.sizes.Q)

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
        """Nothing to fit."""
        return {}

    def predict(self, seen: CoreInputs) -> Floats:
        """[N, K, Q]. Raises ModelError if the inputs lack it."""
        if seen.seasonal_NKQ is None:
            raise ModelError("seasonal: the inputs must include the forecast of the seasonal model")
        return seen.seasonal_NKQ

    def to_onnx(self) -> bytes:
        """`seasonal` as `scaled`."""
        with graph.building("seasonal") as (builder, op):
            quantiles = op.Identity(builder.input(SEASONAL, ir.DataType.FLOAT, self._shape))
            quantiles.shape, quantiles.dtype = ir.Shape(self._shape), ir.DataType.FLOAT
            builder.add_output(quantiles, "scaled")
            return graph.serialised(builder, "headway")

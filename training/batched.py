"""Running a graph over many windows in batches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from scaler.forecast.onnx_forecaster import run
from scaler.series import Floats

BATCH = 256


def run_batched(
    session: InferenceSession, inputs: Mapping[str, NDArray[Any]], name: str, size: int = BATCH
) -> dict[str, Floats]:
    """All outputs by name, computed for at most `size` windows at a time. Raises BundleInvalid if the graph fails."""
    count = len(next(iter(inputs.values())))
    parts = [
        run(session, {key: values[start : start + size] for key, values in inputs.items()}, name)
        for start in range(0, max(count, 1), size)
    ]
    return {key: np.concatenate([np.asarray(part[key], np.float32) for part in parts]) for key in parts[0]}

"""A learned graph with int8 weights, and its size, speed and loss before and after. Axes: N windows."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from onnxruntime import InferenceSession

from scaler.bundle.signature import PEAKS, QUANTILES
from scaler.forecast.onnx_forecaster import open_graph
from training.data.windows import Windows
from training.errors import ModelError
from training.evaluate.compare import compare
from training.export.parity import answered_by
from training.models import Model
from training.task import Prediction, Task

LEARNED = "core/"
"""prefix of the names of learned weights in a joined graph"""
FORMS = ("float32", "int8")
WINDOWS_TIMED = 10_000


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a graph. seconds: for 10,000 windows on one thread. peak_loss: as in the comparison of a run."""

    name: str
    size_bytes: int
    seconds: float
    peak_loss: float
    peak_coverage: float


def quantized(
    model: Model, graph: bytes, test: Windows, task: Task, naive: Mapping[str, Prediction]
) -> tuple[bytes, tuple[Form, ...]]:
    """(the graph with int8 weights, both forms on the test windows). `naive`: predictions of the naive models.

    Raises ModelError if the graph has no learned weights.
    """
    from training.models.torch_model.export import with_int8_weights

    small = with_int8_weights(graph, LEARNED)
    if small == graph:
        raise ModelError(f"{model.name}: has no weights that int8 could hold")
    predictions, seconds = {}, {}
    for name, form in zip(FORMS, (graph, small), strict=True):
        predictions[name], seconds[name] = _timed(open_graph(form, name), model, test)
    scores = compare(test, {**naive, **predictions}, task).summary.set_index("model")
    forms = tuple(
        Form(
            name,
            len(form),
            seconds[name],
            float(scores.loc[name, "peak_loss"]),
            float(scores.loc[name, "peak_coverage"]),
        )
        for name, form in zip(FORMS, (graph, small), strict=True)
    )
    return small, forms


def _timed(session: InferenceSession, model: Model, test: Windows) -> tuple[Prediction, float]:
    answered_by(session, model, test.past)
    started = time.perf_counter()
    answers = answered_by(session, model, test.past)
    seconds = (time.perf_counter() - started) / len(test) * WINDOWS_TIMED
    return Prediction(answers[QUANTILES.name], answers[PEAKS.name]), seconds

"""Does the exported graph answer like the model? Checked on real windows, and on damaged copies of them.

Axes: N windows.
"""

from dataclasses import dataclass, replace

import numpy as np
from onnxruntime import InferenceSession

from scaler.bundle.signature import PEAKS, QUANTILES, SERIES
from scaler.errors import CommandError
from scaler.forecast.onnx_forecaster import open_graph
from scaler.series import Floats
from scaler.trigger import LARGEST_DEMAND
from training.batched import run_batched
from training.data.windows import Past
from training.models import Model

HUGE_FACTOR = 1e9
TOLERANCE = 1e-3
"""largest difference, relative to the window's largest quantile"""
LEAST_SIZE = 0.01
"""of the series' largest demand: a model of single series computes and rounds in units of that"""


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest relative difference between model and graph over all windows, and where."""

    largest: float
    where: str


class ParityBroken(CommandError):
    """The exported graph does not answer like the model."""


def checked(model: Model, graph: bytes, past: Past, seed: int = 0) -> Difference:
    """The largest difference on these windows, as they are and damaged. Raises ParityBroken beyond the tolerance.

    A model of single series may compute a demand near zero as the difference of two large numbers. Its differences are
    relative to at least a share of the series' largest demand.
    """
    session = open_graph(graph, model.name)
    least_N = least_sizes(past) if model.series else np.zeros(len(past), np.float32)
    found = [_difference(model, session, kind, rows, least_N) for kind, rows in damaged(past, seed).items()]
    worst = max(found, key=lambda one: one.largest)
    if not worst.largest <= TOLERANCE:
        raise ParityBroken(
            f"{model.name}: the exported graph differs from the model by {worst.largest:.2g} {worst.where}; "
            f"at most {TOLERANCE:g} of the forecast is allowed"
        )
    return worst


def least_sizes(past: Past) -> Floats:
    """The least size that differences are relative to: a share of the largest demand of the window's series. [N]"""
    largest_N = np.nanmax(past.history_NT, axis=1, initial=0.0)
    largest_S = np.zeros(int(past.series_N.max(initial=-1)) + 1, np.float32)
    np.maximum.at(largest_S, past.series_N, largest_N)
    return np.asarray(LEAST_SIZE * largest_S[past.series_N], np.float32)


def damaged(past: Past, seed: int) -> dict[str, Past]:
    """The windows as recorded, with gaps, near zero, short, and as large as demand may be."""
    rng = np.random.default_rng(seed)
    holes = rng.random(past.history_NT.shape) < 0.2
    steps = past.history_NT.shape[1]
    short = np.arange(steps) < steps * 0.9

    def scaled(factor: float) -> Past:
        size = np.float32(factor)
        return replace(past, history_NT=past.history_NT * size, long_history_NL2=past.long_history_NL2 * size)

    return {
        "as recorded": past,
        "with gaps": replace(past, history_NT=np.where(holes, np.float32(np.nan), past.history_NT)),
        "begun lately": replace(
            past,
            history_NT=np.where(short, np.float32(np.nan), past.history_NT),
            long_history_NL2=np.full_like(past.long_history_NL2, np.nan),
        ),
        "near zero": scaled(1e-9),
        "huge": scaled(min(HUGE_FACTOR, LARGEST_DEMAND / max(1.0, float(np.nanmax(past.history_NT, initial=0.0))))),
    }


def _difference(model: Model, session: InferenceSession, kind: str, past: Past, least_N: Floats) -> Difference:
    predicted = model.predict_quantiles(past)
    answers = answered_by(session, model, past)
    worst = Difference(0.0, "anywhere")
    for name, wanted in ((QUANTILES.name, predicted.quantiles_NHQ), (PEAKS.name, predicted.peaks_NWQ)):
        relative = _relative(wanted, answers[name], least_N)
        row = int(relative.argmax())
        if relative[row] > worst.largest:
            worst = Difference(float(relative[row]), f"in {name} of window {row} {kind}")
    return worst


def answer(graph: bytes, model: Model, past: Past) -> dict[str, Floats]:
    """Outputs of the graph for the windows, by name."""
    return answered_by(open_graph(graph, model.name), model, past)


def answered_by(session: InferenceSession, model: Model, past: Past) -> dict[str, Floats]:
    inputs = {name: values for name, values in past.inputs().items() if name != SERIES.name or model.series}
    return run_batched(session, inputs, model.name)


def _relative(wanted: Floats, found: Floats, least_N: Floats) -> Floats:
    """The largest difference of each window relative to its largest value, and to `least_N` where that is larger. [N]

    Infinite if only one of both is NaN.
    """
    both_missing = np.isnan(wanted) & np.isnan(found)
    size = np.nanmax(np.abs(np.where(both_missing, 0, wanted)), axis=(1, 2), initial=0.0)
    off = np.where(both_missing, 0.0, np.abs(wanted - found)).max(axis=(1, 2))
    return np.asarray(np.where(np.isnan(off), np.inf, off / np.maximum(np.maximum(size, least_N), 1e-30)), np.float32)

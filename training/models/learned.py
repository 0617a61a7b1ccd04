"""Models that learn over many series at once: features graph → learned core → head graph, joined into one.

A core learns quantiles of K targets: the peaks of the W window lengths, then the demand at some leads. A target is
asinh((demand - middle) / unit): the seasonal model's median is the middle, half the distance between its 0.9 and 0.1
quantiles the unit. So a core learns the errors of that model, and knows the seasons from the start. Usual errors count
linearly, extreme ones by their logarithm, so that unpredictable events do not dominate. Monotonic maps preserve
quantiles.

Axes: N windows, F features, P patches, C channels, K targets, W window lengths, H steps, Q levels.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from scaler.bundle.signature import PEAKS, QUANTILES, shape_of
from scaler.forecast.onnx_forecaster import open_graph, run
from scaler.series import Floats
from training import graph
from training.data.windows import Past, Windows
from training.features.extract import CEILING, KNOWN, MIDDLE, UNIT, CoreInputs, Extracted, Extractor
from training.models import Training
from training.models.join import joined
from training.progress import Progress, no_progress
from training.task import Prediction, Task, step_leads

CHUNK = 4096
FURTHEST = 10.0
"""in asinh: errors are clipped at about ten thousand units"""


class Core(Protocol):
    """The learned part. `levels` are those of Q."""

    name: str

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
        """Fit; targets are NaN where unknown. Returns figures for the record."""
        ...

    def predict(self, seen: CoreInputs) -> Floats:
        """[N, K, Q]; the head makes them ascend along Q."""
        ...

    def to_onnx(self) -> bytes:
        """A graph from any of `features` [N, F], `sequence` [N, P, C], `seasonal` [N, K, Q] to `scaled` [N, K, Q]."""
        ...


def targets_of(task: Task, windows: Windows, extracted: Extracted) -> Floats:
    """The targets of each window. NaN where the truth or the level is unknown. [N, K]"""
    steps = windows.truth.demand_NH[:, np.asarray(step_leads(task)) - 1]
    demand = np.concatenate([windows.truth.peaks(task.peak_steps), steps], axis=1)
    demand[~extracted.known_N] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # a unit may be 0
        misses = np.arcsinh((demand - extracted.middle_NK) / extracted.unit_NK)
    return np.asarray(np.clip(misses, -FURTHEST, FURTHEST), np.float32)


class Learned:
    """A model with a core. Fitting extracts the features once and passes them to the core.

    extract: by default the features of the task.
    """

    def __init__(self, core: Core, task: Task, threads: int = 1, extract: Extractor | None = None) -> None:
        self.name = core.name
        self.series: tuple[str, ...] = ()
        self._core = core
        self._task = task
        self._extractor = extract or _extractor(task, threads)
        self._head_graph, self._open_head = _made_head(task)

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        progress(f"{self.name}: features", 0.0)
        seen, held = (self.extract(part.past) for part in (training.windows, training.held_out))
        return self.learn(training, seen, held, progress)

    def learn(
        self, training: Training, seen: Extracted, held: Extracted, progress: Progress = no_progress
    ) -> Mapping[str, float]:
        """Fit to the extracted features of the training and of the held-out windows."""
        target, held_target = (
            targets_of(self._task, part, extracted)
            for part, extracted in ((training.windows, seen), (training.held_out, held))
        )
        rows, held_rows = _some_known(target), _some_known(held_target)
        return self._core.fit(
            seen.seen.take(rows),
            target[rows],
            held.seen.take(held_rows),
            held_target[held_rows],
            self._task.levels,
            training.seed,
            progress,
        )

    def predict_quantiles(self, past: Past) -> Prediction:
        return self.predict_extracted(self.extract(past))

    @property
    def subjects(self) -> tuple[str, ...]:
        """See `training.evaluate.importance.Explained`."""
        return self._extractor.subjects

    def extract(self, past: Past) -> Extracted:
        """See `training.evaluate.importance.Explained`."""
        return self._extractor(past)

    def predict_extracted(self, seen: Extracted) -> Prediction:
        """See `training.evaluate.importance.Explained`."""
        parts = [self._head(seen, slice(start, start + CHUNK)) for start in range(0, len(seen), CHUNK)]
        return Prediction(*(np.concatenate([part[t.name] for part in parts]) for t in (QUANTILES, PEAKS)))

    def to_onnx(self) -> bytes:
        return joined(self._extractor.graph, self._core.to_onnx(), self._head_graph)

    def _head(self, seen: Extracted, rows: slice) -> dict[str, Floats]:
        scaled = self._core.predict(seen.seen.take(rows))
        known = seen.known_N[rows, None].astype(np.float32)
        inputs = {
            "scaled": scaled,
            MIDDLE: seen.middle_NK[rows],
            UNIT: seen.unit_NK[rows],
            KNOWN: known,
            CEILING: seen.ceiling_N[rows, None],
        }
        return {name: np.asarray(value, np.float32) for name, value in run(self._open_head, inputs, "head").items()}


@lru_cache(maxsize=4)
def _extractor(task: Task, threads: int) -> Extractor:
    """Cached: it takes a second, and all models of a task share it."""
    return Extractor(task, threads)


@lru_cache(maxsize=4)
def _made_head(task: Task) -> tuple[bytes, InferenceSession]:
    made = head_graph(task)
    return made, open_graph(made, "head")


def _some_known(target_NK: Floats) -> NDArray[np.int64]:
    return np.flatnonzero(~np.isnan(target_NK).all(axis=1))


def head_graph(task: Task) -> bytes:
    """scaled [N, K, Q], middle, unit [N, K], known, ceiling [N, 1] → quantiles [N, H, Q], peaks [N, W, Q]."""
    sizes = task.sizes
    targets = sizes.W + len(step_leads(task))
    with graph.building("head") as (builder, op):
        scaled = builder.input("scaled", ir.DataType.FLOAT, ("N", targets, sizes.Q))
        known, ceiling = (builder.input(name, ir.DataType.FLOAT, ("N", 1)) for name in (KNOWN, CEILING))
        middle, unit = (builder.input(name, ir.DataType.FLOAT, ("N", targets)) for name in (MIDDLE, UNIT))
        misses = op.Sinh(op.Clip(scaled, -FURTHEST, FURTHEST))
        demand = op.Max(misses * op.Unsqueeze(unit, [2]) + op.Unsqueeze(middle, [2]), 0.0)
        demand = op.Min(demand, op.Unsqueeze(ceiling, [2]))
        demand = graph.running_max(op, demand, 2, sizes.Q)
        demand = op.Where(op.Unsqueeze(op.Greater(known, 0.0), [2]), demand, float("nan"))
        peaks = graph.running_max(op, graph.part(op, demand, 0, sizes.W), 1, sizes.W)
        steps = _steps(op, task, graph.part(op, demand, sizes.W, targets), peaks)
        for tensor, value in ((QUANTILES, steps), (PEAKS, peaks)):
            value.shape, value.dtype = ir.Shape(shape_of(tensor, sizes)), ir.DataType.FLOAT
            builder.add_output(value, tensor.name)
        return graph.serialised(builder, "headway")


def _steps(op: Any, task: Task, at_leads: Any, peaks: Any) -> Any:
    """All steps, interpolated between leads, none above the peak of the shortest window that contains it. [N, H, Q]"""
    every = np.arange(1, task.horizon_steps + 1)
    steps = op.MatMul(graph.constant(op, graph.between(step_leads(task), every.tolist())), at_leads)
    covered = every[every <= task.peak_steps[-1]]
    holds = np.searchsorted(task.peak_steps, covered)
    capped = op.Min(graph.part(op, steps, 0, len(covered)), graph.at(op, peaks, holds))
    if len(covered) == task.horizon_steps:
        return capped
    return op.Concat(capped, graph.part(op, steps, len(covered), task.horizon_steps), axis=1)

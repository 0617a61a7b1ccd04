"""The feature graph: from a bundle's inputs to those of a learned model; run in training, exported with the model.

Axes: N windows, T past steps, F features, P patches, C channels, K targets, Q levels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY, shape_of
from scaler.forecast.onnx_forecaster import open_graph
from scaler.series import Floats
from training import graph
from training.batched import run_batched
from training.data.windows import Past
from training.features.calendar import add_calendar
from training.features.columns import Columns
from training.features.recent import add_recent
from training.features.scaling import Scaled, scaled
from training.features.seasonal import add_seasonal, in_units, middle_and_unit, seasonal_base
from training.features.weeks import add_weeks
from training.task import Task, step_leads

PATCHES = 96
CHANNELS = ("mean", "max", "last", "known")
FEATURES, SEQUENCE, SEASONAL, MIDDLE, UNIT = "features", "sequence", "seasonal", "middle", "unit"
KNOWN, CEILING = "known", "ceiling"
SEASONAL_SUBJECT, SEQUENCE_SUBJECT = "forecast of the seasonal model", "the last day in patches"


@dataclass(frozen=True)
class CoreInputs:
    """Inputs of a learned model for N windows, all finite: columns, the last day in patches, oldest first.

    seasonal_NKQ: the quantiles of the seasonal model, in the units of a core; for those that read them.
    """

    features_NF: Floats
    sequence_NPC: Floats
    seasonal_NKQ: Floats | None = None

    def __len__(self) -> int:
        return len(self.features_NF)

    def take(self, rows: Any) -> "CoreInputs":
        seasonal = None if self.seasonal_NKQ is None else self.seasonal_NKQ[rows]
        return CoreInputs(self.features_NF[rows], self.sequence_NPC[rows], seasonal)


@dataclass(frozen=True)
class Extracted:
    """`seen`, and the conversion from a core's units to demand (see training.models.learned).

    `known_N`: whether there is enough history for a forecast; `ceiling_N`: upper bound of the forecast.
    """

    seen: CoreInputs
    middle_NK: Floats
    unit_NK: Floats
    known_N: NDArray[np.bool_]
    ceiling_N: Floats

    def __len__(self) -> int:
        return len(self.seen)

    def exchanged(self, subject: str, subjects: Sequence[str], order_N: NDArray[np.int64]) -> "Extracted":
        """What is about `subject` comes from the window at this place of `order_N`; `subjects`: of the columns."""
        seen, about = self.seen, np.array(subjects) == subject
        features_NF, seasonal_NKQ = seen.features_NF.copy(), seen.seasonal_NKQ
        features_NF[:, about] = seen.features_NF[order_N][:, about]
        if subject == SEASONAL_SUBJECT and seasonal_NKQ is not None:
            seasonal_NKQ = seasonal_NKQ[order_N]
        sequence_NPC = seen.sequence_NPC[order_N] if subject == SEQUENCE_SUBJECT else seen.sequence_NPC
        return replace(self, seen=CoreInputs(features_NF, sequence_NPC, seasonal_NKQ))


def one_after_another(parts: Sequence[Extracted]) -> Extracted:
    """Several as one; raises ValueError where there are none."""
    seen = CoreInputs(
        np.concatenate([part.seen.features_NF for part in parts]),
        np.concatenate([part.seen.sequence_NPC for part in parts]),
        np.concatenate([part.seen.seasonal_NKQ for part in parts if part.seen.seasonal_NKQ is not None]),
    )
    return Extracted(
        seen,
        np.concatenate([part.middle_NK for part in parts]),
        np.concatenate([part.unit_NK for part in parts]),
        np.concatenate([part.known_N for part in parts]),
        np.concatenate([part.ceiling_N for part in parts]),
    )


@dataclass(frozen=True)
class Units:
    """Nodes that convert a core's units to demand: expected value and usual error of each target. [N, K]"""

    middle: Any
    unit: Any


@dataclass(frozen=True)
class Added:
    """What an addition has made besides columns: the units to use, and further channels of the sequence. [N, P, C]"""

    units: Units
    channels: Any


@dataclass(frozen=True)
class Addition:
    """Additional features of a model: its own inputs by name, with shapes, and the function that adds them.

    `add` gets the columns so far, the past, its inputs, and the default units; it may add columns. `channels`: the
    names of the channels that it returns. `subject`: what its columns are about.
    """

    subject: str
    inputs: Mapping[str, tuple[int | str, ...]]
    channels: tuple[str, ...]
    add: Callable[[Columns, Scaled, Mapping[str, Any], Units], Added]


@dataclass(frozen=True)
class FeatureGraph:
    """A graph with the outputs of `Extracted`, `known` as 1.0 or 0.0, and each column's name and subject."""

    graph: bytes
    names: tuple[str, ...]
    subjects: tuple[str, ...]


class Extractor:
    """The feature graph of a task, opened for training; or another with the contract's inputs."""

    def __init__(self, task: Task, threads: int = 1, made: FeatureGraph | None = None) -> None:
        self.task = task
        made = made or feature_graph(task)
        self.graph, self.names, self.subjects = made.graph, made.names, made.subjects
        self._session: onnxruntime.InferenceSession = open_graph(self.graph, "features", threads)

    def __call__(self, past: Past) -> Extracted:
        """The inputs of a model for each window."""
        inputs = {wanted.name: past.inputs()[wanted.name] for wanted in self._session.get_inputs()}
        found = run_batched(self._session, inputs, "features")
        seen = CoreInputs(found[FEATURES], found[SEQUENCE], found[SEASONAL])
        known = found[KNOWN][:, 0] > 0
        return Extracted(seen, found[MIDDLE], found[UNIT], known, found[CEILING][:, 0])


def feature_graph(task: Task, addition: Addition | None = None) -> FeatureGraph:
    """The feature graph of a task, with what a model adds to it."""
    with graph.building("features") as (builder, op):
        types = {"float32": ir.DataType.FLOAT, "int64": ir.DataType.INT64}
        history, long_history, local_time = (
            builder.input(tensor.name, types[tensor.dtype], shape_of(tensor, task.sizes))
            for tensor in (HISTORY, LONG_HISTORY, LOCAL_TIME)
        )
        past = scaled(op, task, history, long_history)
        columns = Columns(op)
        add_recent(columns, task, past)
        columns.subject = "same time on earlier days"
        add_weeks(columns, task, past, local_time)
        base = seasonal_base(op, task, past, local_time)
        columns.subject = SEASONAL_SUBJECT
        add_seasonal(columns, task, past, base)
        units, sequence = Units(*middle_and_unit(op, task, past, base)), _sequence(op, task, past)
        columns.subject = "calendar"
        add_calendar(columns, local_time)
        channels: tuple[str, ...] = CHANNELS
        if addition is not None:
            columns.subject = addition.subject
            given = {name: builder.input(name, ir.DataType.FLOAT, shape) for name, shape in addition.inputs.items()}
            added = addition.add(columns, past, given, units)
            units, channels = added.units, (*CHANNELS, *addition.channels)
            sequence = op.Concat(sequence, added.channels, axis=2)
        targets = task.sizes.W + len(step_leads(task))
        shapes = {
            FEATURES: ("N", len(columns.names)),
            SEQUENCE: ("N", patches_of(task)[0], len(channels)),
            SEASONAL: ("N", targets, task.sizes.Q),
            MIDDLE: ("N", targets),
            UNIT: ("N", targets),
        }
        outputs = {
            FEATURES: columns.joined(),
            SEQUENCE: sequence,
            SEASONAL: in_units(op, base, units.middle, units.unit),
            MIDDLE: units.middle,
            UNIT: units.unit,
            KNOWN: past.known,
            CEILING: past.ceiling,
        }
        for name, value in outputs.items():
            value.shape, value.dtype = ir.Shape(shapes.get(name, ("N", 1))), ir.DataType.FLOAT
            builder.add_output(value, name)
        return FeatureGraph(graph.serialised(builder, "headway"), tuple(columns.names), tuple(columns.subjects))


def patches_of(task: Task) -> tuple[int, int]:
    """(number of patches of the last day, steps in each)"""
    patches = min(PATCHES, task.grid.steps)
    return patches, task.grid.steps // patches


def _sequence(op: Any, task: Task, past: Scaled) -> Any:
    """The history in patches: mean, peak and last value above the level, and the share that is known."""
    patches, width = patches_of(task)
    steps = patches * width
    demand = graph.cut(op, past.demand, task.grid.steps - steps, task.grid.steps)
    relative = graph.asinh(op, (demand.value - past.level) / past.scale) * demand.valid
    by_patch = [0, patches, width]
    value, valid = op.Reshape(relative, by_patch), op.Reshape(demand.valid, by_patch)
    highest = op.ReduceMax(op.Where(op.Greater(valid, 0.0), value, -graph.HUGE), [2])
    any_known = op.ReduceMax(valid, [2])
    channels = [
        op.ReduceSum(value, [2], keepdims=0) / op.Max(op.ReduceSum(valid, [2], keepdims=0), 1.0),
        op.Squeeze(op.Where(op.Greater(any_known, 0.0), highest, 0.0), [2]),
        op.Squeeze(graph.part(op, value, width - 1, width, axis=2), [2]),
        op.ReduceMean(valid, [2], keepdims=0),
    ]
    return op.Concat(*(op.Unsqueeze(channel, [2]) for channel in channels), axis=2)

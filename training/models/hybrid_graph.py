"""Prophet's forecast as columns, centre and spread of the features, its residuals as a channel of the sequence.

Its graph comes before that of the features.

Axes: N windows, M moments of Prophet's path, P patches of the last day, K targets, Q levels.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import onnx
import onnx_ir as ir
from onnx import compose, helper

from scaler.bundle.signature import LOCAL_TIME, PEAKS, QUANTILES, SERIES, shape_of
from training import graph
from training.features.columns import Columns, mean_of
from training.features.extract import Added, Addition, Units, patches_of
from training.features.scaling import Scaled
from training.features.seasonal import PEAKS_SEEN
from training.graph import Masked
from training.models.prophet_graph import Components, path_nodes, scale_nodes
from training.task import Task, step_leads

BASE_QUANTILES, BASE_PEAKS, BASE_PATH = "base_quantiles", "base_peaks", "base_path"
LEAST_UNIT = 0.1
"""of the changes that the series usually makes"""
SPANS = (1, 2, 4, 12, 24)
"""newest patches over which residuals are averaged, besides all of them"""
AGAIN = 9
"""patches from the same time yesterday on whose residuals are single columns"""


def addition(task: Task) -> Addition:
    """Prophet's forecast and path as inputs; its median and the distance of its 0.1 and 0.9 quantiles are the units."""
    sizes = task.sizes
    inputs: dict[str, tuple[int | str, ...]] = {
        BASE_QUANTILES: shape_of(QUANTILES, sizes),
        BASE_PEAKS: shape_of(PEAKS, sizes),
        BASE_PATH: ("N", len(_moments(task))),
    }
    return Addition("forecast and residuals of Prophet", inputs, ("missed",), partial(_add, task))


def prophet_first(features: bytes, prophet: bytes, path: bytes) -> bytes:
    """One graph: Prophet's two graphs first, whose outputs are inputs of the features."""
    first_graphs = {"prophet/": onnx.load_from_string(prophet), "path/": onnx.load_from_string(path)}
    last = onnx.load_from_string(features)
    inputs = {value.name: value for part in (last, *first_graphs.values()) for value in part.graph.input}
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for prefix, part in first_graphs.items():
        nodes += [helper.make_node("Identity", [v.name], [prefix + v.name]) for v in part.graph.input]
        prefixed = compose.add_prefix(part, prefix).graph
        nodes += prefixed.node
        initializers += prefixed.initializer
    answers = {BASE_QUANTILES: f"prophet/{QUANTILES.name}", BASE_PEAKS: f"prophet/{PEAKS.name}"}
    answers[BASE_PATH] = f"path/{BASE_PATH}"
    nodes += [helper.make_node("Identity", [quantiles], [name]) for name, quantiles in answers.items()]
    outside = [value for name, value in inputs.items() if name not in answers]
    made = helper.make_graph(
        [*nodes, *last.graph.node], "with_prophet", outside, last.graph.output, [*initializers, *last.graph.initializer]
    )
    opsets = {o.domain: o for part in (*first_graphs.values(), last) for o in part.opset_import}
    model = helper.make_model(made, opset_imports=list(opsets.values()), ir_version=graph.IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def path_graph(task: Task, components: Components) -> bytes:
    """series, local_time → Prophet's path at `_moments`, in demand; NaN for a series that could not be fitted."""
    with graph.building("path") as (builder, op):
        series, local_time = (builder.input(t.name, ir.DataType.INT64, ("N",)) for t in (SERIES, LOCAL_TIME))
        relative = path_nodes(op, components, series, local_time, _moments(task))
        path = relative * scale_nodes(op, components, series)
        path.shape, path.dtype = ir.Shape(("N", len(_moments(task)))), ir.DataType.FLOAT
        builder.add_output(path, BASE_PATH)
        return graph.serialised(builder, "headway")


def at_level(op: Any, task: Task, quantiles: Any, level: float) -> Any:
    """At the nearest level of the task. [N, K, Q] → [N, K]"""
    nearest = min(range(len(task.levels)), key=lambda q: abs(task.levels[q] - level))
    return op.Squeeze(graph.part(op, quantiles, nearest, nearest + 1, axis=2), [2])


def _leads(task: Task) -> list[int]:
    return [lead for lead in step_leads(task) if lead in PEAKS_SEEN or lead == task.horizon_steps]


def _moments(task: Task) -> list[int]:
    """Seconds from now: the middle of each patch of the last day, now, and the leads."""
    patches, width = patches_of(task)
    behind = [-round((width * (patches - p) - (width + 1) / 2) * task.grid.step_seconds) for p in range(patches)]
    return [*behind, 0, *(lead * task.grid.step_seconds for lead in _leads(task))]


def _add(task: Task, columns: Columns, past: Scaled, given: Mapping[str, Any], usual: Units) -> Added:
    op, wanted = columns.op, _targets_seen(task)
    steps = graph.at(op, given[BASE_QUANTILES], [lead - 1 for lead in step_leads(task)])
    quantiles = op.Concat(given[BASE_PEAKS], steps, axis=1)
    known = op.Less(op.ReduceMax(op.Abs(quantiles), [1, 2], keepdims=0), graph.HUGE)
    known = op.Unsqueeze(known, [1])
    quantiles = op.Where(op.Unsqueeze(known, [2]), quantiles, 0.0)
    low, median, high = (at_level(op, task, quantiles, level) for level in (0.1, 0.5, 0.9))
    unit = op.Max((high - low) * 0.5, past.scale * LEAST_UNIT)
    units = Units(op.Where(known, median, usual.middle), op.Where(known, unit, usual.unit))
    columns.add("prophet_known", graph.flag(op, known))
    by_target = {
        "prophet_": op.Asinh((median - past.level) / past.scale),
        "prophet_unit_": op.Log(unit / past.scale),
        "now_off_prophet_": op.Asinh((past.level - median) / unit),
        "seasonal_off_prophet_": op.Asinh((usual.middle - median) / unit),
    }
    for name, value in by_target.items():
        columns.add(name, graph.at(op, op.Where(known, value, 0.0), wanted), [_names(task)[k] for k in wanted])
    missed = _add_path(columns, task, past, given[BASE_PATH])
    return Added(units, op.Unsqueeze(op.Asinh(missed.value) * missed.valid, [2]))


def _names(task: Task) -> list[str]:
    return [*(f"peak_{length}" for length in task.peak_steps), *(f"step_{lead}" for lead in step_leads(task))]


def _targets_seen(task: Task) -> list[int]:
    return [k for k, length in enumerate((*task.peak_steps, *step_leads(task))) if length in PEAKS_SEEN]


def _add_path(columns: Columns, task: Task, past: Scaled, path: Any) -> Masked:
    """The further course of Prophet's path, and the residuals over the last day, which are returned. [N, P]"""
    op, (patches, _) = columns.op, patches_of(task)
    path = graph.masked(op, path)
    now = graph.part(op, path.value, patches, patches + 1)
    ahead = graph.part(op, path.value, patches + 1, patches + 1 + len(_leads(task)))
    columns.add("prophet_drift_", op.Asinh((ahead - now) / past.scale), _leads(task))
    missed = _missed(op, task, past, graph.cut(op, path, 0, patches))
    for span in (*(span for span in SPANS if span < patches), patches):
        newest = graph.cut(op, missed, patches - span, patches)
        mean = mean_of(op, newest)
        columns.add_known(f"prophet_missed_{span}", Masked(op.Asinh(mean.value), mean.valid))
    size = mean_of(op, Masked(op.Abs(missed.value), missed.valid))
    columns.add("prophet_misses", op.Log(size.value + 0.01))
    again = min(AGAIN, patches)
    yesterday = graph.cut(op, missed, 0, again)
    columns.add_known("prophet_missed_yesterday_", Masked(op.Asinh(yesterday.value), yesterday.valid), range(again))
    return missed


def _missed(op: Any, task: Task, past: Scaled, path: Masked) -> Masked:
    """Mean demand of each patch less Prophet's path at its middle, in scales. [N, P]"""
    patches, width = patches_of(task)
    demand = graph.cut(op, past.demand, task.grid.steps - patches * width, task.grid.steps)
    value = op.ReduceSum(op.Reshape(demand.value, [0, patches, width]), [2], keepdims=0)
    count = op.ReduceSum(op.Reshape(demand.valid, [0, patches, width]), [2], keepdims=0)
    mean = graph.over(op, value, count)
    both = mean.valid * path.valid
    return Masked((mean.value - path.value) / past.scale * both, both)

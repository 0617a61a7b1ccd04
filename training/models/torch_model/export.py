"""Converts networks to ONNX, and ONNX to int8. Axes: see the package."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from scaler.series import Floats
from training.graph import IR_VERSION, OPSET
from training.models.torch_model.network import Sizes

FEATURES, SEQUENCE, SCALED = "features", "sequence", "scaled"
LARGEST_FOLDED = 1_000_000
"""largest size of a tensor that is computed at export instead of at load"""


def to_onnx(network: nn.Module, sizes: Sizes) -> bytes:
    """The graph features [N, F], sequence [N, P, C] → scaled [N, K, Q]; the same bytes for the same weights."""
    network.eval()
    example = (torch.zeros(2, sizes.features), torch.zeros(2, sizes.patches, sizes.channels))
    batch = torch.export.Dim("N")
    with _quiet():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            dynamic_shapes=({0: batch}, {0: batch}),
            input_names=[FEATURES, SEQUENCE],
            output_names=[SCALED],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    # fold what depends on weights only, such as an LSTM's gates in ONNX's order
    optimizer.optimize_ir(program.model, input_size_limit=LARGEST_FOLDED, output_size_limit=LARGEST_FOLDED)
    return _plain(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's messages about unneeded packages and its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def with_int8_weights(model_bytes: bytes, prefix: str = "") -> bytes:
    """The graph with int8 weights, a scale per output; it computes in float32, so results do not depend on the batch.

    prefix: of the names of the weights; others are unchanged. The same bytes if there are none.

    (Dynamic quantisation scales activations by the largest of the batch: a row would depend on its neighbours.)
    """
    model = onnx.load_from_string(model_bytes)
    floats = (one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT)
    weights = {one.name: one for one in floats if one.name.startswith(prefix)}
    axes = {name: axis for node in model.graph.node for name, axis in _weights(node) if name in weights}
    if not axes:
        return model_bytes
    unpacked = []
    for name, axis in axes.items():
        integers, scales = _int8(numpy_helper.to_array(weights[name]), axis)
        model.graph.initializer.remove(weights[name])
        model.graph.initializer.append(numpy_helper.from_array(integers, f"{name}.int8"))
        model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scale"))
        inputs = [f"{name}.int8", f"{name}.scale"]
        unpacked.append(helper.make_node("DequantizeLinear", inputs, [name], f"{name}.unpacked", axis=axis))
    nodes = [*unpacked, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return _plain(model)


def _weights(node: onnx.NodeProto) -> list[tuple[str, int]]:
    """The names of possible weights of a node, each with the axis of its outputs."""
    if node.op_type == "MatMul":
        return [(node.input[1], 1)]
    if node.op_type == "Gemm":
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        return [(node.input[1], 0 if transposed else 1)]
    return [(name, 1) for name in node.input[1:3]] if node.op_type == "LSTM" else []


def _int8(weights: Floats, axis: int) -> tuple[NDArray[np.int8], Floats]:
    others = tuple(other for other in range(weights.ndim) if other != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales.reshape(-1)


def _plain(model: onnx.ModelProto) -> bytes:
    """Without metadata on how the graph was made."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "headway", "", ""
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    model.graph.doc_string = ""
    graph = model.graph
    parts: list[Any] = [*graph.node, *graph.input, *graph.output, *graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))

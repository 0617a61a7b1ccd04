"""Joins feature graph, core and head to one graph of the bundle contract."""

import onnx
from onnx import compose

from scaler.bundle.signature import PEAKS, QUANTILES
from training import graph
from training.features.extract import CEILING, KNOWN, MIDDLE, UNIT

CORE_OUTPUT = "core/scaled"
"""the core's output within the joined graph"""


def joined(features: bytes, core: bytes, head: bytes) -> bytes:
    """The three graphs in sequence. The core's inputs may be any outputs of the features."""
    first, second, third = (_plain(onnx.load_from_string(part)) for part in (features, core, head))
    second, third = compose.add_prefix(second, "core/"), compose.add_prefix(third, "head/")
    taken = [value.name.removeprefix("core/") for value in second.graph.input]
    kept = (MIDDLE, UNIT, KNOWN, CEILING)
    both = compose.merge_models(
        first, second, io_map=[(name, f"core/{name}") for name in taken], outputs=[*kept, CORE_OUTPUT]
    )
    links = [(CORE_OUTPUT, "head/scaled"), *((name, f"head/{name}") for name in kept)]
    joined_model = compose.merge_models(both, third, io_map=links)
    for tensor in (QUANTILES, PEAKS):
        _rename(joined_model.graph, f"head/{tensor.name}", tensor.name)
    return bytes(_plain(joined_model).SerializeToString(deterministic=True))


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without metadata of exporters, and with one version of each operator set."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    model.ir_version = graph.IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "headway", "", ""
    versions = {opset.domain: opset.version for opset in model.opset_import}
    del model.opset_import[:]
    for domain, version in sorted(versions.items()):
        model.opset_import.append(onnx.helper.make_opsetid(domain, version))
    return model


def _rename(joined_model: onnx.GraphProto, old: str, new: str) -> None:
    for node in joined_model.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
    for value in joined_model.output:
        if value.name == old:
            value.name = new

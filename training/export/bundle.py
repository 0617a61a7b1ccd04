"""A graph becomes a bundle: reference cases answered, manifest written, and the whole loaded as the scaler loads it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime import InferenceSession

from scaler.bundle import Bundle, Manifest, checksum, read_bundle, write_bundle
from scaler.bundle.folder import Arrays
from scaler.bundle.signature import HISTORY, SERIES
from scaler.errors import BundleInvalid
from scaler.forecast.onnx_forecaster import open_bundle, open_graph, reference_difference, run


def bundle_of(graph: bytes, manifest: Manifest, cases: Arrays) -> Bundle:
    """The bundle, with the graph's answers to `cases` as reference and the checksum filled in.

    Raises BundleInvalid when the scaler would refuse it, or when its answer to a case depends on the other cases.
    """
    manifest = manifest.model_copy(update={"graph_sha256": checksum(graph)})
    session = open_graph(graph, manifest.model)
    answers = run(session, cases, manifest.model)
    _alone_as_together(session, manifest.model, cases, answers)
    bundle = Bundle(manifest, graph, {**cases, **answers})
    open_bundle(bundle, manifest.model)
    return bundle


def served(graph: bytes, series: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    """(graph, names) without the series that have no name: the graph's `series` input counts those that are left."""
    kept = [place for place, name in enumerate(series) if name]
    names = tuple(series[place] for place in kept)
    if len(kept) == len(series):
        return graph, names
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == SERIES.name:
                node.input[place] = "fitted_series"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(kept, np.int64), "served_series"))
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["served_series", SERIES.name], ["fitted_series"]))
    return bytes(model.SerializeToString(deterministic=True)), names


def _alone_as_together(session: InferenceSession, name: str, cases: Arrays, answers: Arrays) -> None:
    alone = [
        run(session, {key: values[case : case + 1] for key, values in cases.items()}, name)
        for case in range(len(cases[HISTORY.name]))
    ]
    for key, together in answers.items():
        differences = reference_difference(key, together, np.concatenate([answer[key] for answer in alone]))
        if differences:
            raise BundleInvalid(name, (f"a batch of one answers otherwise: {differences}",))


def export(bundle: Bundle, folder: Path) -> None:
    """Write the bundle to `folder`, replacing what is there, and read it back as the scaler does."""
    write_bundle(bundle, folder)
    open_bundle(read_bundle(folder), str(folder))


def stale(bundle: Bundle, folder: Path) -> list[str]:
    """How the bundle in `folder` differs from a freshly made one, a sentence each; empty when it is up to date.

    Graph and manifest are compared exactly, reference answers within the tolerance of loading: they come from a CPU.
    """
    try:
        written = read_bundle(folder)
    except BundleInvalid as refusal:
        return list(refusal.differences)
    differences = []
    if written.graph != bundle.graph:
        differences.append(f"{folder}: model.onnx is not what the code makes")
    if json.loads(written.manifest.to_json()) != json.loads(bundle.manifest.to_json()):
        differences.append(f"{folder}: manifest.json is not what the code makes")
    for key, values in bundle.reference.items():
        difference = reference_difference(key, values, written.reference[key])
        if difference:
            differences.append(f"{folder}: {difference}")
    return differences

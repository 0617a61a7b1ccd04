"""A graph becomes a bundle: reference cases answered, manifest written, and the whole loaded as the scaler loads it."""

import json
from pathlib import Path

import numpy as np

from scaler.bundle import Bundle, Manifest, checksum, read_bundle, write_bundle
from scaler.bundle.folder import Arrays
from scaler.bundle.signature import HISTORY
from scaler.errors import BundleInvalid
from scaler.forecast.onnx_forecaster import open_bundle, open_graph, reference_difference, run


def bundle_of(graph: bytes, manifest: Manifest, cases: Arrays) -> Bundle:
    """The bundle, with the graph's answers to `cases` as reference and the checksum filled in.

    Raises BundleInvalid when the scaler would refuse it, or when its answer to a case depends on the other cases.
    """
    manifest = manifest.model_copy(update={"graph_sha256": checksum(graph)})
    answers = run(open_graph(graph, manifest.model), cases, manifest.model)
    bundle = Bundle(manifest, graph, {**cases, **answers})
    _alone_as_together(bundle, cases, answers)
    open_bundle(bundle, manifest.model)
    return bundle


def _alone_as_together(bundle: Bundle, cases: Arrays, answers: Arrays) -> None:
    name = bundle.manifest.model
    session = open_graph(bundle.graph, name)
    alone = [
        run(session, {key: values[case : case + 1] for key, values in cases.items()}, name)
        for case in range(len(cases[HISTORY.name]))
    ]
    for key, together in answers.items():
        told = reference_difference(key, together, np.concatenate([answer[key] for answer in alone]))
        if told:
            raise BundleInvalid(name, (f"a batch of one answers otherwise: {told}",))


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
    told = []
    if written.graph != bundle.graph:
        told.append(f"{folder}: model.onnx is not what the code makes")
    if json.loads(written.manifest.to_json()) != json.loads(bundle.manifest.to_json()):
        told.append(f"{folder}: manifest.json is not what the code makes")
    for key, values in bundle.reference.items():
        difference = reference_difference(key, values, written.reference[key])
        if difference:
            told.append(f"{folder}: {difference}")
    return told

"""`headway train publish`: a trained bundle goes where a scaler reads its bundles.

A scaler that reads at the same time uses the old bundle or the new one. In a folder, one rename replaces the bundle. In
an object store, the manifest is written last: until then its checksum does not match the graph, so a scaler refuses
what it finds and keeps the bundle that it runs.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaler.bundle import Manifest, find_bundles, shown_url
from scaler.bundle.folder import FILES, MANIFEST, replace_folder, store_error_text
from scaler.errors import CommandError
from scaler.forecast.onnx_forecaster import load_forecaster
from training.experiment.train import RECORD


class PublishFailed(CommandError):
    """The bundle did not get to its destination; names the destination and the reason."""


class Loses(CommandError):
    """The bundle is worse than what would serve without it; names by how much."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published, and where."""

    manifest: Manifest
    place: str


def publish(folder: Path, destination: str, force: bool = False) -> Published:
    """Check the bundle in `folder`, and copy it to `destination`/NAME, NAME being that of its manifest.

    destination: what the scaler's setting `bundle` names: a folder, or an fsspec URL. force: publish a bundle that
    lost its comparison, too. Raises BundleInvalid, Loses, or PublishFailed; the destination is then unchanged.
    """
    manifest = load_forecaster(folder).manifest
    if not force and (reasons := losses(record_in(folder))):
        raise Loses(f"{folder}: {'; '.join(reasons)}")
    return Published(manifest, put(folder, destination, manifest.name))


def put(folder: Path, destination: str, name: str) -> str:
    """Copy the bundle in `folder` to `destination`/`name`, whole or not at all for a reader; returns that place.

    Raises PublishFailed.
    """
    files = [file for file in (*_manifest_last(), RECORD) if (folder / file).is_file()]
    try:
        if "://" in destination:
            return _to_url(folder, files, destination, name)
        return _to_folder(folder, files, Path(destination), name)
    except OSError as error:
        raise PublishFailed(f"{shown_url(destination)}: cannot be written: {store_error_text(error)}") from None


def _manifest_last() -> Iterator[str]:
    yield from (name for name in FILES if name != MANIFEST)
    yield MANIFEST


def record_in(folder: Path) -> Mapping[str, Any]:
    """The record of the training run beside the bundle. Raises PublishFailed where there is none."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or not {"model", "scores"} <= set(record):
        raise PublishFailed(
            f"{folder}: has no scores in {RECORD}, as `headway train run` writes them; --force does without"
        )
    return record


def losses(record: Mapping[str, Any]) -> list[str]:
    """Why the bundle must not serve: by the scores of its own run, others have a smaller loss. Empty if none has."""
    return list(losses_of({row["model"]: row["median_ratio"] for row in record["scores"]}, record["model"]))


def losses_of(ratios: Mapping[str, float | None], model: str) -> Iterator[str]:
    """The same from the losses over that of the better naive model, by model."""
    own, general = ratios.get(model), ratios.get("general")
    if own is None:
        yield f"{model} was not judged"
    elif own > 1:
        yield f"{model} has {own:.2f} times the loss of the better naive model: do not serve it"
    elif general is not None and own > general:
        yield f"the shipped general bundle has a smaller loss than {model}: train on more data, or serve it"


def _to_folder(folder: Path, files: Sequence[str], destination: Path, name: str) -> str:
    if find_bundles(destination) == [destination]:
        raise PublishFailed(f"{destination}: is a bundle itself; name the folder that holds it")
    destination.mkdir(parents=True, exist_ok=True)
    target = destination / name
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=destination) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        for file in files:
            shutil.copyfile(folder / file, new / file)
        replace_folder(new, target)
    return str(target)


def _to_url(folder: Path, files: Sequence[str], destination: str, name: str) -> str:
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(destination)
        target = f"{path.rstrip('/')}/{name}"
        store.makedirs(target, exist_ok=True)
        for file in files:
            store.put_file(str(folder / file), f"{target}/{file}")
    except Exception as error:  # noqa: BLE001 - every file system of fsspec raises its own
        raise PublishFailed(f"{shown_url(destination)}: cannot be written: {store_error_text(error)}") from None
    return f"{shown_url(destination).rstrip('/')}/{name}"

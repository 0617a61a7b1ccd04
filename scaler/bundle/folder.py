"""A bundle as a folder: read, written atomically, found."""

import ctypes
import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaler.bundle.manifest import Manifest, parse_manifest
from scaler.bundle.signature import INPUTS, OUTPUTS, Tensor, expected, shape_of
from scaler.errors import BundleInvalid
from scaler.telemetry.redaction import excerpt, os_error_text, redacted

GRAPH, MANIFEST, REFERENCE = "model.onnx", "manifest.json", "reference.npz"
FILES = (GRAPH, MANIFEST, REFERENCE)

LARGEST: Mapping[str, int] = {GRAPH: 512 * 2**20, MANIFEST: 16 * 2**20, REFERENCE: 256 * 2**20}
"""bytes of each file, and of what the reference unpacks to; those that ship have 3 MB"""

HOW_TO_INSTALL = "Install headway[object-stores], or use an image whose tag ends in -object-stores"

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a bundle folder. `reference`: every tensor of the graph by name, N being the stored cases."""

    manifest: Manifest
    graph: bytes
    reference: Arrays


def checksum(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


def read_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, consistent in itself (what the graph computes is not looked at). Raises BundleInvalid."""
    bundle = str(folder)
    missing = tuple(f"{name} is missing" for name in FILES if not (folder / name).is_file())
    if missing:
        raise BundleInvalid(bundle, missing)
    manifest = parse_manifest(_read(folder / MANIFEST), bundle)
    graph = _read(folder / GRAPH)
    problems = []
    if checksum(graph) != manifest.graph_sha256:
        problems.append(f"{GRAPH}: checksum is {checksum(graph)}, the manifest says {manifest.graph_sha256}")
    reference, unreadable = _read_reference(folder / REFERENCE, manifest)
    if problems or unreadable:
        raise BundleInvalid(bundle, tuple(problems + unreadable))
    return Bundle(manifest, graph, reference)


def _read(path: Path) -> bytes:
    limit = LARGEST[path.name]
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleInvalid(str(path.parent), (f"{path.name}: cannot be read: {os_error_text(error)}",)) from None
    if len(content) > limit:
        raise BundleInvalid(str(path.parent), (too_large(path.name),))
    return content


def too_large(name: str) -> str:
    """The fault of a file that is longer than LARGEST allows."""
    return f"{name}: has more than {LARGEST[name] // 2**20} MiB, the largest that is read"


def _read_reference(path: Path, manifest: Manifest) -> tuple[Arrays, list[str]]:
    try:
        with zipfile.ZipFile(path) as archive:  # a megabyte can unpack to gigabytes
            if sum(part.file_size for part in archive.infolist()) > LARGEST[REFERENCE]:
                return {}, [too_large(REFERENCE)]
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # noqa: BLE001 - zlib, zipfile and numpy raise a dozen kinds without a common base
        return {}, [f"{REFERENCE}: cannot be read: {excerpt(str(error))}"]
    inputs, outputs = expected(manifest.sizes, bool(manifest.series))
    first = arrays.get(INPUTS[0].name)
    cases = len(first) if first is not None and first.ndim else 0
    return arrays, [problems for tensor in inputs + outputs for problems in _misfit(tensor, arrays, manifest, cases)]


def _misfit(tensor: Tensor, arrays: Arrays, manifest: Manifest, cases: int) -> list[str]:
    array = arrays.get(tensor.name)
    if array is None:
        return [f"{REFERENCE}: {tensor.name} is missing"]
    wanted = shape_of(tensor, manifest.sizes, cases or 1)
    if array.dtype.name != tensor.dtype or array.shape != wanted:
        found = f"{array.dtype.name}{list(array.shape)}"
        return [f"{REFERENCE}: {tensor.name} is {found}, must be {tensor.dtype}{list(wanted)}"]
    return []


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Put the bundle in place of `folder`, as `replace_folder` does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        (new / GRAPH).write_bytes(bundle.graph)
        (new / MANIFEST).write_text(bundle.manifest.to_json())
        np.savez_compressed(new / REFERENCE, allow_pickle=False, **_ordered(bundle.reference))
        replace_folder(new, folder)


def replace_folder(new: Path, folder: Path) -> None:
    """Put the folder `new` in place of `folder`, on the same file system; what was there is left in or next to `new`.

    One step on Linux: a reader sees the old bundle or the new one, also after a kill.
    Where the file system cannot exchange two folders, the old one is moved away first, and back if the rest fails.
    """
    if not folder.exists():
        os.rename(new, folder)
    elif not _exchanged(new, folder):
        old = new.with_name(f"{new.name}.old")
        try:
            os.rename(folder, old)
            os.rename(new, folder)
        except BaseException:
            if old.exists() and not folder.exists():
                os.rename(old, folder)
            raise


def _exchanged(one: Path, other: Path) -> bool:
    """Whether both have changed places: renameat2(2) with RENAME_EXCHANGE, which the os module lacks."""
    here, exchange = -100, 2
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _ordered(reference: Arrays) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: reference[tensor.name] for tensor in INPUTS + OUTPUTS if tensor.name in reference}


def find_bundles(folder: Path) -> list[Path]:
    """`folder` itself where it holds any file of a bundle, else its subfolders that do, by name."""
    if _looks_like_bundle(folder):
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(sub for sub in folder.iterdir() if not sub.name.startswith(".") and _looks_like_bundle(sub))


def _looks_like_bundle(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FILES)


def shown_url(url: str) -> str:
    """The URL without user name and password, and without its query: that of a signed URL is a secret."""
    return redacted(re.split("[?#]", url, maxsplit=1)[0]) if "://" in url else url


def store_error_text(error: Exception) -> str:
    """Why a URL could not be read or written. The library's text stays out where it may repeat the URL."""
    if isinstance(error, FileNotFoundError):
        return "there is nothing"
    if isinstance(error, PermissionError):
        return "access is denied"
    if isinstance(error, OSError) and error.errno:
        return os_error_text(error)
    if isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
        return "no file system has this scheme: write a folder, or a URL as s3://…, gs://…, abfs://… or https://…"
    if isinstance(error, ImportError):
        return f"a package is missing: {excerpt(str(error))}. {HOW_TO_INSTALL}"
    return type(error).__name__

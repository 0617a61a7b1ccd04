"""Bundle folders: read, written, found, fetched."""

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaler.bundle import find_bundles, read_bundle, write_bundle
from scaler.bundle.folder import LARGEST
from scaler.errors import BundleInvalid

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden bundle that a test may spoil."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


def refused(folder: Path) -> tuple[str, ...]:
    with pytest.raises(BundleInvalid) as refusal:
        read_bundle(folder)
    return refusal.value.differences


def test_a_written_bundle_reads_the_same(tmp_path: Path) -> None:
    """Writing and reading changes nothing, and leaves nothing else behind."""
    bundle = read_bundle(GOLDEN)
    write_bundle(bundle, tmp_path / "copy")
    again = read_bundle(tmp_path / "copy")
    assert (again.manifest, again.graph) == (bundle.manifest, bundle.graph)
    assert all(np.array_equal(again.reference[k], v, equal_nan=True) for k, v in bundle.reference.items())
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_writing_replaces_the_whole_folder(folder: Path) -> None:
    """Nothing of an older bundle remains."""
    (folder / "old.txt").write_text("old")
    write_bundle(read_bundle(GOLDEN), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.onnx", "reference.npz"]


def test_a_failed_write_leaves_the_old_bundle(folder: Path) -> None:
    """When writing breaks off, the folder still holds what it held."""
    bundle = read_bundle(folder)
    broken = replace(bundle, reference={"history": np.array([object()])})
    with pytest.raises(ValueError, match="pickle"):
        write_bundle(broken, folder)
    assert read_bundle(folder).graph == bundle.graph
    assert [path.name for path in folder.parent.iterdir()] == ["golden"]


def renamed(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """After each renaming of a folder, `then`."""
    rename = os.rename

    def spied(source: Path, target: Path) -> None:
        rename(source, target)
        then()

    monkeypatch.setattr("os.rename", spied)


def test_while_it_is_replaced_the_folder_is_always_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old and new change places in one step: whenever the writer is killed, a whole bundle is there."""
    bundle, seen = read_bundle(folder), []
    renamed(monkeypatch, lambda: seen.append(folder.exists()))
    (folder / "old.txt").write_text("old")
    write_bundle(bundle, folder)
    assert all(seen)
    assert not (folder / "old.txt").exists()
    assert read_bundle(folder).graph == bundle.graph


def test_where_folders_cannot_be_exchanged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are renamed; Ctrl-C at the one moment when neither is in place brings the old one back."""
    monkeypatch.setattr("scaler.bundle.folder._exchanged", lambda one, other: False)
    bundle = read_bundle(folder)
    (folder / "old.txt").write_text("old")
    with monkeypatch.context() as patch:

        def press_ctrl_c() -> None:
            if not folder.exists():
                raise KeyboardInterrupt

        renamed(patch, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            write_bundle(bundle, folder)
    assert (folder / "old.txt").exists()
    write_bundle(bundle, folder)
    assert not (folder / "old.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["golden"]


def test_a_bundle_that_goes_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was there a moment ago, or may not be read: the refusal that every reader expects."""
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: True)
    (folder / "model.onnx").unlink()
    assert refused(folder) == ("model.onnx: cannot be read: No such file or directory",)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "reference.npz"])
def test_a_missing_file_is_told(folder: Path, name: str) -> None:
    """Each of the three files must be there."""
    (folder / name).unlink()
    assert refused(folder) == (f"{name} is missing",)


def test_a_truncated_graph_is_told(folder: Path) -> None:
    """The checksum finds a graph that was cut off."""
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    assert "model.onnx: checksum is" in refused(folder)[0]


def test_a_truncated_reference_is_told(folder: Path) -> None:
    """A reference that cannot be unpacked refuses the bundle."""
    reference = folder / "reference.npz"
    reference.write_bytes(reference.read_bytes()[:200])
    assert "reference.npz: cannot be read" in refused(folder)[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:200] + bytes(byte ^ 0x55 for byte in good[200:260]) + good[260:],
        lambda good: (
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (), }".ljust(128) + bytes(4)
        ),
        lambda good: b"",
    ],
    ids=["flipped bytes", "a bare scalar", "nothing"],
)
def test_a_damaged_reference_is_told(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever is wrong with the archive, the bundle is refused and nothing else happens."""
    file = folder / "reference.npz"
    file.write_bytes(damage(file.read_bytes()))
    assert any(told.startswith("reference.npz") for told in refused(folder))


def test_a_manifest_nested_without_end_is_told(folder: Path) -> None:
    """JSON that would exhaust the stack is no JSON."""
    (folder / "manifest.json").write_text("[" * 100_000)
    assert refused(folder)[0].startswith("manifest.json is not JSON")


def test_a_reference_of_other_shape_or_type_is_told(folder: Path) -> None:
    """Each stored tensor must be there and fit the manifest; all misfits are told."""
    arrays = dict(read_bundle(folder).reference)
    del arrays["peaks"]
    arrays["local_time"] = arrays["local_time"].astype(np.int32)
    np.savez(folder / "reference.npz", **{**arrays, "quantiles": arrays["quantiles"][:, 1:]})
    told = refused(folder)
    assert [sentence.split()[1] for sentence in told] == ["local_time", "quantiles", "peaks"]


def test_bundles_are_found_in_their_folder_or_below(folder: Path) -> None:
    """A bundle folder is itself; another folder stands for the bundles in it; a spoilt one is found too."""
    (folder.parent / "spoilt").mkdir()
    (folder.parent / "spoilt" / "model.onnx").write_bytes(b"")
    (folder.parent / "notes").mkdir()
    assert find_bundles(folder) == [folder]
    assert find_bundles(folder.parent) == [folder, folder.parent / "spoilt"]
    assert find_bundles(folder.parent / "nowhere") == []


def test_a_file_that_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end."""
    with (folder / "model.onnx").open("ab") as file:
        file.truncate(LARGEST["model.onnx"] + 1)
    assert refused(folder) == ("model.onnx: has more than 512 MiB, the largest that is read",)


def test_a_reference_that_unpacks_without_end_is_refused(folder: Path) -> None:
    """Three hundred megabytes of zeros are a small file."""
    with (
        zipfile.ZipFile(folder / "reference.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("history.npy", "w") as part,
    ):
        for _ in range(300):
            part.write(bytes(2**20))
    assert (folder / "reference.npz").stat().st_size < 2**20
    assert refused(folder) == ("reference.npz: has more than 256 MiB, the largest that is read",)

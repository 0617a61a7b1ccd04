"""Bundles from URLs: only their files come, whole and up to a size."""

import io
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem

from scaler.bundle import fetch, find_bundles, read_bundle
from scaler.bundle.folder import HOW_TO_INSTALL, LARGEST
from scaler.errors import BundleInvalid

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden bundle that a test may spoil."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "served" / "golden"))


def test_a_bundle_and_a_folder_of_bundles(folder: Path, tmp_path: Path) -> None:
    """The bundle's own files, and nothing else that lies there."""
    shutil.copytree(folder, folder.parent / "other")
    (folder.parent / "notes").mkdir()
    (folder / "huge.bin").write_bytes(b"x" * 10_000)
    one, all_of_them = fetch(f"file://{folder}", tmp_path), fetch(f"file://{folder.parent}/", tmp_path)
    assert read_bundle(one).graph == read_bundle(folder).graph
    assert sorted(path.name for path in one.iterdir()) == ["manifest.json", "model.onnx", "reference.npz"]
    assert [path.name for path in find_bundles(all_of_them)] == ["golden", "other"]


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_a_file_that_is_too_large_is_not_fetched(
    protocol: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays."""
    url = {"file": f"file://{folder}", "memory": "memory://doors"}[protocol]
    memory = fsspec.filesystem("memory")
    for file in folder.iterdir():
        memory.pipe(f"/doors/{file.name}", file.read_bytes())
    before = fetch(url, tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(LARGEST, "model.onnx", 1000)
        with pytest.raises(BundleInvalid, match=r"model\.onnx: has more than"):
            fetch(url, tmp_path)
    assert read_bundle(before).graph == read_bundle(folder).graph


class Endless(AbstractFileSystem):
    """A place that has no sizes, and files without end."""

    read = 0

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": None, "type": "file"}

    def open(self, path: str, mode: str = "rb", **_: Any) -> io.RawIOBase:
        return EndlessFile()


class EndlessFile(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        Endless.read += size
        return bytes(size)


def test_a_file_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends shortly after the limit."""
    monkeypatch.setitem(LARGEST, "model.onnx", 8 * 2**20)
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (Endless(), "root"))
    with pytest.raises(BundleInvalid, match=r"model\.onnx: has more than 8 MiB"):
        fetch("https://models/bundle", tmp_path)
    assert Endless.read <= 32 * 2**20
    assert not list(tmp_path.iterdir())


class Listing:
    """A file system whose listing has names that are no plain names, and links out of the place."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def invalidate_cache(self) -> None:
        pass

    def info(self, path: str) -> dict[str, int]:
        self.asked.append(path)
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool) -> list[dict[str, str]]:
        return [{"name": f"{path}/{name}"} for name in ("..", "../..", ".hidden", "a\\b", "good", "x" * 300, "a b")]


def test_names_of_a_listing_lead_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one plain name is followed."""
    files = Listing()
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (files, "root"))
    fetch("memory://root", tmp_path)
    assert {path.rpartition("/")[0] for path in files.asked} == {"root", "root/good"}


def test_a_chained_url_is_refused(tmp_path: Path) -> None:
    """Whatever its parts are."""
    for url in ("zip://x::file:///tmp/x.zip", "simplecache::https://h/b", "simplecache::/tmp"):
        with pytest.raises(BundleInvalid, match="chained"):
            fetch(url, tmp_path)


def test_a_url_is_fetched(folder: Path, tmp_path: Path) -> None:
    """What lies at a URL comes as a local copy, replaced when fetched again."""
    url, cache = f"file://{folder}", tmp_path / "cache"
    reference = (folder / "reference.npz").read_bytes()
    fetch(url, cache)
    (folder / "reference.npz").unlink()
    assert not (fetch(url, cache) / "reference.npz").exists()
    (folder / "reference.npz").write_bytes(reference)
    copy = fetch(url, cache)
    assert read_bundle(copy).graph == read_bundle(folder).graph
    assert [path.name for path in cache.iterdir()] == [copy.name]


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "nosuchprotocol://bundle"])
def test_an_unreachable_url_is_refused(tmp_path: Path, url: str) -> None:
    """The refusal says what could not be fetched."""
    with pytest.raises(BundleInvalid, match="cannot be fetched"):
        fetch(url, tmp_path)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FileNotFoundError("https://h/b?sig=s3cret"), "there is nothing"),
        (PermissionError("https://h/b?sig=s3cret"), "access is denied"),
        (ConnectionRefusedError(111, "s3cret"), "Connection refused"),
        (
            ImportError("Install s3fs to access S3"),
            f"a package is missing: Install s3fs to access S3. {HOW_TO_INSTALL}",
        ),
        (RuntimeError("https://h/b?sig=s3cret"), "RuntimeError"),
    ],
)
def test_a_refusal_holds_no_secret_of_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    """Neither user name and password, nor the signature in the query, nor a library's text that repeats them."""

    def fail(url: str) -> None:
        raise error

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(BundleInvalid) as raised:
        fetch("https://me:s3cret@h/b?sig=s3cret", tmp_path)
    assert str(raised.value) == f"bundle https://***@h/b refused: cannot be fetched: {why}"

"""`headway train publish`: a bundle reaches the place where a scaler reads, whole or not at all."""

import json
import shutil
import threading
from pathlib import Path

import fsspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from scaler.bundle.folder import FILES
from scaler.cli import app
from scaler.forecast.catalog import SEASONAL, Catalog
from training.experiment.publish import publish


def trained(folder: Path, ratio: float | None = 0.8, general: float | None = None, name: str = "shop") -> Path:
    """A folder as `headway train run` leaves it; the ratios are losses over those of the better naive model."""
    folder.mkdir()
    for file in FILES:
        shutil.copyfile(SEASONAL / file, folder / file)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    scores = [{"model": "mlp", "median_ratio": ratio}, {"model": "general", "median_ratio": general}]
    (folder / "run.json").write_text(json.dumps({"model": "mlp", "scores": scores}))
    return folder


def asked(folder: Path, destination: object, *flags: str) -> Result:
    return CliRunner().invoke(app, ["train", "publish", str(folder), str(destination), *flags])


def test_a_published_bundle_serves(tmp_path: Path) -> None:
    """It becomes a subfolder with the bundle's name; a scaler that reads the folder uses it, and its next version."""
    result = asked(trained(tmp_path / "made"), tmp_path / "bundles")
    assert result.exit_code == 0, result.output
    catalog = Catalog.open(str(tmp_path / "bundles"))
    assert catalog.champion.manifest.name == "shop"
    assert str(tmp_path / "bundles" / "shop") in result.output
    assert (tmp_path / "bundles" / "shop" / "run.json").is_file()
    before = catalog.champion
    manifest = tmp_path / "made" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "fedcba"}))
    assert asked(tmp_path / "made", tmp_path / "bundles").exit_code == 0
    catalog.reload()
    assert catalog.champion.model == "shop@fedcba" != before.model


def test_a_url_of_an_object_store(tmp_path: Path) -> None:
    """The same through fsspec."""
    result = asked(trained(tmp_path / "made"), "memory://models/headway")
    assert result.exit_code == 0, result.output
    assert Catalog.open("memory://models/headway").champion.manifest.name == "shop"


def test_a_reader_never_uses_half_a_bundle_of_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each file that is written, a scaler serves the old bundle or the new one."""
    destination = "memory://half/headway"
    publish(trained(tmp_path / "old"), destination)
    running = Catalog.open(destination)
    serving = []
    store = fsspec.filesystem("memory")
    write = type(store).put_file

    def put_file(self: object, *arguments: object, **options: object) -> None:
        write(self, *arguments, **options)
        running.reload()
        serving.append(running.champion.manifest.name)

    monkeypatch.setattr(type(store), "put_file", put_file)
    new = trained(tmp_path / "new")
    for file in FILES:
        shutil.copyfile(Path(str(SEASONAL).replace("seasonal", "general")) / file, new / file)
    manifest = json.loads((new / "manifest.json").read_text())
    (new / "manifest.json").write_text(json.dumps(manifest | {"name": "shop", "version": "fedcba"}))
    publish(new, destination)
    assert set(serving) == {"shop"}
    assert running.champion.model == "shop@fedcba"


def test_a_reader_of_a_folder_never_finds_it_missing(tmp_path: Path) -> None:
    """While bundles are published again and again, every reload finds one."""
    made, bundles = trained(tmp_path / "made"), tmp_path / "bundles"
    publish(made, str(bundles))
    done = threading.Event()
    catalog = Catalog.open(str(bundles))

    def publish_often() -> None:
        for _ in range(30):
            publish(made, str(bundles))
        done.set()

    writer = threading.Thread(target=publish_often)
    writer.start()
    while not done.is_set():
        catalog.reload()
        assert not catalog.refusals
        assert catalog.champion.manifest.name == "shop"
    writer.join()


@pytest.mark.parametrize(
    ("ratio", "general", "reason"),
    [
        (1.2, None, "1.20 times the loss of the better naive model"),
        (0.9, 0.8, "the shipped general bundle has a smaller loss"),
        (None, None, "was not judged"),
    ],
)
def test_a_bundle_that_lost_is_refused(tmp_path: Path, ratio: float | None, general: float | None, reason: str) -> None:
    """Status 1, and nothing is written; --or-keep makes that a success, and --force publishes it all the same."""
    made, bundles = trained(tmp_path / "made", ratio, general), tmp_path / "bundles"
    refused = asked(made, bundles)
    assert (refused.exit_code, reason in refused.output) == (1, True), refused.output
    kept = asked(made, bundles, "--or-keep")
    assert (kept.exit_code, reason in kept.output) == (0, True), kept.output
    assert not bundles.exists()
    assert asked(made, bundles, "--force").exit_code == 0
    assert (bundles / "shop").is_dir()


@pytest.mark.parametrize("flags", [(), ("--force",), ("--or-keep",)])
def test_a_faulty_bundle_is_never_published(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """A bundle that a scaler would refuse stays where it is."""
    made = trained(tmp_path / "made")
    (made / "model.onnx").write_bytes((made / "model.onnx").read_bytes()[:-10])
    result = asked(made, tmp_path / "bundles", *flags)
    assert (result.exit_code, "checksum" in result.output) == (1, True), result.output
    assert not (tmp_path / "bundles").exists()


def test_bad_places_are_named(tmp_path: Path) -> None:
    """A folder without a bundle or a record, a destination that is a bundle, a file, or a scheme without a package."""
    made = trained(tmp_path / "made")
    assert "model.onnx is missing" in asked(tmp_path / "nothing", tmp_path / "bundles").output
    assert "is a bundle itself; name the folder that holds it" in asked(made, made).output
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: cannot be written: " in asked(made, tmp_path / "file").output
    unknown = asked(made, "nosuch://user:secret@bucket/x")
    assert unknown.exit_code == 1
    assert "cannot be written" in unknown.output
    assert "secret" not in unknown.output
    (made / "run.json").unlink()
    assert "has no scores in run.json" in asked(made, tmp_path / "bundles").output
    assert not (tmp_path / "bundles").exists()

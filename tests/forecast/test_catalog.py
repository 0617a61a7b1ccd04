"""Which bundle serves whom."""

import json
import shutil
from pathlib import Path

import pytest

from scaler.forecast import Choice
from scaler.forecast.catalog import Catalog, open_shipped
from scaler.trigger import Trigger

GOLDEN = Path(__file__).parents[1] / "bundle" / "golden"


def put(folder: Path, **manifest: object) -> Path:
    """A golden bundle in `folder`, its manifest changed."""
    shutil.copytree(GOLDEN, folder, dirs_exist_ok=True)
    content = json.loads((folder / "manifest.json").read_text()) | manifest
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def trigger(model: str = "auto", name: str = "web") -> Trigger:
    return Trigger("shop", name, "q", 1.0, "http://prometheus", model=model, key=f"shop/{name}/0")


def spoil(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


def test_the_shipped_bundle_serves_by_default() -> None:
    """Without a source all get the general bundle, on the default grid; the seasonal one is to be had by name."""
    catalog = Catalog.open()
    assert catalog.choice(trigger()).forecaster.model == "general@1"
    assert catalog.choice(trigger("seasonal")).forecaster.model == "seasonal@1"
    assert (catalog.champion.grid.steps, catalog.champion.grid.coarse_steps) == (1440, 2688)
    assert catalog.refusals == {}


def test_without_a_sound_general_bundle_the_seasonal_one_serves(tmp_path: Path) -> None:
    """What is wrong with it is told like that of any other bundle."""
    spoil(put(tmp_path / "general"))
    shipped = open_shipped(general=tmp_path / "general")
    catalog = Catalog(shipped, "", "", 1, None)
    assert catalog.champion.model == "seasonal@1"
    assert "checksum" in str(catalog.refusals[str(tmp_path / "general")])


def test_without_a_sound_seasonal_bundle_the_general_one_serves_alone(tmp_path: Path) -> None:
    """What cannot be opened later is refused at once, and nothing else is disturbed."""
    spoil(put(tmp_path / "seasonal"))
    catalog = Catalog(open_shipped(seasonal=tmp_path / "seasonal"), "", "", 1, None)
    assert catalog.champion.model == "general@1"
    assert list(catalog.forecasters) == ["general"]
    assert "checksum" in str(catalog.refusals[str(tmp_path / "seasonal")])


def test_one_bundle_folder_becomes_the_champion(tmp_path: Path) -> None:
    """`auto` means the operator's bundle; the shipped one stays to be had by name."""
    catalog = Catalog.open(str(put(tmp_path / "mine")))
    assert catalog.choice(trigger()).forecaster.model == "golden@1"
    assert catalog.choice(trigger("seasonal")).forecaster.model == "seasonal@1"


def test_a_folder_of_bundles_serves_each_by_name(tmp_path: Path) -> None:
    """Triggers pick by name; `auto` is the first by folder, or the one named as champion."""
    put(tmp_path / "a", name="first")
    put(tmp_path / "b", name="second")
    catalog = Catalog.open(str(tmp_path))
    assert catalog.choice(trigger("second")).forecaster.model == "second@1"
    assert catalog.champion.model == "first@1"
    assert Catalog.open(str(tmp_path), champion="second").champion.model == "second@1"


def test_an_unknown_model_falls_to_the_champion_and_says_so(tmp_path: Path) -> None:
    """The reason names what was asked for, what there is and what serves."""
    choice = Catalog.open(str(put(tmp_path / "mine"))).choice(trigger("seasonl"))
    assert choice.forecaster.model == "golden@1"
    assert choice.reason == "no bundle 'seasonl' (known: general, golden, seasonal); golden@1 serves"


def test_a_model_may_name_its_version(tmp_path: Path) -> None:
    """As the trigger's rule says; another version than the one in use is unknown."""
    catalog = Catalog.open(str(put(tmp_path / "mine")))
    assert catalog.choice(trigger("seasonal@1")) == Choice(catalog.forecasters["seasonal"])
    assert "no bundle 'seasonal@2'" in catalog.choice(trigger("seasonal@2")).reason


def test_a_url_is_a_source(tmp_path: Path) -> None:
    """What fsspec reads serves like a folder."""
    put(tmp_path / "bundles" / "mine")
    catalog = Catalog.open(f"file://{tmp_path / 'bundles'}", cache=tmp_path / "cache")
    assert catalog.choice(trigger()).forecaster.model == "golden@1"


@pytest.mark.parametrize("source", ["/nowhere/at/all", "file:///nowhere/at/all"])
def test_a_source_with_nothing_leaves_the_shipped_bundle(source: str, tmp_path: Path) -> None:
    """A wrong place is remembered as a refusal, and the service goes on."""
    catalog = Catalog.open(source, cache=tmp_path)
    assert catalog.choice(trigger()).forecaster.model == "general@1"
    assert list(catalog.refusals) == [source]


def test_a_refused_bundle_leaves_the_running_one(tmp_path: Path) -> None:
    """After a bad reload the old forecaster serves and the refusal can be read; mending it clears both."""
    catalog = Catalog.open(str(put(tmp_path / "mine")))
    before = catalog.champion
    spoil(tmp_path / "mine")
    catalog.reload()
    assert catalog.champion is before
    assert "checksum" in str(catalog.refusals["mine"])
    put(tmp_path / "mine", version="2")
    catalog.reload()
    assert catalog.champion.model == "golden@2"
    assert catalog.refusals == {}


def test_a_vanished_source_leaves_what_runs(tmp_path: Path) -> None:
    """When nothing can be read any more, everything loaded goes on serving."""
    catalog = Catalog.open(str(put(tmp_path / "mine")))
    shutil.rmtree(tmp_path / "mine")
    catalog.reload()
    assert catalog.champion.model == "golden@1"
    assert "no bundle found" in str(catalog.refusals[str(tmp_path / "mine")])


def test_one_refused_bundle_does_not_disturb_the_others(tmp_path: Path) -> None:
    """The rest of the folder is loaded."""
    spoil(put(tmp_path / "a", name="first"))
    put(tmp_path / "b", name="second")
    catalog = Catalog.open(str(tmp_path))
    assert list(catalog.refusals) == ["a"]
    assert catalog.champion.model == "second@1"


def test_an_unchanged_bundle_is_not_loaded_again(tmp_path: Path) -> None:
    """A reload keeps the forecaster, so whoever holds it need not notice."""
    catalog = Catalog.open(str(put(tmp_path / "mine")))
    before = catalog.champion
    catalog.reload()
    assert catalog.champion is before


def test_two_bundles_of_one_name_are_refused(tmp_path: Path) -> None:
    """The first by folder serves; the other is told why not."""
    put(tmp_path / "a")
    put(tmp_path / "b", version="2")
    catalog = Catalog.open(str(tmp_path))
    assert catalog.champion.model == "golden@1"
    assert "already taken" in str(catalog.refusals["b"])

"""Published versions: which are loaded, and which serves whom."""

from pathlib import Path

from scaler.forecast.catalog import Catalog, open_shipped
from scaler.models import ALL, NO_CHAMPION, Champion, Lineup
from tests.forecast.test_catalog import put, spoil, trigger

NOW = 1_700_006_400.0


def place(folder: Path, *versions: str) -> Path:
    """A folder with the versions of the model `own`."""
    for version in versions:
        put(folder / f"own@{version}", name="own", version=version)
    return folder


def catalog(source: Path | str) -> Catalog:
    return Catalog(open_shipped(), str(source), "", 1, None)


def champion(model: str, scope: str = ALL, previous: str | None = None, until: float | None = None) -> Champion:
    return Champion(scope, model, NOW, previous, until)


def lineup(*champions: Champion, named: tuple[str, ...] = (), at: float = NOW) -> Lineup:
    return Lineup({one.scope: one for one in champions}, frozenset(named), at)


def read(found: Catalog, wanted: Lineup) -> Catalog:
    found.lineup = wanted
    found.reload()
    return found


def test_the_narrowest_scope_wins(tmp_path: Path) -> None:
    """Two versions of one model serve side by side; what has no champion is served as without an index."""
    found = catalog(place(tmp_path, "1", "2"))
    read(found, lineup(champion("own@1", "shop"), champion("own@2", "shop/web")))
    assert found.choice(trigger(name="web")).forecaster.model == "own@2"
    serving = found.choice(trigger(name="cart")).serving
    assert serving is not None
    assert (serving.champion.scope, serving.model, serving.fault) == ("shop", "own@1", "")
    read(found, lineup(champion("own@1", "other")))
    assert found.choice(trigger()).forecaster.model == "general@1"
    assert found.choice(trigger()).serving is None
    assert read(found, lineup(champion("own@2"))).choice(trigger()).forecaster.model == "own@2"


def test_only_what_is_wanted_is_loaded(tmp_path: Path) -> None:
    """Champions, their predecessors while they are on probation, and what triggers name."""
    found = catalog(place(tmp_path, "1", "2", "3", "4"))
    read(found, lineup(champion("own@2", previous="own@1", until=NOW + 60), named=("own@3", "general@1", "own@9")))
    assert sorted(found.versions.loaded) == ["own@1", "own@2", "own@3"]
    assert found.choice(trigger("own@3")).forecaster.model == "own@3"
    assert found.choice(trigger("own")).forecaster.model == "own@2", "the champion of that name"
    assert found.refusals == {}
    absent = found.choice(trigger("own@9"))
    assert absent.forecaster.model == "own@2"
    assert "own@9 refused: model.onnx is missing" in absent.reason
    read(found, lineup(champion("own@2", previous="own@1", until=NOW + 60), at=NOW + 60))
    assert sorted(found.versions.loaded) == ["own@2"]


def test_without_an_index_versions_serve_nobody(tmp_path: Path) -> None:
    """Not even where they are all that lies there, which is no fault either; other bundles serve as before."""
    found = read(catalog(place(tmp_path, "1")), Lineup())
    assert found.choice(trigger()).forecaster.model == "general@1"
    assert found.refusals == {}
    put(tmp_path / "mine", name="mine")
    assert read(found, Lineup()).choice(trigger()).forecaster.model == "mine@1"


def test_a_champion_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    """What serves stays, and the refusal says why; it is taken up when its bundle is there."""
    found = read(catalog(place(tmp_path, "1")), lineup(champion("own@1")))
    before = found.choice(trigger()).forecaster
    new = champion("own@2", previous="own@1", until=NOW + 60)
    choice = read(found, lineup(new)).choice(trigger())
    assert choice.forecaster is before
    assert choice.serving is not None
    assert choice.serving.fault.startswith("all triggers: bundle")
    assert choice.serving.fault.endswith("own@1 serves")
    assert list(found.refusals) == ["own@2"]
    assert found.probations(NOW) == []
    spoil(put(tmp_path / "own@2", name="own", version="2"))
    assert read(found, lineup(new)).choice(trigger()).forecaster is before
    assert "checksum" in str(found.refusals["own@2"])
    place(tmp_path, "2")
    assert read(found, lineup(new)).choice(trigger()).forecaster.model == "own@2"
    assert found.refusals == {}


def test_after_a_start_the_predecessor_serves_in_its_place(tmp_path: Path) -> None:
    found = catalog(place(tmp_path, "1"))
    read(found, lineup(champion("own@2", previous="own@1", until=NOW + 60)))
    assert found.choice(trigger()).forecaster.model == "own@1"
    read(catalog(tmp_path), lineup(champion("own@2", "shop"), champion("own@1")))


def test_a_champion_whose_bundle_is_gone_goes_on(tmp_path: Path) -> None:
    """A version never changes: what is loaded is not read again."""
    found = read(catalog(place(tmp_path, "1")), lineup(champion("own@1")))
    before = found.choice(trigger()).forecaster
    spoil(tmp_path / "own@1")
    assert read(found, lineup(champion("own@1"))).choice(trigger()).forecaster is before


def test_a_bundle_under_another_name_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "own@1", name="other", version="1")
    found = read(catalog(tmp_path), lineup(champion("own@1")))
    assert "its manifest says other@1" in str(found.refusals["own@1"])
    assert found.choice(trigger()).forecaster.model == "general@1"


def test_versions_from_a_url(tmp_path: Path) -> None:
    """Only those that are wanted are copied."""
    found = catalog(f"file://{place(tmp_path / 'there', '1', '2')}")
    found._cache = tmp_path / "copies"
    read(found, lineup(champion("own@2")))
    assert found.choice(trigger()).forecaster.model == "own@2"
    assert found.refusals == {}
    assert len(list((tmp_path / "copies").rglob("model.onnx"))) == 1
    assert "own@3" in read(found, lineup(champion("own@3"))).refusals


def test_who_is_on_probation_beside_what(tmp_path: Path) -> None:
    """A first champion is compared with what served before: that of the wider scope, or what serves without one."""
    found = catalog(place(tmp_path, "1", "2", "3"))
    of_all = champion("own@1", previous=NO_CHAMPION, until=NOW + 60)
    of_shop = champion("own@2", "shop", NO_CHAMPION, NOW + 60)
    of_web = champion("own@3", "shop/web", "own@2", NOW + 60)
    assigned = champion("own@3", "quiet", "own@2")
    read(found, lineup(of_all, of_shop, of_web, assigned))
    pairs = {one.champion: (one.forecaster.model, one.before.model) for one in found.probations(NOW + 59)}
    assert pairs == {of_all: ("own@1", "general@1"), of_shop: ("own@2", "own@1"), of_web: ("own@3", "own@2")}
    assert found.probations(NOW + 60) == []

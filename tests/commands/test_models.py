"""`headway models` on a database that the test fills."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.models import Kind, ModelDecision, ModelVersion
from scaler.models.card import told
from scaler.store.model_index import open_model_index
from tests.forecast.test_catalog import put

NOW = 1_700_006_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two published versions in tmp_path/bundles, their index in tmp_path/headway.db."""

    async def fill() -> None:
        index = open_model_index(None, tmp_path)
        for number in "12":
            bundle = put(tmp_path / "bundles" / f"own@{number}", name="own", version=number, scores={"mape": 0.0712})
            manifest = json.loads((bundle / "manifest.json").read_text())
            version = ModelVersion("own", number, str(bundle), manifest, NOW, None, {"ratio": 0.8}, {"recipe": "mlp"})
            decision = ModelDecision(NOW, Kind.PUBLISHED, version.model, "a test", "20 % better | on all")
            await index.publish(version, decision)
        refusal = ModelDecision(NOW + 60, Kind.REFUSED, "own@3", "a test", "no better", figures={"ratio": 1.2})
        await index.refuse(refusal)
        await index.close()

    asyncio.run(fill())
    return tmp_path


def models(folder: Path, *arguments: str, bundle: str = "bundles") -> Result:
    flags = ("--data-dir", str(folder), "--bundle", str(folder / bundle) if bundle else "")
    return CliRunner().invoke(app, ["models", *arguments, *flags])


def said(folder: Path, *arguments: str, status: int = 0) -> str:
    result = models(folder, *arguments)
    assert result.exit_code == status, result.output
    return " ".join((result.stdout if status == 0 else result.stderr).split())


def test_a_life_of_a_model(folder: Path) -> None:
    """Promoted, replaced, rolled back and retired; list and log tell it."""
    assert "own@1 is the champion of all triggers, on probation until" in said(folder, "promote", "own@1")
    assert said(folder, "promote", "own@1") == "own@1 is the champion of all triggers already"
    text = said(folder, "promote", "own@2", "--probation", "0s", "--reason", "newer")
    assert text.startswith("own@2 is the champion of all triggers in place of own@1; scalers take it up")
    assert "all triggers: can be rolled back to own@1" in said(folder, "list")
    assert "all triggers: own@2 is rolled back, own@1 is its champion again" in said(folder, "roll-back")
    assert "own@2 is the champion of shop/web;" in said(folder, "assign", "own@2", "shop/web")
    assert "it has no champion any more" in said(folder, "roll-back", "--scope", "shop/web")
    assert "own@2 is retired" in said(folder, "retire", "own@2")
    log = said(folder, "log")
    for part in ("promoted own@2 for all triggers, in place of own@1, by", ": newer", "refused own@3", "ratio 1.2"):
        assert part in log
    assert len(json.loads(models(folder, "log", "--scope", "shop/web", "--json").stdout)["decisions"]) == 2


def test_what_the_index_refuses(folder: Path) -> None:
    assert "'own@11' was never published: did you mean own@1" in said(folder, "promote", "own@11", status=1)
    assert "'other@7' was never published" in said(folder, "show", "other@7", status=1)
    assert "all triggers: there is no champion" in said(folder, "roll-back", status=1)
    for model in ("own@2", "own@1"):
        said(folder, "assign", model, "quiet")
    said(folder, "roll-back", "--scope", "quiet")
    assert "quiet: own@2 has no predecessor" in said(folder, "roll-back", "--scope", "quiet", status=1)
    assert "own@2 is the champion of quiet: promote another one first" in said(folder, "retire", "own@2", status=1)
    said(folder, "retire", "own@1")
    assert "own@1 is retired" in said(folder, "promote", "own@1", status=1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("promote", "own"), "MODEL='own': must be NAME@VERSION"),
        (("promote", "own@1", "--scope", "a/b/c"), "scope 'a/b/c': must be NAMESPACE or NAMESPACE/NAME"),
        (("promote", "own@1", "--probation", "soon"), "--probation='soon': must be a duration"),
        (("log", "--limit", "0"), "--limit=0: must be a whole number from 1 to 1000"),
    ],
)
def test_wrong_flags(folder: Path, arguments: tuple[str, ...], error: str) -> None:
    assert error in said(folder, *arguments, status=2)


def test_without_a_database_nothing_is_made(tmp_path: Path) -> None:
    assert "holds no headway.db" in said(tmp_path, "list", status=2)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_reached(folder: Path) -> None:
    flags = ("--database", "postgresql://headway:secret@127.0.0.1:1/headway")
    result = CliRunner().invoke(app, ["models", "list", *flags])
    assert result.exit_code == 3
    assert "secret" not in result.output


def test_a_bundle_that_the_scaler_would_refuse_is_not_promoted(folder: Path) -> None:
    (folder / "bundles" / "own@1" / "model.onnx").write_bytes(b"")
    assert "model.onnx: checksum is" in said(folder, "promote", "own@1", status=1)
    assert "nothing" not in said(folder, "log", "--model", "own@1")
    assert json.loads(models(folder, "list", "--json").stdout)["champions"] == []


def test_the_card(folder: Path) -> None:
    """As text, as a page and as JSON: what it is, how it was trained, its scores and figures, what was decided."""
    models(folder, "promote", "own@1", "--scope", "shop")
    page = models(folder, "show", "own@1", "--markdown").stdout
    for line in (
        "# own@1",
        "## How and on what it was trained",
        "| recipe | mlp |",
        "| mape | 0.0712 |",
        "| ratio | 0.8 |",
        "| licence of the data | none: no data went into it |",
    ):
        assert f"{line}\n" in page
    assert "20 % better \\| on all" in page
    assert "promoted own@1 for shop" in page
    text = said(folder, "show", "own@1")
    assert "champion of shop (on probation until" in text
    found = json.loads(models(folder, "show", "own@1", "--json").stdout)
    assert found["champion_of"][0]["scope"] == "shop"
    assert [one["kind"] for one in found["decisions"]] == ["promoted", "published"]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_decision_can_be_told(kind: Kind) -> None:
    """With a model and without one, as entries of retrainings are."""
    named = told(ModelDecision(0.0, kind, "own@2", "nightly", "because", previous="own@1"))
    assert "own@2" in named
    assert "own@1" in named
    assert "by nightly: because" in told(ModelDecision(0.0, kind, "", "nightly", "because"))


def test_only_a_change_of_champions_replaces_something() -> None:
    refused = ModelDecision(0.0, Kind.REFUSED, "own@2", "nightly", "worse", previous="own@1")
    assert told(refused) == "refused own@2, compared with own@1, by nightly: worse"
    failed = ModelDecision(0.0, Kind.RETRAINING_FAILED, "", "nightly", "no history")
    assert told(failed) == "retraining failed, by nightly: no history"

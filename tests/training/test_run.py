"""`headway train run`, whole: a file of recorded demand becomes a bundle that the scaler takes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scaler.bundle import read_bundle
from scaler.cli import app
from scaler.forecast.onnx_forecaster import open_bundle

DAYS = 6


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two daily series in steps of five minutes, and one that cannot be used."""
    rng = np.random.default_rng(3)
    moments = pd.date_range("2026-01-05", periods=DAYS * 288, freq="5min", tz="UTC")
    wave = 2 + np.sin(2 * np.pi * np.arange(len(moments)) / 288)
    frames = []
    for name, size in (("shop", 100.0), ("search", 9000.0)):
        values = rng.poisson(size * wave)
        frames.append(pd.DataFrame({"series": name, "timestamp": moments.strftime("%FT%TZ"), "value": values}))
    still = frames[0].assign(series="still", value=7)
    path = tmp_path_factory.mktemp("recorded") / "site.csv"
    pd.concat([*frames, still]).to_csv(path, index=False)
    return path


def trained(recipe: str, data: Path, out: Path, *more: str) -> str:
    result = CliRunner().invoke(
        app, ["train", "run", recipe, "--data", str(data), "--out", str(out), "--windows", "30", *more]
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_leaves_a_bundle_that_the_scaler_takes(recorded: Path, tmp_path: Path) -> None:
    """The folder holds a bundle with scores, and a record of what went in."""
    told = trained("naive", recorded, tmp_path / "made")
    forecaster = open_bundle(read_bundle(tmp_path / "made"), "made")
    assert forecaster.model.startswith("naive@")
    record = json.loads((tmp_path / "made" / "run.json").read_text())
    assert record["series"] == ["site/shop", "site/search"]
    assert record["data"].keys() == {"site.csv"}
    assert "series 'still': is constant" in told


def test_a_rerun_makes_the_same_bytes(recorded: Path, tmp_path: Path) -> None:
    """Data, seed and code decide every byte; another seed makes another model."""
    for out, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        trained("mlp", recorded, tmp_path / out, "--seed", seed)
    graphs = {}
    for out in ("one", "two", "three"):
        graphs[out] = (tmp_path / out / "model.onnx").read_bytes()
    for name in ("model.onnx", "manifest.json", "run.json", "reference.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert graphs["one"] != graphs["three"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wizard", "--data", "site.csv"], "recipe 'wizard': must be one of naive"),
        (["naive", "--data", "site.csv", "--step", "soon"], "--step 'soon': must be a duration"),
        (["naive", "--data", "absent.csv"], "absent.csv"),
    ],
)
def test_wrong_flags_are_told_and_nothing_is_written(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """Exit status 2, one sentence, no folder."""
    monkeypatch.chdir(recorded.parent)
    result = CliRunner().invoke(app, ["train", "run", *arguments, "--out", str(tmp_path / "made")])
    assert result.exit_code == 2
    assert told in result.output
    assert not list(tmp_path.iterdir())

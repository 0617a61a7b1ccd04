"""The code still makes the seasonal bundle that ships. Needs the training packages."""

import pytest

from scaler.bundle import read_bundle
from scaler.forecast.catalog import SEASONAL
from training.shipped.seasonal import GOLDEN, differences, main


def test_the_bundles_are_what_the_code_makes() -> None:
    """The shipped and the golden bundle are up to date (otherwise: make bundle)."""
    assert differences() == []


def test_a_stale_bundle_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names the folder and fails."""
    monkeypatch.setattr("training.shipped.seasonal.MADE", ((SEASONAL, lambda: read_bundle(GOLDEN)),))
    assert main(["--check"]) == 1
    assert "manifest.json is not what the code makes" in capsys.readouterr().out

"""`headway retrain`: what it refuses before any work."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import Result
from typer.testing import CliRunner

from scaler.cli import app
from tests.training.lifecycle.workloads import opening, watch
from training.commands.retrain import BUSY
from training.lifecycle import lease


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["retrain", *arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data-dir", "{0}"], "bundle: must be set"),
        (["--data-dir", "{0}", "--bundle", "{0}", "--recipe", "oracle"], "recipe 'oracle': must be one of"),
        (["--data-dir", "{0}", "--bundle", "{0}", "--scope", "a/b/c"], "--scope 'a/b/c': must be NAMESPACE"),
        (["--data-dir", "{0}", "--bundle", "{0}", "--backend", "ray"], "--backend 'ray': must be loky or dask"),
        (["--data-dir", "{0}", "--bundle", "{0}", "--backend", "dask"], "--scheduler: belongs to --backend dask"),
        (["--data-dir", "{0}", "--bundle", "{0}", "--since", "soon"], "--since 'soon': must be a duration"),
        (["--data-dir", "{0}", "--bundle", "{0}", "shop"], "'shop': no watched trigger has this namespace or name"),
    ],
)
def test_wrong_flags(arguments: list[str], told: str, tmp_path: Path) -> None:
    """Each is named with its rule, and nothing is written into the work folder."""
    work = tmp_path / "work"
    result = asked(*(one.format(tmp_path) for one in arguments), "--work", str(work))
    assert result.exit_code == 2
    assert told in " ".join(str(result.exception or result.output).split()) + result.output
    assert not work.exists()


def test_dask_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    place = ("--data-dir", str(tmp_path), "--bundle", str(tmp_path), "--work", str(tmp_path / "work"))
    result = asked(*place, "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "Dask is not installed: pip install" in str(result.exception) + result.output


def test_dask_without_one_of_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names that package."""
    (tmp_path / "distributed.py").write_text("import tornado_that_is_missing\n")
    package = ModuleType("dask")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "dask", package)
    place = ("--data-dir", str(tmp_path), "--bundle", str(tmp_path), "--work", str(tmp_path / "work"))
    result = asked(*place, "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "Dask needs tornado_that_is_missing, which is not installed" in str(result.exception) + result.output


def test_another_one_works(tmp_path: Path) -> None:
    """Status 4, with who and until when."""
    database = f"sqlite:///{tmp_path / 'headway.db'}"
    watch(database, ())
    with lease.held(opening(database), "another machine"):
        result = asked("--database", database, "--bundle", str(tmp_path), "--work", str(tmp_path / "work"))
    assert result.exit_code == BUSY
    assert "another machine retrains; its lease runs until 20" in " ".join(result.output.split())

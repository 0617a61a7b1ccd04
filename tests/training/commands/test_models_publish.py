"""`headway models publish`."""

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from scaler.bundle import read_bundle
from scaler.cli import app
from scaler.forecast.catalog import GENERAL
from scaler.models import Kind
from tests.training.lifecycle.workloads import asked_of


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", "publish", *map(str, arguments)])


def test_published_by_hand(tmp_path: Path) -> None:
    """Without the gate only where it is asked for; the log says so; twice is once; it is no champion yet."""
    database = f"sqlite:///{tmp_path / 'headway.db'}"
    where = ("--database", database, "--bundle", tmp_path / "bundles")
    refused = asked(GENERAL, *where)
    assert refused.exit_code == 2
    assert "--data: give recorded demand" in refused.output
    assert asked(GENERAL, "--database", database, "--force").exit_code == 2
    model = read_bundle(GENERAL).manifest.model
    for _ in range(2):
        result = asked(GENERAL, *where, "--force")
        assert result.exit_code == 0, result.output
        assert f"published: {model} in {tmp_path / 'bundles' / model}" in result.output
    (decision,) = asked_of(database, lambda index: index.decisions(10))
    assert (decision.kind, decision.model, decision.reason) == (Kind.PUBLISHED, model, "published without the gate")
    assert asked_of(database, lambda index: index.champions()) == {}
    (placed,) = (tmp_path / "bundles").iterdir()
    (placed / "manifest.json").write_text((placed / "manifest.json").read_text().replace('sha256": "', 'sha256": "0'))
    other = asked(GENERAL, *where, "--force")
    assert other.exit_code == 1
    assert "holds another graph: a version never changes" in " ".join(other.output.split())

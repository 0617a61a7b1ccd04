"""`make chart`, step by step: what users get."""

import tarfile
from pathlib import Path

import pytest
import yaml

from tests.helm.rendering import CHART, VALUES, Cluster, render
from tests.servers.helm import MAJORS, run_helm

LIBRARY = CHART.with_name("headway-trigger")


@pytest.fixture(scope="module", params=MAJORS)
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both charts and an index, made by one Helm."""
    folder = tmp_path_factory.mktemp("charts")
    for arguments in (("package", CHART, LIBRARY, "--destination", folder), ("repo", "index", folder)):
        result = run_helm(request.param, *arguments)
        assert result.returncode == 0, result.stderr
    return folder


def test_package_has_what_the_chart_needs(packaged: Path) -> None:
    """Templates, values, schema, README, rules and dashboards; and nothing of the tests."""
    [path] = packaged.glob("headway-[0-9]*.tgz")
    with tarfile.open(path) as archive:
        names = {name.removeprefix("headway/") for name in archive.getnames()}
    wanted = {str(file.relative_to(CHART)) for file in CHART.rglob("*") if file.is_file()}
    assert names == wanted
    assert {"values.schema.json", "README.md", "templates/NOTES.txt", "files/rules/alerts.yaml"} <= names


def test_package_renders_as_the_folder_does(packaged: Path) -> None:
    """With everything switched on."""
    [path] = packaged.glob("headway-[0-9]*.tgz")
    flags = ("--values", VALUES["everything"])
    assert render(MAJORS[-1], Cluster(), *flags, chart=path) == render(MAJORS[-1], Cluster(), *flags)


def test_index_lists_both_charts(packaged: Path) -> None:
    """Of the same version; the library can be found by an application's chart."""
    entries = yaml.safe_load((packaged / "index.yaml").read_text())["entries"]
    assert {name: [entry["type"] for entry in versions] for name, versions in entries.items()} == {
        "headway": ["application"],
        "headway-trigger": ["library"],
    }
    assert len({entry["version"] for [entry] in entries.values()}) == 1

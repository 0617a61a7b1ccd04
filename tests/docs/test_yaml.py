"""Every YAML block of every page is validated as what it is: manifests, settings, values of the chart, rules."""

import functools
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scaler.cli import app
from scaler.discovery.annotated import FORECAST, Annotated, read_annotated
from scaler.manifest import read_manifest
from scaler.settings import load_settings
from scaler.settings.options import flag_fields
from scaler.trigger import TriggerRules, parse_trigger
from tests.docs.pages import ROOT, Block, of_language
from tests.helm.rendering import CHART, KUBERNETES, Cluster, objects, render
from tests.helm.schemas import faults
from tests.servers.helm import MAJORS
from tests.servers.programs import program

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
SETTINGS = {name.replace("_", "-") for name in flag_fields()} | {"servers", "triggers"}
EXAMPLES = {path.read_text() for path in (ROOT / "deploy" / "examples").glob("*.yaml")}


def documents(block: Block) -> list[dict[str, Any]]:
    return objects(block.text)


def kind_of(block: Block) -> str:
    """What a block is; a block that is none of these is a fault of the page or of this function."""
    found = documents(block)
    keys = {key for document in found for key in document}
    if all({"apiVersion", "kind"} <= document.keys() for document in found):
        return "manifests"
    if keys == {"groups"}:
        return "rules"
    if keys == {"authenticationRef"} or (keys == {"triggers"} and "type" in found[0]["triggers"][0]):
        return "part of a ScaledObject"
    if keys == {"dependencies"}:
        return "part of a Chart.yaml"
    if keys <= SETTINGS:
        return "settings"
    if keys <= SCHEMA["properties"].keys():
        return "values"
    return f"nothing known: {sorted(keys)}"


@functools.cache
def of_kind(kind: str) -> list[Block]:
    return [block for block in of_language("yaml") if kind_of(block) == kind]


KINDS = ("manifests", "rules", "part of a ScaledObject", "part of a Chart.yaml", "settings", "values")


def test_every_block_is_something() -> None:
    """Each is validated by one of the tests below, and each of these has something to validate."""
    found = {str(block): kind_of(block) for block in of_language("yaml")}
    assert {place: kind for place, kind in found.items() if kind not in KINDS} == {}
    assert set(found.values()) == set(KINDS)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("block", of_kind("manifests"), ids=str)
def test_manifests_are_valid(block: Block, kubernetes: str) -> None:
    """Against the schemas of Kubernetes and of the custom resources; an unknown key is a fault."""
    assert [fault for manifest in documents(block) for fault in faults(manifest, kubernetes)] == []


def with_scaled_objects(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if "kind: ScaledObject" in block.text]


@pytest.mark.parametrize("block", with_scaled_objects(of_kind("manifests")), ids=str)
def test_printed_examples_are_the_files(block: Block) -> None:
    """A ScaledObject in a page is a file under deploy/examples, to the letter; those before and after a migration have
    no files."""
    assert block.text in EXAMPLES or block.page == "docs/migration.md"


MIGRATION = with_scaled_objects(block for block in of_kind("manifests") if block.page == "docs/migration.md")
AFTER = MIGRATION[1::2]


@pytest.mark.parametrize("block", AFTER, ids=str)
def test_after_a_migration_nothing_is_to_fix(block: Block, tmp_path: Path) -> None:
    """`headway check` finds nothing, and discovery takes the object."""
    (tmp_path / "after.yaml").write_text(block.text)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "after.yaml"), "--offline", "--json"])
    assert result.exit_code == 0, result.output
    assert [finding for found in json.loads(result.output)["objects"] for finding in found["findings"]] == []
    (scaled,) = read_manifest(block.text).objects
    found = read_annotated(scaled, TriggerRules(scaled.prometheus_triggers[0].metadata["serverAddress"]))
    assert isinstance(found, Annotated)
    assert found.is_wrapped


@pytest.mark.parametrize(("before", "after"), list(zip(MIGRATION[::2], AFTER, strict=True)), ids=str)
def test_migration_keeps_what_it_does_not_name(before: Block, after: Block) -> None:
    """The same workload, bounds, query and threshold; before, no word of Headway."""
    old, new = (next(d for d in documents(block) if d["kind"] == "ScaledObject") for block in (before, after))
    assert "headway" not in before.text
    assert FORECAST in new["metadata"]["annotations"]
    assert old["metadata"]["name"] == new["metadata"]["name"]
    for key in ("scaleTargetRef", "minReplicaCount", "maxReplicaCount"):
        assert old["spec"][key] == new["spec"][key]
    was, now = (
        next(t["metadata"] for t in scaled["spec"]["triggers"] if "query" in t["metadata"]) for scaled in (old, new)
    )
    assert now["query"].endswith("or " + was["query"])
    assert now["threshold"] == was["threshold"]


@pytest.mark.parametrize("block", of_kind("settings"), ids=str)
def test_settings_load(block: Block, tmp_path: Path) -> None:
    """Once the files that they name exist."""
    text = block.text
    for name in re.findall(r"/etc/\S+", text):
        file = tmp_path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("secret\n")
        text = text.replace(name, str(file))
    (tmp_path / "headway.yaml").write_text(text)
    load_settings({"config": str(tmp_path / "headway.yaml")})


@pytest.mark.parametrize("block", of_kind("values"), ids=str)
def test_values_render(block: Block, tmp_path: Path) -> None:
    """The chart takes them and renders manifests that are valid."""
    (tmp_path / "values.yaml").write_text(block.text)
    rendered = render(MAJORS[-1], Cluster(), "--values", tmp_path / "values.yaml")
    assert rendered.error == ""
    assert [fault for manifest in objects(rendered.text) for fault in faults(manifest, KUBERNETES[-1])] == []


@pytest.mark.parametrize("block", of_kind("part of a ScaledObject"), ids=str)
def test_parts_fit_into_a_scaled_object(block: Block) -> None:
    """The whole is valid, and so is the trigger of ours in it."""
    [part] = documents(block)
    ours = {"type": "external", "metadata": {"scalerAddress": "a:1", "query": "vector(1)", "threshold": "1"}}
    triggers = part.get("triggers") or [{**ours, **part}]
    whole = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"name": "web"}, "triggers": triggers},
    }
    assert faults(whole, KUBERNETES[-1]) == []
    for trigger in triggers:
        parse_trigger("shop", "web", trigger["metadata"], TriggerRules(default_server="http://prometheus:9090"))


@pytest.mark.parametrize("block", of_kind("part of a Chart.yaml"), ids=str)
def test_dependencies_are_ours(block: Block) -> None:
    """The example chart has the same dependency, from the folder instead of the registry."""
    chart = yaml.safe_load((ROOT / "deploy/examples/application-chart/Chart.yaml").read_text())
    [part] = documents(block)
    assert [one["name"] for one in part["dependencies"]] == [one["name"] for one in chart["dependencies"]]
    assert all(one.keys() == {"name", "version", "repository"} for one in part["dependencies"])


@pytest.mark.server
@pytest.mark.parametrize("block", of_kind("rules"), ids=str)
def test_rules_are_valid(block: Block, tmp_path: Path) -> None:
    """promtool takes them."""
    (tmp_path / "rules.yaml").write_text(block.text)
    command = [program("promtool"), "check", "rules", str(tmp_path / "rules.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

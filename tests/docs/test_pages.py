"""The hand-written pages: links that lead somewhere, examples that are right, commands that exist."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from scaler.cli import app
from scaler.settings import load_settings
from scaler.trigger import TriggerRules, parse_trigger

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
SCALED_OBJECTS = [path for path in EXAMPLES if "kind: ScaledObject" in path.read_text()]
RULES = TriggerRules(default_server="http://prometheus:9090")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_relative_links_resolve(path):
    """Every link to a file of the repository leads to one, and every anchor to a heading."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", SCALED_OBJECTS, ids=relative)
def test_examples_are_accepted(path):
    """Every trigger of ours in an example passes the parser that KEDA's calls go through."""
    found = yaml.safe_load(path.read_text())
    ours = [t for t in found["spec"]["triggers"] if t["type"].startswith("external")]
    for trigger in ours:
        parse_trigger(found["metadata"]["namespace"], found["metadata"]["name"], trigger["metadata"], RULES)
        assert "metricType" not in trigger
    assert ours or "headway_planned_demand" in path.read_text()


@pytest.mark.parametrize("path", SCALED_OBJECTS, ids=relative)
def test_examples_keep_a_reactive_floor(path):
    """Every example scales on the demand itself when Headway is gone."""
    triggers = yaml.safe_load(path.read_text())["spec"]["triggers"]
    reactive = [t["metadata"]["query"] for t in triggers if t["type"] == "prometheus"]
    assert len(reactive) == 1
    assert "headway" not in reactive[0] or " or sum(" in reactive[0]


def test_settings_of_the_examples_are_accepted():
    """The settings file that goes with the second way to connect can be loaded."""
    settings = load_settings({"config": str(ROOT / "deploy/examples/headway.yaml")})
    assert [listed.name for listed in settings.triggers] == ["checkout"]


def test_second_way_reads_what_the_listed_trigger_exports():
    """ScaledObject, listed trigger and query of the second way speak of the same workload and the same threshold."""
    scaled = yaml.safe_load((ROOT / "deploy/examples/prometheus.yaml").read_text())
    [listed] = load_settings({"config": str(ROOT / "deploy/examples/headway.yaml")}).triggers
    [trigger] = scaled["spec"]["triggers"]
    name, namespace = scaled["metadata"]["name"], scaled["metadata"]["namespace"]
    assert (listed.namespace, listed.name) == (namespace, name)
    assert f'headway_planned_demand{{namespace="{namespace}", name="{name}"}}' in trigger["metadata"]["query"]
    assert trigger["metadata"]["query"].endswith("or " + listed.metadata["query"])
    assert trigger["metadata"]["threshold"] == listed.metadata["threshold"]


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_scaled_objects_in_pages_are_the_examples(path):
    """A ScaledObject printed in a page is, to the letter, a file under deploy/examples."""
    examples = {example.read_text() for example in EXAMPLES}
    printed = [text for text in fences(path, "yaml") if "kind: ScaledObject" in text]
    assert [text for text in printed if text not in examples] == []


def test_settings_file_in_the_settings_page_is_accepted(tmp_path, monkeypatch):
    """The YAML shown in docs/settings.md loads, once the files it names exist."""
    token = tmp_path / "token"
    token.write_text("x")
    [text] = fences(ROOT / "docs" / "settings.md", "yaml")
    path = tmp_path / "headway.yaml"
    path.write_text(text.replace("/etc/headway/mimir-token", str(token)))
    assert load_settings({"config": str(path)}).servers[0].bearer_token_file == token


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_commands_in_pages_exist(path):
    """Every `make` verb and `headway` command that a page names is there."""
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    assert [verb for verb in named if verb not in verbs] == []
    commands = set(get_command(app).commands)
    named = re.findall(r"(?:^|`|bin/)headway ([a-z]+)", path.read_text(), re.MULTILINE)
    assert [command for command in named if command not in commands | {"models"}] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_files_that_pages_name_exist(path):
    """A page that names a source file names one that exists: moves take the pages along."""
    named = re.findall(r"(?<![\w/.-])(?:scaler|training|tests|benchmarks|tools|deploy)/[\w/]+\.\w+", path.read_text())
    files = [name for name in named if "NAME" not in name]  # a place for the reader to fill in
    assert [name for name in files if not (ROOT / name).exists()] == []

"""The hand-written pages: links that lead somewhere, examples that are right, commands that exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from scaler.cli import app
from scaler.settings import load_settings

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))


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

"""The hand-written pages: links that lead somewhere, examples that are right, commands that exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from scaler.cli import app
from tests.docs.pages import PAGES, ROOT, relative


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
def test_commands_in_pages_exist(path):
    """Every `make` verb and `headway` command that a page names is there."""
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    assert [verb for verb in named if verb not in verbs] == []
    commands = set(get_command(app).commands)
    named = re.findall(r"(?:^|`|bin/)headway ([a-z]+)", path.read_text(), re.MULTILINE)
    assert [command for command in named if command not in commands] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_files_that_pages_name_exist(path):
    """A page that names a source file names one that exists: moves take the pages along."""
    named = re.findall(r"(?<![\w/.-])(?:scaler|training|tests|benchmarks|tools|deploy)/[\w/]+\.\w+", path.read_text())
    files = [name for name in named if "NAME" not in name]  # a place for the reader to fill in
    assert [name for name in files if not (ROOT / name).exists()] == []

"""No fenced block escapes: each language has its test."""

import ast
import importlib

import pytest

from tests.docs.pages import BLOCKS, Block, of_language

TESTED = {
    "console": "test_console.py",
    "yaml": "test_yaml.py",
    "promql": "test_promql.py",
    "sql": "test_sql.py",
    "python": "here",
    "text": "here: drawings",
}


def test_every_language_is_tested() -> None:
    """A block without a language, or with another one, needs a test first."""
    assert {f"{block} {block.language}" for block in BLOCKS if block.language not in TESTED} == set()
    assert len(BLOCKS) > 50


@pytest.mark.parametrize("block", of_language("text"), ids=str)
def test_drawings_are_drawings(block: Block) -> None:
    """Text that could be copied into a shell or a file is not hidden as `text`."""
    assert "─" in block.text or "▲" in block.text


@pytest.mark.parametrize("block", of_language("python"), ids=str)
def test_python_imports_what_there_is(block: Block) -> None:
    """It compiles, and each name that it imports from this project exists."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("scaler", "training"):
            module = importlib.import_module(node.module or "")
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []

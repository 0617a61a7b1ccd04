"""Every regular expression of the scaler takes time that grows with the text and no faster: texts are foreign.

The time is this thread's own, so that a busy machine changes nothing.
"""

import ast
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import scaler

ROOT = Path(scaler.__file__).parent
SEARCHES, COMPARES = {"search", "sub", "finditer", "findall", "split"}, {"match", "fullmatch"}
MEGABYTE = 2**20
FEW = 30_000
"""characters at which a pattern of quadratic time needs seconds, and a linear one less than a millisecond"""
LONGEST_FOR_FEW, LONGEST_FOR_A_MEGABYTE = 0.5, 5.0


@dataclass(frozen=True)
class Used:
    """A pattern, and whether texts are searched for it or only compared with it from their beginning."""

    pattern: re.Pattern[str]
    searched: bool

    def seconds(self, text: str) -> float:
        """The time that the comparison, or the search for every match, takes of this thread."""
        began = time.thread_time()
        self.pattern.fullmatch(text)
        self.pattern.match(text)
        if self.searched:
            for _ in self.pattern.finditer(text):
                pass
        return time.thread_time() - began


NODES = [
    (path.relative_to(ROOT), node)
    for path in sorted(ROOT.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
]
METHODS = {
    (node.value.id, node.attr)
    for _, node in NODES
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
}
COMPARED_ONLY = {name for name, method in METHODS if method in COMPARES} - {
    name for name, method in METHODS if method in SEARCHES
}


def compiled() -> Iterator[tuple[str, Used]]:
    """Patterns of modules, by module and name."""
    for found in pkgutil.walk_packages(scaler.__path__, "scaler."):
        if ".migrations" in found.name or ".wire" in found.name:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{found.name}.{name}", Used(value, name not in COMPARED_ONLY)


def inline() -> Iterator[tuple[str, Used]]:
    """Patterns that stand in a call, by file and line."""
    for path, node in NODES:
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), method), [ast.Constant(pattern), *_]) if method != "compile":
                yield f"{path}:{node.lineno}", Used(re.compile(str(pattern)), method in SEARCHES)


PATTERNS = {f"{where} {used.pattern.pattern[:40]!r}": used for where, used in [*compiled(), *inline()]}


def words(pattern: re.Pattern[str]) -> set[str]:
    """What is likely to begin or to go on with a match: the pattern's own words, and characters of all classes."""
    literal = re.sub(r"\\.|\(\?[^)]*?[:>=!]", " ", pattern.pattern)
    return {
        *re.findall(r"[A-Za-z]{3,}", literal),
        *re.findall(r"[^\w\s\\]", pattern.pattern),
        "a",
        "0",
        " ",
        "\n",
        "\\",
    }


def hostile(parts: set[str], length: int) -> Iterator[str]:
    """Texts of about this length: one part again and again, two in turn, one long run between others."""
    for one in sorted(parts):
        yield one * (length // len(one))
    for one, other in itertools.permutations(sorted(parts), 2):
        yield (one + other) * (length // len(one + other))
        yield one + other * (length // len(other)) + "\0"
        yield (one + other * 100) * (length // len(one + other * 100))


def test_patterns_are_found() -> None:
    """The tests below look at something: at patterns of modules, and at those within calls."""
    assert len(PATTERNS) > 30
    assert any(".py:" in where for where in PATTERNS)
    assert any("redaction._USERINFO" in where and used.searched for where, used in PATTERNS.items())


@pytest.mark.parametrize("where", PATTERNS)
def test_hostile_texts_take_linear_time(where: str) -> None:
    used = PATTERNS[where]
    for text in hostile(words(used.pattern), FEW):
        assert used.seconds(text) < LONGEST_FOR_FEW, text[:300]


@pytest.mark.parametrize("where", PATTERNS)
def test_a_megabyte_takes_linear_time(where: str) -> None:
    used = PATTERNS[where]
    for word in sorted(words(used.pattern)):
        text = word * (MEGABYTE // len(word))
        assert used.seconds(text) < LONGEST_FOR_A_MEGABYTE, text[:300]


def test_a_quadratic_pattern_is_noticed() -> None:
    """What stood in the redaction once: each letter of a long word began a search of the whole rest."""
    quadratic = Used(re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE), searched=True)
    assert quadratic.seconds("a" * FEW) > LONGEST_FOR_FEW

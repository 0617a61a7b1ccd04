"""The pages and their fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
    *sorted((ROOT / "helm").rglob("*.md")),
]


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where it begins, and what is in it."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks() -> Iterator[Block]:
    for path in PAGES:
        page = path.read_text()
        for found in _FENCED.finditer(page):
            yield Block(relative(path), page.count("\n", 0, found.start()) + 1, found[2], found[3])


def _inline() -> Iterator[Block]:
    for path in PAGES:
        page = re.sub(_FENCED, lambda found: "\n" * found[0].count("\n"), path.read_text())
        for found in re.finditer(r"`([^`]+)`", page):
            yield Block(relative(path), page.count("\n", 0, found.start()) + 1, "", " ".join(found[1].split()))


BLOCKS = list(_blocks())
INLINE = list(_inline())
"""code within sentences, each on one line"""


def of_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]

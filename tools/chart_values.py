"""helm/headway/values.yaml as a list of entries: each value with the comment above it (`# -- `, as in helm-docs)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).parent.parent / "helm/headway/values.yaml"

_MARK = "# -- "
_DEFAULT = "# @default -- "


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the chart. `children` is empty for a leaf, also for an empty mapping."""

    path: tuple[str, ...]
    default: Any
    description: str
    shown_default: str
    children: tuple["Value", ...]

    @property
    def key(self) -> str:
        """Its path as people write it, as `image.tag`."""
        return ".".join(self.path)


def read_values(text: str) -> tuple[Value, ...]:
    """The top-level values. Raises ValueError for a leaf without description."""
    lines = text.splitlines()
    values = tuple(_entries(yaml.compose(text), yaml.safe_load(text), (), lines))
    missing = [value.key for value in every(values) if not value.children and not value.description]
    if missing:
        raise ValueError(f"values without a comment that begins with '{_MARK}': {', '.join(missing)}")
    return values


def every(values: tuple[Value, ...]) -> Iterator[Value]:
    """The values and all below them, in the order of the file."""
    for value in values:
        yield value
        yield from every(value.children)


def _entries(node: Any, data: Any, path: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key_node, value_node in node.value:
        key = key_node.value
        below = isinstance(value_node, yaml.MappingNode) and bool(value_node.value)
        children = tuple(_entries(value_node, data[key], (*path, key), lines)) if below else ()
        description, shown = _comment(lines, key_node.start_mark.line)
        yield Value((*path, key), data[key], description, shown, children)


def _comment(lines: list[str], line: int) -> tuple[str, str]:
    """(description, shown default) from the comment that ends above `line`; empty where there is none."""
    block: list[str] = []
    while line > 0 and re.match(r" *# ?", lines[line - 1]):
        line -= 1
        block.insert(0, lines[line].strip())
        if block[0].startswith(_MARK):
            break
    if not block or not block[0].startswith(_MARK):
        return "", ""
    shown = "".join(text.removeprefix(_DEFAULT) for text in block if text.startswith(_DEFAULT))
    words = [text.removeprefix(_MARK).removeprefix("# ") for text in block if not text.startswith(_DEFAULT)]
    return " ".join(words), shown

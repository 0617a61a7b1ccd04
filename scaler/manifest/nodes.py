"""YAML text → documents: plain values, the line of every field, keys written twice. Merge keys are followed as Go does.

In a mapping the later entry wins, also where one of the two comes from a merge key (`<<`). Standard YAML lets the
written key win wherever it stands; goyaml.v2, which kubectl and Helm use, does not.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from scaler.errors import CommandError
from scaler.manifest.scalars import Scalar, kind_of, plain_value

FieldPath: TypeAlias = tuple[str | int, ...]
"""where a field stands in its document, as ("spec", "triggers", 0, "metadata", "threshold")"""

DEEPEST = 100
MOST_NODES = 200_000
"""aliases counted as often as they are used"""
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_RENDER_FIRST = "; {{ … }} looks like a Helm template: render it first, as in `helm template CHART | headway check -`"


def dotted_path(path: FieldPath) -> str:
    """`spec.triggers[0].metadata.threshold`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def nearest_line(lines: Mapping[FieldPath, int], path: FieldPath) -> int | None:
    """The line of the field, or of the nearest field around it that the file has."""
    return next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), None)


class ManifestError(CommandError):
    """The file is not YAML, or not a Kubernetes object; the text names the line."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document, or one item of a List."""

    value: Mapping[str, Any]
    lines: Mapping[FieldPath, int] = field(repr=False)
    texts: Mapping[FieldPath, tuple[str, Scalar]] = field(repr=False)
    """scalars that are not strings: as they are written, and their value"""
    duplicates: tuple[FieldPath, ...]
    """keys written twice in one mapping: the last counts"""
    overridden: tuple[FieldPath, ...]
    """keys written before a merge key that has them too: the merged value counts"""


def read_documents(text: str) -> Iterator[Document]:
    """Every document that is not empty; a List gives its items. Raises ManifestError."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
                continue
            if not isinstance(node, yaml.MappingNode):
                raise _error(node, "a Kubernetes object is a mapping (apiVersion, kind, metadata, spec)")
            _check_size(node)
            for item in _items(node):
                yield _Reading().document(item)
    except RecursionError:
        raise ManifestError("nested too deeply") from None
    except yaml.YAMLError as error:
        raise ManifestError(_described(error) + _template_hint(text)) from error
    except ManifestError as error:
        hint = _template_hint(text)
        raise ManifestError(f"{error}{hint}") from error.__cause__ if hint else error


def _template_hint(text: str) -> str:
    return _RENDER_FIRST if "{{" in text else ""


def _described(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = (
        getattr(error, "problem", None) or getattr(error, "context", None) or "a character that YAML does not allow"
    )
    return f"{where}not valid YAML: {problem}"


def _error(node: yaml.Node, text: str) -> ManifestError:
    return ManifestError(f"line {node.start_mark.line + 1}: {text}")


class _Loader(yaml.SafeLoader):
    """Composes nodes. Plain scalars get the tag that Go gives them; nothing is constructed."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        if kind is not yaml.ScalarNode:
            return _TAG + ("seq" if kind is yaml.SequenceNode else "map")
        if not implicit[0]:
            return _TAG + "str"
        return _TAG + ("merge" if value == _MERGE else kind_of(plain_value(value)))


def _check_size(document: yaml.Node) -> None:
    """Raises ManifestError where aliases make a document endless, or larger than any that Kubernetes takes."""
    waiting, count = [(document, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > MOST_NODES:
            raise _error(node, f"nested deeper than {DEEPEST} levels, or more than {MOST_NODES} values")
        if isinstance(node, yaml.MappingNode):
            waiting += [(part, depth + 1) for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]


def _items(document: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    """The items of a List, as `kubectl get -o yaml` prints several objects; any other document itself."""
    fields = {key.value: value for key, value in document.value if isinstance(key, yaml.ScalarNode)}
    kind, items = fields.get("kind"), fields.get("items")
    if isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List") and isinstance(items, yaml.SequenceNode):
        yield from (item for item in items.value if isinstance(item, yaml.MappingNode))
    else:
        yield document


class _Reading:
    """Turns one document's nodes into values, and notes what only the nodes know."""

    def __init__(self) -> None:
        self._lines: dict[FieldPath, int] = {}
        self._texts: dict[FieldPath, tuple[str, Scalar]] = {}
        self._duplicates: list[FieldPath] = []
        self._overridden: list[FieldPath] = []

    def document(self, node: yaml.MappingNode) -> Document:
        value = self._value(node, ())
        if not isinstance(value, dict):
            raise _error(node, "a Kubernetes object is a plain mapping")
        return Document(value, self._lines, self._texts, tuple(self._duplicates), tuple(self._overridden))

    def _value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.SequenceNode):
            _require_tag(node, "seq")
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        _require_tag(node, "map", "set")
        found = {}
        entries = _entries(node)
        self._duplicates += [(*path, key) for key in entries.duplicates]
        self._overridden += [(*path, key) for key in entries.overridden]
        for key, (key_node, value) in entries.by_key.items():
            here = (*path, key)
            self._lines[here] = key_node.start_mark.line + 1
            found[key] = self._value(value, here)
        return set(found) if node.tag == _TAG + "set" else found

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> Scalar:
        value = _scalar_value(node)
        if not isinstance(value, str):
            self._texts[path] = (node.value, value)
        if isinstance(value, float) and value.is_integer():
            return int(value)  # JSON has one kind of number: the API server gets 100 for 1e2
        return value


@dataclass(slots=True)
class _Entries:
    """A mapping's entries by key, merge keys followed, and which keys stand there in vain."""

    by_key: dict[str, tuple[yaml.Node, yaml.Node]] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    overridden: list[str] = field(default_factory=list)


def _entries(node: yaml.Node) -> _Entries:
    found = _Entries()
    written: set[str] = set()
    for key_node, value in node.value:
        if key_node.tag == _TAG + "merge":
            merged = _merged(value)
            found.overridden += sorted(written & merged.keys())
            found.by_key |= merged
            continue
        key = _key(key_node)
        if key in written:
            found.duplicates.append(key)
        written.add(key)
        found.by_key[key] = (key_node, value)
    return found


def _merged(node: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """What a merge key brings: a mapping's entries, or those of several, of which the first has precedence."""
    if isinstance(node, yaml.MappingNode):
        return _entries(node).by_key
    parts = node.value if isinstance(node, yaml.SequenceNode) else [None]
    if not all(isinstance(part, yaml.MappingNode) for part in parts):
        raise _error(node, "not valid YAML: a merge key (<<) takes a mapping or a list of mappings")
    merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for part in reversed(parts):
        merged |= _merged(part)
    return merged


def _key(node: yaml.Node) -> str:
    """The key as JSON has it. Numbers and booleans become text; kubectl refuses null."""
    value = _scalar_value(node) if isinstance(node, yaml.ScalarNode) else None
    if value is None:
        raise _error(node, "not valid YAML for Kubernetes: a key must be a string")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scalar_value(node: yaml.ScalarNode) -> Scalar:
    """Raises ManifestError where the text does not fit an explicit tag, or the tag is none that Kubernetes knows."""
    kind = node.tag.removeprefix(_TAG)
    text: str = node.value
    if kind in ("str", "merge"):
        return text
    if kind == "binary":
        return _decoded(node)
    value = plain_value(text)
    if kind == kind_of(value):
        return value
    if kind == "float" and kind_of(value) == "int":
        return float(value or 0)
    if kind == "timestamp" and _looks_like_date(text):
        return text
    raise _error(node, f"not valid YAML: {text[:60]!r} is no {kind[:40]}")


def _looks_like_date(text: str) -> bool:
    return len(text) > 4 and text[:4].isdigit() and text[4] == "-"


def _decoded(node: yaml.ScalarNode) -> str:
    try:
        return base64.b64decode(node.value).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _error(node, "not valid YAML: no base64 of text") from None


def _require_tag(node: yaml.Node, *kinds: str) -> None:
    if node.tag not in [_TAG + kind for kind in kinds]:
        raise _error(node, f"not valid YAML: a tag that Kubernetes does not know ({node.tag[:60]})")

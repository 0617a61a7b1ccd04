"""YAML → the ScaledObjects in it, with the line of every field. Pure: takes text, reads no file."""

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import yaml

from scaler.trigger.values import printable

FieldPath: TypeAlias = tuple[str | int, ...]
"""where a field stands in its document, as ("spec", "triggers", 0, "metadata", "threshold")"""

EXTERNAL_TYPES = ("external", "external-push")
PLAN_FIGURE = "headway_planned_demand"
"""the exported figure that KEDA's own `prometheus` trigger can read"""


_SHORT = reprlib.Repr()
_YAML_NAMES = {dict: "mapping", list: "list", set: "set"}
Shape = TypeVar("Shape", dict[str, Any], list[Any])
DEEPEST = 100
MOST_NODES = 200_000
"""aliases counted as often as they are used"""


def dotted_path(path: FieldPath) -> str:
    """`spec.triggers[0].metadata.threshold`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class ManifestError(Exception):
    """The file is not YAML, or not a Kubernetes object; the text names the line."""


@dataclass(frozen=True, slots=True)
class TriggerEntry:
    """One element of `spec.triggers` as it is written."""

    index: int
    fields: Mapping[str, Any]
    metadata: Mapping[str, str]
    """every value as the text in the file, quoted or not"""
    unquoted: Mapping[str, str]
    """metadata that YAML does not read as strings: key → what YAML makes of it"""

    @property
    def kind(self) -> str:
        return str(self.fields.get("type", ""))

    @property
    def name(self) -> str:
        return str(self.fields.get("name", ""))

    @property
    def path(self) -> FieldPath:
        return ("spec", "triggers", self.index)

    @property
    def ours(self) -> bool:
        """An external trigger with a `query`, or one whose scalerAddress has `headway` in it."""
        if self.kind not in EXTERNAL_TYPES:
            return False
        has_query = "query" in self.metadata or "queryFromEnv" in self.metadata
        return has_query or "headway" in self.metadata.get("scalerAddress", "")

    @property
    def reads_plan(self) -> bool:
        """A `prometheus` trigger that reads what Headway exports: then KEDA never calls Headway."""
        return (
            self.kind == "prometheus" and re.search(rf"\b{PLAN_FIGURE}\b", self.metadata.get("query", "")) is not None
        )


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """One ScaledObject (or ScaledJob) of a file."""

    kind: str
    namespace: str
    name: str
    annotations: Mapping[str, Any]
    spec: Mapping[str, Any]
    triggers: tuple[TriggerEntry, ...]
    lines: Mapping[FieldPath, int] = field(repr=False)
    duplicates: tuple[FieldPath, ...] = ()
    """keys written twice: YAML keeps the last and says nothing"""

    @property
    def our_triggers(self) -> tuple[TriggerEntry, ...]:
        return tuple(trigger for trigger in self.triggers if trigger.ours)

    @property
    def prometheus_triggers(self) -> tuple[TriggerEntry, ...]:
        return tuple(trigger for trigger in self.triggers if trigger.kind == "prometheus")

    @property
    def plan_readers(self) -> tuple[TriggerEntry, ...]:
        return tuple(trigger for trigger in self.triggers if trigger.reads_plan)

    @property
    def min_replicas(self) -> int:
        return _whole(self.spec.get("minReplicaCount"), 0)

    @property
    def max_replicas(self) -> int:
        return _whole(self.spec.get("maxReplicaCount"), 100)

    def section(self, *keys: str) -> Mapping[str, Any]:
        """The mapping at spec.<keys>, empty where it is absent or something else."""
        here: Any = self.spec
        for key in keys:
            here = here.get(key) if isinstance(here, Mapping) else None
        return here if isinstance(here, Mapping) else {}

    def line(self, path: FieldPath) -> int | None:
        """The line of the field, or of the nearest field around it that the file has."""
        return _nearest(self.lines, path)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one file holds: objects to check, and the names of the TriggerAuthentications beside them."""

    objects: tuple[ScaledObject, ...]
    tls_parameters: Mapping[str, frozenset[str]]
    """TriggerAuthentication name → which parameters it gives a trigger"""
    skipped: tuple[str, ...]
    """kinds that were not looked at"""


def read_manifest(text: str, default_namespace: str = "default") -> Manifest:
    """All documents of a YAML text. Raises ManifestError with the line where it is not YAML or not an object."""
    objects: list[ScaledObject] = []
    parameters: dict[str, frozenset[str]] = {}
    skipped: list[str] = []
    for node in _documents(text):
        document = _construct(node)
        kind = str(document.get("kind", ""))
        if kind in ("ScaledObject", "ScaledJob"):
            objects.append(_scaled_object(kind, document, node, default_namespace))
        elif kind in ("TriggerAuthentication", "ClusterTriggerAuthentication"):
            parameters[_name(document)] = frozenset(_authentication_parameters(document))
        else:
            skipped.append(kind or "a document without kind")
    return Manifest(tuple(objects), parameters, tuple(skipped))


def _documents(text: str) -> Iterator[yaml.Node]:
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
                continue
            if not isinstance(node, yaml.MappingNode):
                line = node.start_mark.line + 1
                raise ManifestError(f"line {line}: a Kubernetes object is a mapping (apiVersion, kind, metadata, spec)")
            _bounded(node)
            yield from _items(node)
    except RecursionError:
        raise ManifestError("nested too deeply") from None
    except yaml.YAMLError as error:
        raise ManifestError(_told(error)) from error


def _told(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}not valid YAML: {getattr(error, 'problem', None) or getattr(error, 'context', None) or error}"


def _items(document: yaml.MappingNode) -> Iterator[yaml.Node]:
    """What a list holds, as `kubectl get -o yaml` prints several objects; any other document as it is."""
    fields = {key.value: value for key, value in document.value if isinstance(key, yaml.ScalarNode)}
    kind, items = fields.get("kind"), fields.get("items")
    if isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List") and isinstance(items, yaml.SequenceNode):
        yield from (item for item in items.value if isinstance(item, yaml.MappingNode))
    else:
        yield document


def _bounded(document: yaml.Node) -> None:
    """Raises ManifestError where aliases make a document endless, or larger than any that Kubernetes takes."""
    waiting, count = [(document, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > MOST_NODES:
            line = node.start_mark.line + 1
            raise ManifestError(f"line {line}: nested deeper than {DEEPEST} levels, or more than {MOST_NODES} values")
        if isinstance(node, yaml.MappingNode):
            waiting += [(part, depth + 1) for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]


def _construct(node: yaml.Node) -> Mapping[str, Any]:
    try:
        document = yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise ManifestError(_told(error)) from error
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:  # a value that its own tag does not fit
        raise ManifestError(f"line {node.start_mark.line + 1}: not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ManifestError(f"line {node.start_mark.line + 1}: a Kubernetes object is a plain mapping")
    return document


def _scaled_object(kind: str, document: Mapping[str, Any], node: yaml.Node, namespace: str) -> ScaledObject:
    lines: dict[FieldPath, int] = {}
    duplicates: list[FieldPath] = []
    _walk(node, (), lines, duplicates)
    _shaped(document, lines)
    header = _mapping(document.get("metadata"))
    spec = _mapping(document.get("spec"))
    return ScaledObject(
        kind=kind,
        namespace=str(header.get("namespace") or namespace),
        name=_name(document),
        annotations=_mapping(header.get("annotations")),
        spec=spec,
        triggers=tuple(_triggers(spec, node)),
        lines=lines,
        duplicates=tuple(duplicates),
    )


def _shaped(document: Mapping[str, Any], lines: Mapping[FieldPath, int]) -> None:
    """Raises ManifestError where a value is not of the kind without which nothing below it can be read."""

    def checked(found: Any, kind: type[Shape], *path: str | int) -> Shape:
        if found is None or isinstance(found, kind):
            return found or kind()
        where = f"line {_nearest(lines, path)}: {dotted_path(path)}"
        raise ManifestError(f"{where}={_SHORT.repr(found)}: must be a {_YAML_NAMES[kind]}")

    spec = checked(document.get("spec"), dict, "spec")
    for index, entry in enumerate(checked(spec.get("triggers"), list, "spec", "triggers")):
        trigger = checked(entry, dict, "spec", "triggers", index)
        path = ("spec", "triggers", index, "metadata")
        for key, value in checked(trigger.get("metadata"), dict, *path).items():
            if isinstance(value, dict | list | set):  # it may be a secret, and is not shown
                where = f"line {_nearest(lines, (*path, str(key)))}: {dotted_path((*path, printable(str(key))))}"
                raise ManifestError(f"{where}: must be a string, not a {_YAML_NAMES[type(value)]}")


def _triggers(spec: Mapping[str, Any], document: yaml.Node) -> Iterator[TriggerEntry]:
    written = spec.get("triggers")
    for index, fields in enumerate(written if isinstance(written, list) else []):
        metadata, unquoted = {}, {}
        node = _child(document, ("spec", "triggers", index, "metadata"))
        for key, value in _pairs(node):
            metadata[key] = str(value.value)
            if value.tag != "tag:yaml.org,2002:str":
                unquoted[key] = value.tag.rpartition(":")[2]
        yield TriggerEntry(index, _mapping(fields), metadata, unquoted)


def _walk(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int], duplicates: list[FieldPath]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in seen:
                duplicates.append(here)
            seen.add(key)
            lines[here] = key_node.start_mark.line + 1
            _walk(value, here, lines, duplicates)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, duplicates)


def _nearest(lines: Mapping[FieldPath, int], path: FieldPath) -> int | None:
    return next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), None)


def _child(node: yaml.Node | None, path: FieldPath) -> yaml.Node | None:
    for step in path:
        if isinstance(step, int):
            node = node.value[step] if isinstance(node, yaml.SequenceNode) else None
        else:
            node = dict(_pairs(node)).get(step)
    return node


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    return [(str(key.value), value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _authentication_parameters(document: Mapping[str, Any]) -> Iterator[str]:
    """Every `parameter:` anywhere below spec: secrets, environment, vaults … all name it the same way."""
    stack: list[Any] = [document.get("spec")]
    while stack:
        here = stack.pop()
        if isinstance(here, Mapping):
            if "parameter" in here:
                yield str(here["parameter"])
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)


def _name(document: Mapping[str, Any]) -> str:
    return str(_mapping(document.get("metadata")).get("name") or "unnamed")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default

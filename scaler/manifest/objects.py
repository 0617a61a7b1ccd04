"""What a Kubernetes file holds, as far as `headway` reads it: ScaledObjects, their triggers, authentications."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from scaler.manifest.nodes import Document, FieldPath, ManifestError, dotted_path, nearest_line, read_documents
from scaler.manifest.scalars import kind_of
from scaler.trigger.planned import reactive_half, reads_plan
from scaler.trigger.values import printable

EXTERNAL_TYPES = ("external", "external-push")

_SHORT = reprlib.Repr()
_YAML_NAMES = {dict: "mapping", list: "list", set: "set"}
Shape = TypeVar("Shape", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class TriggerEntry:
    """One element of `spec.triggers` as it is written."""

    index: int
    fields: Mapping[str, Any]
    metadata: Mapping[str, str]
    """every value as the text in the file, quoted or not"""
    unquoted: Mapping[str, str]
    """metadata that Kubernetes does not read as strings: key → what it reads"""

    @property
    def given(self) -> dict[str, str]:
        """The metadata as KEDA reads it: values trimmed, and a blank one counts as absent."""
        return {key: text.strip() for key, text in self.metadata.items() if text.strip()}

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
        return self.kind == "prometheus" and reads_plan(self.metadata.get("query", ""))

    @property
    def demand(self) -> "TriggerEntry | None":
        """This trigger with the demand itself as its query: of one that reads the plan, the half after `or`.

        None where it has no such half.
        """
        if not self.reads_plan:
            return self
        try:
            return replace(self, metadata={**self.metadata, "query": reactive_half(self.metadata["query"])})
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """One ScaledObject (or ScaledJob) of a file."""

    kind: str
    namespace: str
    name: str
    header: Mapping[str, Any]
    """the object's `metadata`"""
    spec: Mapping[str, Any]
    triggers: tuple[TriggerEntry, ...]
    lines: Mapping[FieldPath, int] = field(repr=False)
    duplicates: tuple[FieldPath, ...] = ()
    """keys written twice in one mapping: the last counts"""
    overridden: tuple[FieldPath, ...] = ()
    """keys written before a merge key that has them too: kubectl takes the merged value"""
    templated: tuple[FieldPath, ...] = ()
    """values with {{ … }}: a template that was not rendered"""

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Their values as YAML reads them; to Kubernetes, each must be a string."""
        return _mapping(self.header.get("annotations"))

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
    def min_replicas(self) -> int | None:
        """None where something else than a whole number is written."""
        return self.whole("minReplicaCount", 0)

    @property
    def max_replicas(self) -> int | None:
        """None where something else than a whole number is written."""
        return self.whole("maxReplicaCount", 100)

    def whole(self, key: str, default: int) -> int | None:
        """The whole number at spec.<key>, the default where nothing is written, None where it is something else."""
        written = self.spec.get(key)
        return default if written is None else whole_number(written)

    def section(self, *keys: str) -> Mapping[str, Any]:
        """The mapping at spec.<keys>, empty where it is absent or something else."""
        here: Any = self.spec
        for key in keys:
            here = here.get(key) if isinstance(here, Mapping) else None
        return here if isinstance(here, Mapping) else {}

    def line(self, path: FieldPath) -> int | None:
        """The line of the field, or of the nearest field around it that the file has."""
        return nearest_line(self.lines, path)


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
    for document in read_documents(text):
        kind = str(document.value.get("kind", ""))
        if kind in ("ScaledObject", "ScaledJob"):
            objects.append(_scaled_object(kind, document, default_namespace))
        elif kind in ("TriggerAuthentication", "ClusterTriggerAuthentication"):
            parameters[_name(document.value)] = frozenset(_authentication_parameters(document.value))
        else:
            skipped.append(kind or "a document without kind")
    return Manifest(tuple(objects), parameters, tuple(skipped))


def read_object(value: Mapping[str, Any]) -> ScaledObject:
    """One object as the API server sends it. Raises ManifestError where a value is of a wrong kind."""
    return _scaled_object("ScaledObject", Document(value, {}, {}, (), ()), "")


def whole_number(value: Any) -> int | None:
    """The value where it is a whole number; None for anything else, also for the text of one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _scaled_object(kind: str, document: Document, namespace: str) -> ScaledObject:
    _check_shapes(document)
    header = _mapping(document.value.get("metadata"))
    spec = _mapping(document.value.get("spec"))
    return ScaledObject(
        kind=kind,
        namespace=str(header.get("namespace") or namespace),
        name=_name(document.value),
        header=header,
        spec=spec,
        triggers=tuple(_triggers(spec, document)),
        lines=document.lines,
        duplicates=document.duplicates,
        overridden=document.overridden,
        templated=tuple(_templated(document.value, ())),
    )


def _check_shapes(document: Document) -> None:
    """Raises ManifestError where a value is not of the kind without which nothing below it can be read."""

    def checked(found: Any, kind: type[Shape], *path: str | int) -> Shape:
        if found is None or isinstance(found, kind):
            return found or kind()
        raise ManifestError(f"{_place(document, path)}={_SHORT.repr(found)}: must be a {_YAML_NAMES[kind]}")

    spec = checked(document.value.get("spec"), dict, "spec")
    for index, entry in enumerate(checked(spec.get("triggers"), list, "spec", "triggers")):
        trigger = checked(entry, dict, "spec", "triggers", index)
        path = ("spec", "triggers", index, "metadata")
        for key, value in checked(trigger.get("metadata"), dict, *path).items():
            if isinstance(value, dict | list | set):  # it may be a secret, and is not shown
                where = _place(document, (*path, key))
                raise ManifestError(f"{where}: must be a string, not a {_YAML_NAMES[type(value)]}")


def _place(document: Document, path: FieldPath) -> str:
    """Line and field; only the field where there are no lines."""
    line = nearest_line(document.lines, path)
    shown = printable(dotted_path(path))
    return shown if line is None else f"line {line}: {shown}"


def _triggers(spec: Mapping[str, Any], document: Document) -> Iterator[TriggerEntry]:
    for index, fields in enumerate(spec.get("triggers") or []):
        metadata, unquoted = {}, {}
        for key, value in _mapping(_mapping(fields).get("metadata")).items():
            text, scalar = document.texts.get(("spec", "triggers", index, "metadata", key), (value, value))
            metadata[key] = "" if scalar is None else str(text)
            if not isinstance(scalar, str):
                unquoted[key] = kind_of(scalar)
        yield TriggerEntry(index, _mapping(fields), metadata, unquoted)


def _templated(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, str) and "{{" in value and "}}" in value:
        yield path
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _templated(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _templated(below, (*path, index))


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

"""Rules on the type of each field, as the API server checks it before KEDA sees the object."""

import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import FieldPath, ScaledObject, dotted_path, plain_value, whole_number

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LARGEST_WHOLE = 2**31 - 1


class _Kind(NamedTuple):
    name: str
    fits: Callable[[Any], bool]


_WHOLE = _Kind("whole number", lambda value: abs(whole_number(value) or 0) <= _LARGEST_WHOLE and _is_whole(value))
_BOOLEAN = _Kind("boolean", lambda value: isinstance(value, bool))
_QUANTITY = _Kind("quantity in quotes", lambda value: isinstance(value, str) or _is_whole(value))
_TEXT = _Kind("string", lambda value: isinstance(value, str))
_MAPPING = _Kind("mapping", lambda value: isinstance(value, Mapping))
_LIST = _Kind("list", lambda value: isinstance(value, list))

_BEHAVIOR = "spec.advanced.horizontalPodAutoscalerConfig.behavior"
_DIRECTION = {
    "": _MAPPING,
    ".policies": _LIST,
    ".policies[]": _MAPPING,
    ".policies[].periodSeconds": _WHOLE,
    ".policies[].type": _TEXT,
    ".policies[].value": _WHOLE,
    ".selectPolicy": _TEXT,
    ".stabilizationWindowSeconds": _WHOLE,
    ".tolerance": _QUANTITY,
}
_FIELDS: Mapping[str, _Kind] = {
    "metadata.name": _TEXT,
    "metadata.namespace": _TEXT,
    "metadata.annotations": _MAPPING,
    "metadata.annotations.*": _TEXT,
    "metadata.labels": _MAPPING,
    "metadata.labels.*": _TEXT,
    "spec.cooldownPeriod": _WHOLE,
    "spec.idleReplicaCount": _WHOLE,
    "spec.initialCooldownPeriod": _WHOLE,
    "spec.maxReplicaCount": _WHOLE,
    "spec.minReplicaCount": _WHOLE,
    "spec.pollingInterval": _WHOLE,
    "spec.scaleTargetRef": _MAPPING,
    "spec.scaleTargetRef.*": _TEXT,
    "spec.fallback": _MAPPING,
    "spec.fallback.behavior": _TEXT,
    "spec.advanced": _MAPPING,
    "spec.advanced.restoreToOriginalReplicaCount": _BOOLEAN,
    "spec.advanced.scalingModifiers": _MAPPING,
    "spec.advanced.scalingModifiers.*": _TEXT,
    "spec.advanced.horizontalPodAutoscalerConfig": _MAPPING,
    "spec.advanced.horizontalPodAutoscalerConfig.name": _TEXT,
    _BEHAVIOR: _MAPPING,
    **{_BEHAVIOR + side + field: kind for side in (".scaleDown", ".scaleUp") for field, kind in _DIRECTION.items()},
    "spec.triggers[].authenticationRef": _MAPPING,
    "spec.triggers[].authenticationRef.*": _TEXT,
    "spec.triggers[].metricType": _TEXT,
    "spec.triggers[].name": _TEXT,
    "spec.triggers[].type": _TEXT,
    "spec.triggers[].useCachedMetrics": _BOOLEAN,
}
"""what check reads, below the document; the numbers of `fallback` have their own rule, metadata of triggers too"""


def field_types(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    document = {"metadata": scaled.header, "spec": scaled.spec}
    for pattern, kind in _FIELDS.items():
        for path, value in _matches(document, pattern.replace("[]", ".[]").split("."), ()):
            if value is not None and not kind.fits(value):
                name = dotted_path(path).removeprefix("spec.")
                text = f"{name}: {_SHORT.repr(value)} is no {kind.name}: the API server refuses the file."
                yield Finding(Level.ERROR, "field-type", text, _fix(name, value, kind), path)


def _matches(value: Any, steps: list[str], path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """Every field that the steps lead to. `[]` is each element of a list, `*` each value of a mapping."""
    if not steps:
        yield path, value
    elif steps[0] == "[]":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _matches(item, steps[1:], (*path, index))
    elif isinstance(value, Mapping):
        for key in value if steps[0] == "*" else value.keys() & {steps[0]}:
            yield from _matches(value[key], steps[1:], (*path, key))


def _fix(name: str, value: Any, kind: _Kind) -> str:
    key = name.rpartition(".")[2]
    meant = plain_value(value.strip()) if isinstance(value, str) else value
    if kind in (_TEXT, _QUANTITY) and isinstance(value, bool | int | float):
        return f'Write {key}: "{str(value).lower()}".'
    if kind in (_WHOLE, _BOOLEAN) and kind.fits(meant):
        return f"Write {key}: {str(meant).lower()}, without quotes."
    return f"Write a {kind.name}."


def _is_whole(value: Any) -> bool:
    return whole_number(value) is not None


def templates(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    if scaled.templated:
        text = "A value has {{ … }}, as in a Helm template that was not rendered: KEDA would get these very letters."
        fix = "Render it first: helm template CHART | headway check -"
        yield Finding(Level.ERROR, "template", text, fix, scaled.templated[0])

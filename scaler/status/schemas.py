"""JSON schemas (2020-12) of what the API takes and answers, in few words.

A record has exactly the keys that it names, so a test that compares answers with their schemas finds a key that is
missing here, and one that answers lack. A record with a title becomes a component of the OpenAPI document.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


def text(what: str = "", **more: Any) -> Schema:
    """A string. more: further keywords, as `pattern`."""
    return _described({"type": "string", **more}, what)


def real(what: str = "", **more: Any) -> Schema:
    """A number."""
    return _described({"type": "number", **more}, what)


def whole(what: str = "", **more: Any) -> Schema:
    """A whole number."""
    return _described({"type": "integer", **more}, what)


def flag(what: str = "") -> Schema:
    """True or false."""
    return _described({"type": "boolean"}, what)


def moment(what: str) -> Schema:
    """Seconds since the epoch."""
    return real(f"{what}, in seconds since the epoch")


def choice(values: tuple[str, ...], what: str = "", **more: Any) -> Schema:
    """One of a few words."""
    return _described({"type": "string", "enum": list(values), **more}, what)


def array(items: Schema, what: str = "") -> Schema:
    """A list of the same."""
    return _described({"type": "array", "items": items}, what)


def mapping(values: Schema, what: str = "") -> Schema:
    """An object whose keys are data."""
    return _described({"type": "object", "additionalProperties": values}, what)


def record(title: str, keys: Mapping[str, Schema], what: str = "", optional: tuple[str, ...] = ()) -> Schema:
    """An object with these keys and no others. title: empty for one that is part of another record."""
    found = {
        "type": "object",
        "properties": dict(keys),
        "required": [name for name in keys if name not in optional],
        "additionalProperties": False,
    }
    return _described({"title": title, **found} if title else found, what)


def nullable(schema: Schema, what: str = "") -> Schema:
    """The same, or null where it is not known."""
    if "enum" in schema or "properties" in schema:
        return _described({"anyOf": [schema, {"type": "null"}]}, what)
    return _described({**schema, "type": [schema["type"], "null"]}, what)


def _described(schema: Schema, what: str) -> Schema:
    return {**schema, "description": what} if what else schema


PROBLEM_TYPE = "application/problem+json"
FAULT = record(
    "Fault",
    {
        "field": text("which parameter or field"),
        "value": text("what it was; a long one is shortened"),
        "rule": text("what it must be"),
    },
    "one fault of the request",
)
PROBLEM = record(
    "Problem",
    {
        "type": text("a URI of the kind of problem; about:blank where the status says it all"),
        "title": text("the status in words"),
        "status": whole("the status of the response", minimum=400, maximum=599),
        "detail": text("all faults in one sentence"),
        "errors": array(FAULT, "the faults, one by one"),
    },
    "problem details as RFC 9457 has them, and the faults one by one",
)
NEXT = nullable(text(), "the `after` of the following page; null on the last")
AT = moment("when it was answered")

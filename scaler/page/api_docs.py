"""The page of the API: each path with its parameters, the keys of its answer, and what it refuses."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused
from scaler.status.described import ApiPath, Parameter
from scaler.status.openapi import OF_ALL_PATHS, WHY, refusals_of
from scaler.status.parameters import unknown
from scaler.status.routes import API
from scaler.status.schemas import PROBLEM, Schema
from scaler.status.shown import Shown


async def api_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """All paths as they are declared."""
    faults: list[Fault] = unknown(request.query_params, ())
    if faults:
        raise Refused(faults)
    return {
        "paths": [_shown(one) for one, _ in API],
        "problem": list(fields(PROBLEM)),
        "of_all": [(status, WHY[status]) for status in OF_ALL_PATHS],
    }


def _shown(one: ApiPath) -> Mapping[str, Any]:
    return {
        "method": one.method,
        "path": one.path,
        "id": "-".join([one.method.lower(), *one.path.strip("/").replace("{", "").replace("}", "").split("/")]),
        "summary": one.summary,
        "parameters": [_parameter(parameter) for parameter in one.all_parameters],
        "body": None if one.body is None else ", ".join(one.body),
        "keys": list(fields(one.answer)),
        "refusals": [(status, WHY[status]) for status in refusals_of(one) if status not in OF_ALL_PATHS],
        "keeps": one.keeps,
    }


def _parameter(one: Parameter) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "where": "path" if one.is_in_path else "query",
        "kind": kind(one.schema),
        "default": one.schema.get("default"),
        "what": one.schema.get("description", ""),
    }


def fields(schema: Schema, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, kind and meaning of each key, those of parts as `part.key`, those of lists as `list[].key`."""
    for name, one in schema.get("properties", {}).items():
        path = f"{above}.{name}" if above else name
        yield path, kind(one), one.get("description", "")
        yield from _parts(one, path)


def _parts(schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    for one in schema.get("anyOf", ()):
        yield from _parts(one, path)
    if "items" in schema:
        yield from _parts(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _parts(schema["additionalProperties"], f"{path}.*")
    yield from fields(schema, path)


def kind(schema: Schema) -> str:
    """`whole number from 1 to 500`, `text or null`"""
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(one for one in schema["enum"] if one)
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_named(name, schema) for name in names)


def _named(name: str, schema: Schema) -> str:
    if name == "array":
        return f"list of {kind(schema['items'])}"
    text = {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(name, name)
    if "minimum" in schema and name in ("integer", "number"):
        return f"{text} from {schema['minimum']} to {schema['maximum']}"
    return text

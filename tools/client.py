"""The typed client of the HTTP API, made from its OpenAPI document: records as TypedDicts, a method for each path."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any, TypeAlias

from scaler.status.openapi import document
from scaler.status.routes import API

PATH = "scaler/client/api.py"
HEAD = '''"""The paths of the HTTP API, each as a method, and the records that they answer.

Written by `make docs` from the declarations in scaler/status. Do not edit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict, cast
from urllib.parse import quote

from scaler.client.session import Session
'''
CLIENT = '''class Client(Session):
    """A running scaler. All methods raise NoAnswer and ApiProblem."""
'''
PLAIN: Mapping[str, str] = {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"}
PREFIX = "/api/v1/"
INDENTED: Mapping[str, Any] = {"initial_indent": "        ", "subsequent_indent": "        "}
Json: TypeAlias = Mapping[str, Any]


def client_module() -> str:
    """The module as text, formatted."""
    found = document(path for path, _ in API)
    records = [_typed_dict(name, schema) for name, schema in found["components"]["schemas"].items()]
    methods = [_method(path, way, one) for path, ways in found["paths"].items() for way, one in ways.items()]
    return _formatted("\n\n".join([HEAD, *records, CLIENT + "\n".join(methods)]))


def type_of(schema: Json) -> str:
    """The Python type of a value that has this schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(map(type_of, schema["anyOf"]))
    if "enum" in schema:
        return f"Literal[{', '.join(repr(str(one)) for one in schema['enum'])}]"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": one}) for one in kind)
    if kind == "array":
        return f"list[{type_of(schema['items'])}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {type_of(values) if isinstance(values, dict) else 'Any'}]"
    return PLAIN.get(str(kind), "Any")


def _typed_dict(name: str, schema: Json) -> str:
    """By call and not as a class: some keys are no identifiers."""
    keys = schema["properties"]
    types = {key: _value_type(one, key in schema["required"]) for key, one in keys.items()}
    if not all(key.isidentifier() for key in keys):
        return f"{name} = TypedDict({name!r}, {{{', '.join(f'{key!r}: {kind!r}' for key, kind in types.items())}}})"
    return "\n    ".join([f"class {name}(TypedDict):", *(f"{key}: {kind}" for key, kind in types.items())])


def _value_type(schema: Json, is_required: bool) -> str:
    return type_of(schema) if is_required else f"NotRequired[{type_of(schema)}]"


def _method(path: str, way: str, one: Json) -> str:
    """What is in the path is given by position, the parameters of the query by name."""
    in_path = [parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"]
    query = {parameter["name"]: parameter["schema"] for parameter in one["parameters"] if parameter["in"] == "query"}
    body = one.get("requestBody", {}).get("content", {})
    given = [*(f"{name}: str" for name in in_path), *(f"body: {type_of(kind['schema'])}" for kind in body.values())]
    named = [f"{name}: {type_of(schema)} | None = None" for name, schema in query.items()]
    answer = type_of(one["responses"]["200"]["content"]["application/json"]["schema"])
    head = ", ".join(["self", *given, *(["*", *named] if named else [])])
    asked = ", ".join([f'"{way.upper()}"', _place(path), _dict(query), *_sent(body)])
    return "\n".join(
        [
            f"    def {_name(path, in_path)}({head}) -> {answer}:",
            *wrap(f'"""{one["summary"][:1].upper()}{one["summary"][1:]}."""', 118, **INDENTED),
            f"        return cast({answer!r}, self.ask({asked}))",
            "",
        ]
    )


def _place(path: str) -> str:
    place = re.sub(r"\{(\w+)\}", r"{quote(\1, safe='')}", path)
    return f'f"{place}"' if place != path else f'"{place}"'


def _dict(names: Json) -> str:
    return "{" + ", ".join(f'"{name}": {name}' for name in names) + "}"


def _sent(body: Json) -> list[str]:
    """An object goes as JSON, a text as bytes of its own type."""
    return [f'body.encode(), "{kind}"' if "yaml" in kind else "body" for kind in body]


def _name(path: str, in_path: Sequence[str]) -> str:
    """`plans` and, of one ScaledObject, `plans_of`."""
    words = re.sub(r"/\{\w+\}", "", path.removeprefix(PREFIX))
    return re.sub(r"\W", "_", words).removesuffix("_json") + ("_of" if in_path else "")


def _formatted(text: str) -> str:
    for command in (("check", "--fix", "--exit-zero", "--silent", "--select", "F401,I"), ("format", "--silent")):
        whole = [sys.executable, "-m", "ruff", *command, f"--stdin-filename={PATH}", "-"]
        text = subprocess.run(whole, input=text, capture_output=True, text=True, check=True).stdout
    return text


PAGES: dict[str, Callable[[], str]] = {PATH: client_module}

"""The OpenAPI document of the API, out of the declarations of its paths. Pure.

Records with a title become components, once each.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from scaler import __version__
from scaler.status.described import ApiPath, Parameter
from scaler.status.schemas import PROBLEM, PROBLEM_TYPE, Schema

OF_ALL_PATHS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
WHY: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "a parameter is unknown, or breaks its rule",
    HTTPStatus.UNAUTHORIZED: "`http-token-file` is set, and the request has no token, or a wrong one",
    HTTPStatus.FORBIDDEN: "`http-tls` is `mtls`, and the client has no certificate; or it may not change anything",
    HTTPStatus.NOT_FOUND: "there is no such thing here",
    HTTPStatus.REQUEST_TIMEOUT: "the body takes too long to arrive",
    HTTPStatus.CONFLICT: "a rule of the registry of models, or a bundle that cannot be used; nothing has changed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body must be of another type",
    HTTPStatus.MISDIRECTED_REQUEST: "the name in the Host header is not in `http-allowed-hosts`",
    HTTPStatus.TOO_MANY_REQUESTS: "the client has as many connections, or texts that wait, as it may",
    HTTPStatus.INTERNAL_SERVER_ERROR: "a fault of Headway; the log has it at the request's id",
    HTTPStatus.SERVICE_UNAVAILABLE: "the database is not there, does not answer, or is still read after a start",
}


def document(described: Iterable[ApiPath]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    components: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for one in described:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, components)
    refusals = {status.phrase.replace(" ", ""): _refusal(status, components) for status in WHY}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headway",
            "version": __version__,
            "description": "What Headway sees, plans and was worth. A POST changes something, if `http-writes` is on.",
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": refusals,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def refusals_of(one: ApiPath) -> Sequence[HTTPStatus]:
    """All statuses with which the path may refuse a request, in order."""
    return sorted({HTTPStatus.BAD_REQUEST, *one.refusals, *OF_ALL_PATHS})


def _operation(one: ApiPath, components: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": one.summary, **_content("application/json", one.answer, components)}
    }
    if one.keeps:
        responses["200"]["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "for If-None-Match"}}
        responses["304"] = {"description": "the answer is the one that If-None-Match names"}
    for status in refusals_of(one):
        responses[str(status.value)] = {"$ref": f"#/components/responses/{status.phrase.replace(' ', '')}"}
    found: dict[str, Any] = {
        "operationId": _operation_id(one),
        "summary": one.summary,
        "parameters": [_parameter(parameter, components) for parameter in one.all_parameters],
        "responses": responses,
    }
    if one.body is not None:
        content = {kind: {"schema": _hoisted(schema, components)} for kind, schema in one.body.items()}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _operation_id(one: ApiPath) -> str:
    words = one.path.removeprefix("/api/v1/").replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([one.method.lower(), *words])


def _parameter(one: Parameter, components: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in one.schema.items() if key != "description"}
    return {
        "name": one.name,
        "in": "path" if one.is_in_path else "query",
        "required": one.is_in_path,
        "description": one.schema.get("description", ""),
        "schema": _hoisted(schema, components),
    }


def _refusal(status: HTTPStatus, components: dict[str, Any]) -> dict[str, Any]:
    return {"description": WHY[status], **_content(PROBLEM_TYPE, PROBLEM, components)}


def _content(kind: str, schema: Schema, components: dict[str, Any]) -> dict[str, Any]:
    return {"content": {kind: {"schema": _hoisted(schema, components)}}}


def _hoisted(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with a reference in the place of each record that has a title. Raises ValueError where two records
    have the same one."""
    if isinstance(schema, list):
        return [_hoisted(one, components) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _hoisted(value, components) for key, value in schema.items()}
    title = schema.get("title")
    if not isinstance(title, str):
        return found
    what = found.pop("description", None)
    if components.setdefault(title, found) != found:
        raise ValueError(f"two records are called {title}")
    reference = {"$ref": f"#/components/schemas/{title}"}
    return reference if what is None else {**reference, "description": what}

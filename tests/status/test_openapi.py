"""The description of the API: it is what the routes are made from, and real answers fit it."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator
from starlette.routing import Route

from scaler.page.trying import EXAMPLE
from scaler.status.application import RequestIds
from scaler.status.described import ApiPath
from scaler.status.openapi import document
from scaler.status.routes import API, PATHS, StatusRoutes, openapi_document
from scaler.status.schemas import record, text
from scaler.status.shown import Shown
from scaler.telemetry.metrics import Telemetry
from tests.status.everything import READS, everything

DESCRIBED = {one.path: one for one, _ in API}
DOCS = Path(__file__).parents[2] / "docs" / "api.md"
KINDS = {"application/json", "application/problem+json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = RequestIds(StatusRoutes(everything(READS)).app())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://headway") as found:
        yield found


def schema_of(one: ApiPath, status: int, kind: str) -> dict[str, Any]:
    """What the document says of an answer, with the components that it refers to."""
    found = openapi_document()
    response = found["paths"][one.path][one.method.lower()]["responses"][str(status)]
    if "$ref" in response:
        response = found["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema: dict[str, Any] = response["content"][kind]["schema"]
    return schema | {"components": found["components"]}


def check(one: ApiPath, answer: httpx.Response) -> None:
    kind = answer.headers["content-type"]
    assert kind in KINDS
    jsonschema.validate(answer.json(), schema_of(one, answer.status_code, kind), cls=Draft202012Validator)


def address(one: ApiPath, name: str = "web") -> str:
    return one.path.replace("{namespace}", "shop").replace("{name}", name).replace("{model}", "own@2")


def test_the_document_is_openapi() -> None:
    """All schemas in it are schemas, all references lead somewhere, and no operation has the id of another."""
    found = openapi_document()
    assert found["openapi"] == "3.1.0"
    operations = [one for path in found["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) == len(API)
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in references(found):
        at: Any = found
        for key in reference.removeprefix("#/").split("/"):
            at = at[key]


def references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        yield from (one for key, one in found.items() if key == "$ref")
        for one in found.values():
            yield from references(one)
    if isinstance(found, list):
        for one in found:
            yield from references(one)


def test_every_route_is_described() -> None:
    """No path of the API is served that the document lacks, and none is described that is not served."""
    shown = Shown(everything(READS).registry, Telemetry(), dict, lambda key: None)
    served = {one.path for one in StatusRoutes(shown).app().routes if isinstance(one, Route)}
    assert {path for path in served if path.startswith("/api/")} == set(openapi_document()["paths"]) == set(DESCRIBED)
    assert served <= {*PATHS}


def test_every_path_is_in_the_documentation() -> None:
    """docs/api.md has a row for each path, and names each of its parameters."""
    text_of = DOCS.read_text()
    words = {"{namespace}": "NAMESPACE", "{name}": "NAME", "{model}": "NAME@VERSION"}
    rows = {path: f"`{re.sub('{.*?}', lambda found: words[found[0]], path)}`" for path in DESCRIBED}
    assert [path for path, row in rows.items() if f"| {row} |" not in text_of] == []
    parameters = {name for one in DESCRIBED.values() for name in one.names}
    assert [name for name in parameters if f"`{name}`" not in text_of] == []


@pytest.mark.parametrize("one", DESCRIBED.values(), ids=DESCRIBED)
@pytest.mark.parametrize("name", ["web", "new", "dead"])
async def test_answers_fit_their_schemas(client: httpx.AsyncClient, one: ApiPath, name: str) -> None:
    """A key that is not described is a fault, and so is one that is described and lacking."""
    if one.method != "GET":
        return
    answer = await client.get(address(one, name))
    assert answer.status_code == 200
    check(one, answer)


@pytest.mark.parametrize("one", DESCRIBED.values(), ids=DESCRIBED)
async def test_refusals_fit_their_schema(client: httpx.AsyncClient, one: ApiPath) -> None:
    """An unknown parameter and an unknown object are problem details, with the faults one by one."""
    answer = await client.request(one.method, address(one) + "?nonsense=1")
    assert answer.status_code == 400
    check(one, answer)
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Bad Request", 400)
    assert problem["errors"][0]["field"] == "nonsense"
    assert problem["errors"][0]["rule"] in problem["detail"]
    if "{name}" in one.path:
        answer = await client.get(address(one, "nobody"))
        assert answer.status_code == 404
        check(one, answer)


PARAMETERS = [(one, parameter) for one in DESCRIBED.values() for parameter in one.parameters]


@pytest.mark.parametrize(("one", "parameter"), PARAMETERS, ids=[f"{a.path}?{b.name}" for a, b in PARAMETERS])
async def test_parameters_have_the_bounds_that_are_described(client: httpx.AsyncClient, one: Any, parameter: Any):
    """What lies within them is taken, and what lies beyond is refused with the parameter's name."""
    schema = parameter.schema

    async def fields_refused(value: Any) -> list[str]:
        answer = await client.get(address(one), params={parameter.name: value})
        return [fault["field"] for fault in answer.json().get("errors", [])]

    if schema["type"] == "integer":
        good, bad = [schema["minimum"], schema["maximum"]], [schema["minimum"] - 1, schema["maximum"] + 1, "1.5"]
    elif "enum" in schema:
        good, bad = schema["enum"], ["nonsense"]
    elif "pattern" in schema:
        good, bad = ["02:31", "2h", "2027-01-15T02:31", "1799999000"], ["yesterday"]
    else:
        good, bad = [], []
    assert [value for value in good if await fields_refused(value) == [parameter.name]] == []
    assert [value for value in bad if await fields_refused(value) != [parameter.name]] == []


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """304 for the version that the caller has, whether it names others, too; the answer's time makes no difference."""
    for one in (one for one in DESCRIBED.values() if one.keeps):
        answer = await client.get(address(one))
        tag = answer.headers["etag"]
        for held in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = await client.get(address(one), headers={"If-None-Match": held})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert (await client.get(address(one), headers={"If-None-Match": '"other"'})).status_code == 200


async def test_another_method_is_refused_with_the_one_that_is_taken(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/v1/plans")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.headers["content-type"] == "application/problem+json"


def test_two_records_of_one_title_are_refused() -> None:
    """Else one of them would be described as the other."""
    records = [ApiPath(f"/{key}", "", record("Same", {key: text()})) for key in "ab"]
    with pytest.raises(ValueError, match="Same"):
        document(records)


async def test_a_scaled_object_is_checked(client: httpx.AsyncClient) -> None:
    """The answer fits its schema, with faults and with a watched trigger; refusals do, too."""
    one = DESCRIBED["/api/v1/check"]
    for manifest in (EXAMPLE, EXAMPLE.replace('"100"', "many"), EXAMPLE.replace("sum(rate(", "sum(web) #")):
        answer = await client.post(one.path, content=manifest)
        assert answer.status_code == 200
        check(one, answer)
    for manifest, status in (("a: [", 400), ("kind: Pod", 400), (f"{EXAMPLE}---\n" * 21, 400), ("#" * 65_537, 413)):
        answer = await client.post(one.path, content=manifest)
        assert answer.status_code == status
        check(one, answer)

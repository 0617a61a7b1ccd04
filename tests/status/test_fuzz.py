"""Requests that nobody would make, out of the API's own description, at a real port: no internal error, and every
answer fits what is described."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scaler.status.routes import API
from tests.page.site import site
from tests.status.everything import READS, Watched, everything

CASES = 12
"""of each path, as described; and as many that break the description"""
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
DESCRIBED = [one for one, _ in API]
ASKED = [(one.method, one.path, GenerationMode.POSITIVE) for one in DESCRIBED] + [
    (one.method, one.path, GenerationMode.NEGATIVE) for one in DESCRIBED if one.parameters or one.body
]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with site(lambda: everything(READS).registry, READS, Watched()) as address:
        yield address


@pytest.mark.parametrize(("method", "path", "mode"), ASKED)
def test_answers_to_anything_are_as_described(port: str, method: str, path: str, mode: GenerationMode) -> None:
    """Parameters within their bounds, and ones that break them, in the path and in the query."""
    operation = schemathesis.openapi.from_url(f"{port}/api/v1/openapi.json")[path][method]

    @settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()

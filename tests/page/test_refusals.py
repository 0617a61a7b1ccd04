"""Requests that nothing can be done with: a page for browsers, JSON for programs, and the right status code."""

from collections.abc import Iterator
from http.client import HTTPConnection

import httpx
import pytest
from starlette.requests import Request
from starlette.routing import Route

from scaler.page.routes import all_pages
from scaler.status import requests
from scaler.status.application import Pages
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.telemetry.metrics import Telemetry
from tests.page.site import site
from tests.status.registry import NOW, filled_registry

BROWSER, PROGRAM = {"Accept": "text/html,*/*;q=0.8"}, {"Accept": "application/json"}
KINDS = {"/try": "application/x-www-form-urlencoded", "/api/v1/check": "application/yaml"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site() as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/workload/shop", 404, "there is no page at this path"),
        ("GET", "/work%0Aload", 404, "there is no page at this path"),
        ("POST", "/nowhere", 404, "there is no page at this path"),
        ("POST", "/workloads/shop/web", 405, "this path takes GET"),
        ("DELETE", "/system", 405, "this path takes GET"),
    ],
)
def test_a_browser_gets_a_page(address: str, method: str, path: str, status: int, text: str) -> None:
    shown = httpx.request(method, address + path, headers=BROWSER)
    assert (shown.status_code, text in shown.text) == (status, True)
    assert shown.headers["content-type"].startswith("text/html")
    assert ("GET" in shown.headers.get("allow", "")) == (status == 405)
    told = httpx.request(method, address + path, headers=PROGRAM)
    assert (told.status_code, told.headers["content-type"]) == (status, "application/problem+json")


async def test_a_fault_of_headway_is_a_page_for_browsers_too() -> None:
    async def broken(_: Request) -> None:
        raise LookupError

    shown = Shown(filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW)
    api = StatusRoutes(shown)
    pages = all_pages(shown, api)
    app = api.app(Pages([Route("/broken", broken), *pages.routes], pages.fault))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://headway") as client:
        browser, program = await client.get("/broken", headers=BROWSER), await client.get("/broken", headers=PROGRAM)
    assert (browser.status_code, program.status_code) == (500, 500)
    assert ("<h1" in browser.text, "internal error" in browser.text) == (True, True)
    assert program.json()["errors"][0]["rule"].startswith("internal error")


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere"}])
def test_texts_of_other_sites_are_not_tried(address: str, path: str, headers: dict[str, str]) -> None:
    found = httpx.post(address + path, content=b"", headers={**headers, "Content-Type": KINDS[path]})
    assert (found.status_code, "must be this port itself" in found.text) == (403, True)


def test_a_form_has_few_fields(address: str) -> None:
    found = httpx.post(f"{address}/try", data={str(n): "" for n in range(requests.MOST_FIELDS + 1)})
    assert (found.status_code, f"at most {requests.MOST_FIELDS} fields" in found.text) == (400, True)


@pytest.mark.parametrize("path", KINDS)
def test_a_body_that_does_not_arrive_is_not_waited_for(
    address: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "READ_SECONDS", 0.2)

    connection = HTTPConnection(address.partition("//")[2], timeout=20)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", KINDS[path])
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"manifest=")
    found = connection.getresponse()
    assert (found.status, found.headers["connection"], "must arrive within" in found.read().decode()) == (
        408,
        "close",
        True,
    )
    connection.close()

"""A browser and a site for the tests of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.page.site import site
from tests.servers.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site() as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh tab. Errors in its console fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=address)
    tab = context.new_page()
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    yield tab
    context.close()
    assert faults == []

"""What is shown is loaded again while the page is open."""

import pytest
from playwright.sync_api import Browser, Page, expect

from scaler.registry import Registry
from tests.page.site import site
from tests.status.registry import NOW, filled_registry

pytestmark = pytest.mark.server
METADATA = {"query": "sum(later)", "threshold": "10"}


def test_rows_are_exchanged(page: Page) -> None:
    registry: Registry = filled_registry()
    page.clock.install()
    with site(lambda: registry) as address:
        page.goto(address)
        expect(page.get_by_role("row")).to_have_count(4)
        registry.register("shop", "later", METADATA, NOW)
        page.clock.fast_forward(16_000)
        expect(page.get_by_role("row")).to_have_count(5)
        expect(page.locator("time").first).not_to_contain_text("UTC")


def test_a_field_in_use_stays(page: Page) -> None:
    registry = filled_registry()
    page.clock.install()
    with site(lambda: registry) as address:
        page.goto(address)
        page.get_by_role("link", name="shop/web").focus()
        registry.register("shop", "later", METADATA, NOW)
        with page.expect_response(f"{address}/"):
            page.clock.fast_forward(16_000)
        expect(page.get_by_role("row")).to_have_count(4)


def test_a_scaler_that_is_gone_is_said(browser: Browser) -> None:
    tab = browser.new_page()
    tab.clock.install()
    with site() as address:
        tab.goto(address)
        expect(tab.get_by_role("row")).to_have_count(4)
    tab.clock.fast_forward(16_000)
    expect(tab.locator("#as-of.stale")).to_have_count(1)
    tab.close()

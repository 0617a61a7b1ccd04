"""The first page in a real browser, over 1,000 triggers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from scaler.registry import Registry
from scaler.series import Observation, Outlook
from scaler.trigger import TriggerRules
from tests.page.looks import check_looks
from tests.page.site import site
from tests.status.registry import NOW, forecast

pytestmark = pytest.mark.server

COUNT, ROWS = 1000, 50


def many() -> Registry:
    """shop/app-0000 to shop/app-0999; the demand of each is larger than that of the one before."""
    registry, expected = Registry(TriggerRules("http://prometheus:9090"), 15.0), forecast()
    for number in range(COUNT):
        metadata = {"query": f"sum(app_{number})", "threshold": "10", "scalerAddress": "headway:50051"}
        key = registry.register("shop", f"app-{number:04}", metadata, NOW).trigger.key
        registry.receive(key, Outlook(NOW, Observation(NOW - 5, 20.0 + number, 50.0, 80.0), expected), NOW)
    return registry


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(many) as found:
        yield found


def names(page: Page) -> list[str]:
    """Of the rows of the page, in their order."""
    return page.locator("tbody th").all_inner_texts()


def numbered(first: int, count: int, step: int = 1) -> list[str]:
    return [f"shop/app-{first + step * place:04}" for place in range(count)]


def test_one_page_of_rows_is_shown_and_the_next_is_a_link_away(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Workloads 1,000")
    assert names(page) == numbered(0, ROWS)
    expect(page.get_by_text("Page 1 of 20")).to_be_visible()
    expect(page.get_by_role("link", name="Previous")).to_have_count(0)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 20")).to_be_visible()
    assert names(page) == numbered(ROWS, ROWS)
    page.goto("/?page=20")
    assert names(page) == numbered(COUNT - ROWS, ROWS)
    expect(page.get_by_role("link", name="Next")).to_have_count(0)


def test_a_search_leaves_what_fits_and_pages_keep_it(page: Page) -> None:
    page.goto("/?page=3")
    page.get_by_role("searchbox").fill("APP-07")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Workloads 100 of 1,000")
    assert names(page) == numbered(700, ROWS)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    assert names(page) == numbered(750, ROWS)
    page.get_by_role("searchbox").fill("nobody")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("No workload fits.")).to_be_visible()


def test_the_keyboard_sorts(page: Page) -> None:
    """Enter on a heading sorts all triggers by it; once more, the other way round; the next page goes on."""
    page.goto("/")
    heading = page.get_by_role("columnheader", name="Demand")
    heading.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert names(page) == numbered(COUNT - 1, ROWS, -1)
    heading.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert names(page) == numbered(0, ROWS)
    page.get_by_role("link", name="Next").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Page 2 of 20")).to_be_visible()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert names(page) == numbered(ROWS, ROWS)


def test_the_keyboard_reaches_the_first_row(page: Page) -> None:
    page.goto("/?sort=demand")
    page.get_by_role("link", name="shop/app-0999").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("app-0999")


def test_a_full_page_looks_well(page: Page) -> None:
    check_looks(page, "/?sort=saved_replica_hours&page=20")

"""The page of the system."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.page.looks import check_looks
from tests.page.site import site
from tests.status.everything import READS, Watched, everything, telemetry

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(lambda: everything(READS).registry, READS, Watched(), telemetry) as found:
        yield found


def test_all_that_the_process_works_with_is_shown(page: Page) -> None:
    page.goto("/system")
    row = page.get_by_role("row")
    expect(row.filter(has_text="here-1")).to_contain_text("this one")
    expect(row.filter(has_text="there-2")).to_contain_text("5")
    expect(row.filter(has_text="prometheus:9090")).to_contain_text("open")
    expect(row.filter(has_text="prometheus:9090")).to_contain_text("SourceUnavailable 3")
    expect(row.filter(has_text="thanos:9090")).to_contain_text("closed")
    expect(row.filter(has_text="own@3")).to_contain_text("4 levels, not 8")
    expect(row.filter(has_text="max-triggers")).to_contain_text("10,000")
    expect(row.filter(has_text="source_new")).to_contain_text("4")
    expect(row.filter(has_text="forbidden")).to_contain_text("not watched")
    figures = page.locator(".figures")
    expect(figures).to_contain_text("2 of 7")
    expect(figures).to_contain_text("3 s ago")
    expect(figures).to_contain_text("Redis down")
    expect(page.get_by_text("no answer in time")).to_be_visible()


def test_the_page_looks_well(page: Page) -> None:
    check_looks(page, "/system")


def test_a_process_that_knows_nothing_yet_says_so(page: Page) -> None:
    with site() as empty:
        page.goto(f"{empty}/system")
        expect(page.get_by_text("cache and store are being opened")).to_be_visible()
        expect(page.get_by_text("None was asked yet.")).to_be_visible()

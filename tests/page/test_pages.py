"""Pages in a real browser: what they show, and that charts are drawn."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.server

INKED = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let inked = 0;
    for (let at = 3; at < data.length; at += 4) inked += data[at] > 0;
    return inked / (data.length / 4);
}"""
"""the share of pixels that something was drawn on"""


def test_all_workloads_are_listed(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Workloads 3")
    row = page.get_by_role("row").filter(has_text="shop/web")
    expect(row).to_contain_text("42.5")
    expect(row.locator("svg.spark polyline")).to_have_count(3)
    expect(page.get_by_role("row").filter(has_text="shop/dead")).to_contain_text("no answer")


def test_a_search_and_a_sort_find_a_workload(page: Page) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill("EW")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto("/?sort=demand")
    expect(page.get_by_role("row").nth(1)).to_contain_text("shop/new")  # equal demand: in the order of keys
    expect(page.get_by_role("columnheader", name="Demand")).to_have_attribute("aria-sort", "descending")


def test_the_time_line_of_a_workload_is_drawn(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="shop/web").click()
    expect(page.locator("[data-drawn=true]")).to_have_count(2)
    assert page.locator("canvas").first.evaluate(INKED) > 0.02
    expect(page.get_by_text(re.compile("p90 by seasonal@1"))).to_be_visible()


def test_an_unknown_workload_is_a_page_that_says_so(page: Page) -> None:
    answer = page.request.get("/workloads/shop/nobody")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "KEDA has not called for it" in answer.text()


def test_an_unknown_path_is_a_page_for_browsers_and_json_for_programs(page: Page, address: str) -> None:
    shown = page.request.get(f"{address}/workload/shop", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (shown.status, "there is no page at this path" in shown.text()) == (404, True)
    for path, accept in (("/api/v1/trigger", "text/html"), ("/workload/shop", "application/json")):
        told = page.request.get(f"{address}{path}", headers={"Accept": accept})
        assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")

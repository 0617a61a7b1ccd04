"""The page on which a ScaledObject is tried."""

import pytest
from playwright.sync_api import Page, expect

from scaler.page.trying import EXAMPLE
from tests.page.looks import check_looks

pytestmark = pytest.mark.server


def test_findings_settings_and_the_plan_of_the_same_query_are_shown(page: Page) -> None:
    page.goto("/try")
    expect(page.get_by_role("textbox")).to_have_value(EXAMPLE)
    watched = EXAMPLE.replace('sum(rate(http_requests_total{app="web"}[1m]))', "sum(web)").replace("50", "none", 1)
    page.get_by_role("textbox").fill(watched)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("(field-type)")).to_be_visible()
    expect(page.get_by_text("The same query is watched for shop/web")).to_contain_text("demand is 42.5")
    chart = page.get_by_role("img", name="Demand of the last day")
    expect(chart.locator("polyline")).to_have_count(2)
    expect(page.get_by_text("The last 24 hours of this query")).to_contain_text("differs in leadTime")
    page.get_by_text("Settings, with defaults").click()
    expect(page.get_by_role("row").filter(has_text="lead_time_seconds")).to_contain_text("90")
    expect(page.get_by_role("row").filter(has_text="policy")).to_contain_text("balanced")


def test_faults_are_named_and_escaped(page: Page) -> None:
    page.goto("/try")
    page.get_by_role("textbox").fill(EXAMPLE.replace('"100"', "<b>many</b>"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("threshold=<b>many</b>").first).to_be_visible()
    page.get_by_role("textbox").fill("a: [")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("alert")).to_contain_text("line")


@pytest.mark.parametrize("size", [70_000, 400_000])
def test_what_is_too_large_is_refused_by_a_page(page: Page, size: int) -> None:
    answer = page.request.post("/try", form={"manifest": "a" * size})
    assert (answer.status, "at most 64 kB" in answer.text()) == (413, True)
    assert answer.headers["content-type"].startswith("text/html")


def test_the_page_looks_well(page: Page) -> None:
    check_looks(page, "/try")

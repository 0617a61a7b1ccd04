"""What the page of a workload says of moments: links that stay true, and since when a list knows."""

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from scaler.page.workload_sections import CHANGES_IN
from tests.page.kept import Kept, past_plan
from tests.page.site import site
from tests.status.registry import NOW

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(reads=Kept([past_plan(5), past_plan(85), past_plan(405, model="old@1")]).reads()) as found:
        yield found


@pytest.mark.parametrize(
    ("at", "moment"),
    [("1h", NOW - 3600), ("07:59", NOW - 60), ("2027-01-15T07:00", NOW - 3600), ("2027-01-15T07:00:00Z", NOW - 3600)],
)
def test_a_link_to_a_moment_names_it_for_good(page: Page, at: str, moment: float) -> None:
    """Other parameters and the anchor stay; a page of a moment itself moves nowhere."""
    page.goto(f"/workloads/shop/web?days=7&at={at}&lead=5#then")
    found = urlsplit(page.url)
    assert parse_qs(found.query) == {"days": ["7"], "lead": ["5"], "at": [f"{moment:.0f}"]}
    assert found.fragment == "then"
    assert page.request.get(page.url, max_redirects=0).status == 200


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/workloads/shop/web?at=yesterday&days=7&what=1", "?days=7"),
        ("/?sort=size&q=web", "?q=web"),
        ("/savings?days=8", "?"),
        ("/events?days=x&namespace=shop", "?namespace=shop"),
        ("/models?page=0", "?"),
        ("/system?what=%3Cscript%3E", "?"),
    ],
)
def test_a_wrong_parameter_leads_back_to_the_page_without_it(page: Page, path: str, right: str) -> None:
    answer = page.request.get(path)
    assert answer.status == 400
    found = re.search(r'href="([^"]*)">The same page without', answer.text())
    assert found is not None
    assert html.unescape(found[1]) == right
    assert page.request.get(path.partition("?")[0] + right).status != 400


def test_a_path_that_is_wrong_has_no_such_link(page: Page) -> None:
    assert "The same page" not in page.request.get("/workloads/shop/nobody?days=7").text()


def test_the_hint_names_the_zone_and_a_moment_that_has_passed(page: Page) -> None:
    page.goto("/workloads/shop/web")
    expect(page.locator("#moment")).to_contain_text(
        "In UTC: a time of the day (08:00), an ISO 8601 time (2027-01-14T08:00)"
    )


def test_the_table_of_a_past_moment_has_no_empty_columns(page: Page) -> None:
    page.goto("/workloads/shop/web?at=1h")
    page.get_by_text("The values around this moment as a table").click()
    headings = page.get_by_role("region", name="Values of the charts").get_by_role("columnheader")
    expect(headings).to_have_text(["Time", "Demand", "Planned", "Replicas, plan", "Replicas, reactive"])
    expect(page.get_by_text("Forecasts of the past are not kept; the plan of each moment")).to_be_visible()


def test_lists_of_changes_say_since_when_they_know(browser: Browser, page: Page) -> None:
    """With all plans of the week that is the oldest one; with more than are read, the oldest of these."""
    page.goto("/workloads/shop/web")
    since = page.locator("h3 time")
    expect(page.get_by_role("heading", name="Which served since")).to_be_visible()
    expect(since.first).to_have_attribute("datetime", "2027-01-15T01:15:00Z")
    expect(page.get_by_text("from before")).to_have_count(0)
    many = Kept([past_plan(3 * n, model=f"m@{n // 40}") for n in range(CHANGES_IN + 20)])
    with site(reads=many.reads()) as address:
        tab = browser.new_page(base_url=address)
        tab.goto("/workloads/shop/web")
        oldest = "2027-01-15T03:03:00Z"
        for heading in ("Which served since", "Events since"):
            expect(tab.get_by_role("heading", name=heading).locator("time")).to_have_attribute("datetime", oldest)
        expect(tab.get_by_text("m@2 from before")).to_be_visible()
        expect(tab.get_by_text("last week")).to_have_count(0)
        tab.context.close()

"""The page of the API."""

import pytest
from playwright.sync_api import Page, expect

from scaler.status.routes import API
from tests.page.looks import check_looks

pytestmark = pytest.mark.server


def test_every_path_is_shown_with_its_parameters(page: Page) -> None:
    page.goto("/api/v1/docs")
    for one, _ in API:
        section = page.get_by_role("region", name=f"{one.method} {one.path}", exact=True)
        for parameter in one.all_parameters:
            expect(section.get_by_role("cell", name=parameter.name, exact=True).first).to_be_visible()
    section = page.get_by_role("region", name="GET /api/v1/plans", exact=True)
    section.get_by_text("Answer:").click()
    expect(section.get_by_role("cell", name="plans[].plan.reasons[].rule")).to_be_visible()
    expect(section.get_by_role("row").filter(has_text="whole number from 1 to 500")).to_contain_text("limit")


def test_the_page_looks_well(page: Page) -> None:
    check_looks(page, "/api/v1/docs")


def test_it_takes_no_parameters(page: Page) -> None:
    answer = page.request.get("/api/v1/docs?nonsense=1")
    assert (answer.status, "this path takes no parameters" in answer.text()) == (400, True)

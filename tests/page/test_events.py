"""The page of events."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.errors import StoreUnavailable
from tests.page.looks import check_looks
from tests.page.site import site
from tests.status.test_event_list import READS

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(reads=READS) as found:
        yield found


def test_events_of_all_lead_to_their_workloads(page: Page) -> None:
    page.goto("/events")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text("own@2 was promoted for shop")
    expect(rows.nth(2)).to_contain_text("demand was 2.2 times the forecast")
    expect(rows.nth(2).get_by_role("link")).to_have_attribute("href", "/workloads/shop/web?at=1799999400")


def test_one_page_after_the_other(page: Page) -> None:
    page.goto("/events?limit=1")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Earlier").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("anomaly")
    page.get_by_role("link", name="Newest").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("own@2")


def test_what_cannot_be_read_is_said_beside_the_rest(page: Page) -> None:
    async def anomalies(asked: AnomaliesAsked) -> list[Anomaly]:
        raise StoreUnavailable("no answer in time")

    with site(reads=replace(READS, anomalies=anomalies)) as address:
        page.goto(f"{address}/events")
        expect(page.get_by_text("Cannot be read now: anomalies: no answer in time.")).to_be_visible()
        expect(page.get_by_role("row").nth(1)).to_contain_text("own@2")


def test_garbage_is_refused_with_its_rule(page: Page, address: str) -> None:
    answer = page.request.get(f"{address}/events?before=yesterdayish&days=0")
    assert answer.status == 400
    assert "must be a whole number from 1 to 366" in answer.text()


def test_the_page_looks_well(page: Page) -> None:
    check_looks(page, "/events")

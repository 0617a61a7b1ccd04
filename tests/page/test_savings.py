"""The page of savings."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from scaler.errors import StoreUnavailable
from scaler.savings import SavedDay, SavingsAsked
from scaler.status.reads import Reads
from scaler.status.savings import date_of
from tests.page.kept import saved_day
from tests.page.looks import check_looks
from tests.page.site import site

pytestmark = pytest.mark.server
MANY = 60


class Many:
    """Workloads shop/w00 to shop/w59, in the shadow from w50; counts how often it was read."""

    def __init__(self) -> None:
        self.asked: list[SavingsAsked] = []
        self.error = ""

    async def savings(self, asked: SavingsAsked) -> list[SavedDay]:
        self.asked.append(asked)
        if self.error:
            raise StoreUnavailable(self.error)
        names = [f"w{n:02}" for n in range(MANY)]
        after = [name for name in names if ("shop", name) > asked.after][: asked.limit]
        days = [saved_day(n) for n in range(14)]
        within = [one for one in days if asked.hours[0] <= 24 * one.day < asked.hours[1]]
        return [
            replace(one, name=name, mode="shadow" if name >= "w50" else "predictive")
            for name in after
            for one in within
        ]


many = Many()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(reads=Reads(many.savings)) as found:
        yield found


def test_sums_of_all_and_each_workload_a_page_at_a_time(page: Page) -> None:
    page.goto("/savings?days=30")
    sums = page.get_by_role("region", name="Savings in mode predictive")
    expect(sums).to_contain_text(f"{date_of(saved_day(0).day)} to {date_of(saved_day(13).day)}")
    short = 50 * sum(saved_day(n).sums.plan.short_seconds for n in range(14)) / 60
    expect(sums.get_by_role("row").filter(has_text="short minutes")).to_contain_text(f"{short:,.0f}")
    expect(page.get_by_role("region", name="Savings in mode shadow")).to_contain_text("Plan (not used)")
    expect(page.get_by_text("In 14 days Headway kept").first).to_be_visible()
    rows = page.get_by_role("region", name="Savings of each workload").get_by_role("row")
    expect(rows).to_have_count(51)
    expect(rows.nth(1)).to_contain_text("shop/w00")
    expect(rows.nth(1)).to_contain_text("from being short")
    page.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(11)
    expect(rows.last).to_contain_text("shadow")
    page.get_by_role("link", name="First").click()
    expect(rows).to_have_count(51)


def test_sums_are_read_once_an_hour(page: Page) -> None:
    page.goto("/savings?days=90")
    before = len(many.asked)
    page.goto("/savings?days=90")
    assert len(many.asked) == before + 1


def test_costs_by_a_price(page: Page) -> None:
    page.goto("/savings")
    page.get_by_label("Price of a replica-hour").fill("0.5")
    page.get_by_role("button", name="Show costs").click()
    row = page.get_by_role("row").filter(has_text="cost").first
    hours = 50 * sum(saved_day(n).sums.plan.replica_seconds for n in range(14) if n >= 8) / 3600
    expect(row).to_contain_text(f"{hours * 0.5:,.2f}")
    each = page.get_by_role("region", name="Savings of each workload").get_by_role("row")
    expect(each.nth(0)).to_contain_text("± cost")
    expect(each.nth(1)).to_contain_text("+9")  # six days with three replica-hours more, at 0.5
    page.get_by_role("link", name="30 days").click()
    expect(page.get_by_label("Price of a replica-hour")).to_have_value("0.5")


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("days=8", "must be one of 7, 30, 90, 365"),
        ("price=nan", "must be a number from 0 to 1e+09"),
        ("price=cheap", "must be a number from 0 to 1e+09"),
        ("after=shop", "must be NAMESPACE/NAME"),
        ("since=2h", "unknown parameter"),
    ],
)
def test_garbage_is_refused_with_its_rule(page: Page, address: str, query: str, rule: str) -> None:
    answer = page.request.get(f"{address}/savings?{query}")
    assert (answer.status, rule in answer.text()) == (400, True)


def test_a_store_that_is_down_is_said(page: Page) -> None:
    many.error = "no answer in time"
    page.goto("/savings?days=365")
    expect(page.get_by_text("Savings cannot be read now: no answer in time.")).to_be_visible()
    many.error = ""


def test_the_page_looks_well(page: Page) -> None:
    check_looks(page, "/savings?days=30&price=2")

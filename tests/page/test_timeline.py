"""The time line in a real browser: its legend, its marks in words, and the moment that most will ask for."""

import math
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.page.kept import Kept, past_plan
from tests.page.site import site
from tests.status.registry import NOW

pytestmark = pytest.mark.server

KEPT = Kept(
    [past_plan(30 * n, planned=150.0, rung="forecast_alone" if n == 3 else "observation_alone") for n in range(8)]
)
PEAK = max((60.0 * n for n in range(int(NOW / 60) - 359, int(NOW / 60) + 1)), key=lambda at: math.sin(at / 3000))
"""of the demand of tests/page/site.py in the six hours that are shown"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(reads=KEPT.reads()) as found:
        yield found


def test_the_largest_demand_of_the_time_shown_is_a_link(page: Page) -> None:
    """It follows a zoom; the link keeps the trigger."""
    page.goto("/workloads/shop/web?days=7")
    line = page.locator("[data-largest]")
    expect(line).to_contain_text(
        re.compile(r"^Largest demand in the time shown: 60 at .* \(\d+ replicas.*\): what did it think")
    )
    link = line.get_by_role("link", name="what did it think?")
    expect(link).to_have_attribute("href", re.compile(rf"\?days=7&at={PEAK:.0f}#then"))
    box = page.locator("[data-chart=demand] .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.up()
    expect(link).not_to_have_attribute("href", re.compile(f"at={PEAK:.0f}"))
    link.click()
    expect(page.get_by_role("heading", name="What did it think at 2027-")).to_be_visible()


def test_the_legend_has_what_can_be_told_apart_and_stays_where_it_is(page: Page) -> None:
    page.goto("/workloads/shop/web")
    shown = page.locator("[data-chart=demand] .u-series:visible th")
    expect(shown).to_have_text(["time", "demand", "planned", "p5 to p99", "p50", "p90"])
    chart = page.locator("[data-chart=demand]")
    before, box = chart.bounding_box(), chart.locator(".u-over").bounding_box()
    assert before is not None
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 50)
    expect(chart.locator(".u-series.band .u-value")).to_have_text("10 to 80")
    after = chart.bounding_box()
    assert after is not None
    assert after["height"] == before["height"]
    shown.nth(3).click()
    expect(chart.locator(".u-series.unnamed.u-off")).to_have_count(5)


def test_marks_are_listed_with_words(page: Page) -> None:
    page.goto("/workloads/shop/web")
    marks = page.locator("[data-events]")
    marks.get_by_text("◆ Events in the time shown: 3").click()
    expect(marks.get_by_role("listitem")).to_have_count(3)
    expect(marks.get_by_role("listitem").nth(1)).to_contain_text("answers rest on the forecast alone")
    expect(marks.get_by_role("link").nth(1)).to_have_attribute("href", f"?at={NOW - 90 * 60:.0f}#then")


def test_all_sections_are_a_link_away(page: Page) -> None:
    page.goto("/workloads/shop/web")
    links = page.get_by_role("navigation", name="Sections of this page").get_by_role("link")
    expect(links).to_have_count(8)
    for link in links.all():
        target = link.get_attribute("href") or ""
        expect(page.locator(f"h2{target}")).to_have_count(1)

"""The page of a workload in a real browser: what it did and why, how good it was, and what is not known of it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.kept import GONE, WEB, Kept, past_plan
from tests.page.looks import check_looks
from tests.page.site import site
from tests.page.test_pages import INKED

pytestmark = pytest.mark.server

KEPT = Kept(
    [
        *(past_plan(5 + 20 * n, metric=62.0 + n, planned=62.0 + n) for n in range(20)),
        past_plan(405, model="old@1"),
        past_plan(2000, GONE),
    ]
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with site(reads=KEPT.reads()) as found:
        yield found


def test_all_parts_are_there(page: Page) -> None:
    """The sentence is that of `headway savings`, the shares are those of the API."""
    page.goto("/workloads/shop/web")
    expect(page.locator(".verdict")).to_contain_text("In 14 days Headway kept")
    savings = page.get_by_role("region", name="Savings in mode predictive")
    expect(savings.get_by_role("row").filter(has_text="short minutes")).to_contain_text("to")
    scores = page.get_by_role("region", name="Scores by time ahead")
    expect(scores.get_by_role("row")).to_have_count(5)  # 60 minutes ahead were not scored
    expect(scores.get_by_role("row").filter(has_text="peak")).to_contain_text("88.0 % of 90 %")
    expect(page.get_by_text("88 % of the peaks were within their forecast, 90 % are promised")).to_be_visible()
    expect(page.locator("svg.calibration circle")).to_have_count(5)
    expect(page.locator("svg.byday circle")).to_have_count(21)
    models = page.get_by_role("region", name="Models", exact=True)
    expect(models.get_by_text("shop@2 was promoted for shop: 12 % better")).to_be_visible()
    expect(page.get_by_text("seasonal@1 serves in place of old@1")).to_be_visible()
    expect(page.get_by_role("region", name="List of anomalies")).to_contain_text("3.1 times the forecast")
    expect(page.get_by_role("region", name="Plans of the log").get_by_role("row")).to_have_count(16)


def test_another_lead_and_other_days_are_a_link_away(page: Page) -> None:
    page.goto("/workloads/shop/web")
    page.get_by_role("link", name="5 min", exact=True).click()
    expect(page.locator("figcaption").first).to_contain_text("Calibration, 5 min")
    page.get_by_role("link", name="7 days").click()
    expect(page.locator("svg.byday circle")).to_have_count(7)
    expect(page.locator("figcaption").first).to_contain_text("Calibration, 5 min")
    page.get_by_role("link", name="60 min", exact=True).click()
    expect(page.get_by_text("Nothing was scored 60 min ahead in this time.")).to_be_visible()


def test_both_charts_are_drawn_with_a_table_beside(page: Page) -> None:
    """Replicas of the plan stand beside those of a reactive trigger: 42.5 over 10, and 62 over 10."""
    page.goto("/workloads/shop/web")
    expect(page.locator("[data-drawn=true]")).to_have_count(2)
    for chart in page.locator("canvas").all():
        assert chart.evaluate(INKED) > 0.01
    page.get_by_text("The newest values as a table").click()
    table = page.get_by_role("region", name="Values of the charts")
    expect(table.get_by_role("row")).to_have_count(21)
    cells = table.get_by_role("row").nth(10).get_by_role("cell").all_inner_texts()
    assert cells[2] == "62"
    assert cells[5] == "7"


def test_zoom_and_click_give_permalinks(page: Page) -> None:
    page.goto("/workloads/shop/web")
    chart = page.locator("[data-chart=demand] .u-over")
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.up()
    window = page.get_by_role("link", name="This window")
    expect(window).to_have_attribute("href", re.compile(r"since=2027-01-1\dT.*until=2027-01-1\d"))
    page.mouse.click(box["x"] + 200, box["y"] + 50)
    page.get_by_role("link", name=re.compile(r"What did it think at \d")).click()
    expect(page.get_by_role("heading", name=re.compile("What did it think at 2027-"))).to_be_visible()
    expect(page.locator("[data-at]")).to_have_count(1)


def test_what_was_thought_at_a_moment(page: Page) -> None:
    """The words are those of `headway why --at`; the time line is the one around the moment."""
    page.goto("/workloads/shop/web")
    page.get_by_label("Moment").fill("30m")
    page.get_by_role("button", name="Show").click()
    section = page.get_by_role("region", name="What did it think at")
    expect(section).to_contain_text("metric 64, active · forecast and observation")
    expect(section).to_contain_text("forecast of seasonal@1; p90 of the peak was read")
    expect(section.get_by_role("listitem")).to_have_count(2)
    expect(page.locator("[data-at]")).to_have_attribute("data-timeline", re.compile("since=1799991000"))
    page.goto("/workloads/shop/web?at=2026-01-01T00:00")
    expect(page.get_by_text("Nothing is kept of this time.")).to_be_visible()


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("at=yesterday", "at", "must be a time of the day (02:31)"),
        ("at=2028-01-01T00:00", "at", "must not be later than now"),
        ("since=99d", "since", "up to 14 days before until"),
        ("days=8", "days", "must be one of 7, 30, 90, 365"),
        ("lead=%3Cscript%3E", "lead", "must be one of peak"),
        ("after=x", "after", "must be MINUTE/TRIGGER"),
        ("trigger=XYZ", "trigger", "must be the hash of a trigger"),
        ("what=1", "what", "unknown parameter"),
    ],
)
def test_garbage_is_a_page_with_field_value_and_rule(page: Page, query: str, field: str, rule: str) -> None:
    answer = page.request.get(f"/workloads/shop/web?{query}")
    assert answer.status == 400
    assert f"<code>{field}</code>" in answer.text()
    assert rule in answer.text()
    assert "<script>" not in answer.text()


def test_the_plan_log_is_paged(page: Page) -> None:
    page.goto("/workloads/shop/web")
    page.get_by_role("link", name="Earlier").click()
    log = page.get_by_role("region", name="Plans of the log")
    expect(log.get_by_role("row")).to_have_count(8)
    expect(log.get_by_role("columnheader", name="Trigger")).to_be_visible()
    page.get_by_role("link", name="Newest", exact=True).click()
    expect(log.get_by_role("row")).to_have_count(16)


def test_a_trigger_that_vanished_still_has_a_page(page: Page) -> None:
    page.goto("/workloads/shop/web")
    page.get_by_role("link", name=GONE).click()
    expect(page.get_by_text("is not watched now: it was edited or removed")).to_be_visible()
    expect(page.locator("[data-timeline]")).to_have_count(0)
    page.get_by_role("link", name="365 days").click()
    expect(page.get_by_role("region", name="Scores by time ahead")).to_contain_text("1,000")
    expect(page.locator("svg.byday")).to_have_count(0)  # of a single day
    unknown = page.request.get("/workloads/shop/web?trigger=abc")
    assert (unknown.status, "no trigger of this ScaledObject has this hash" in unknown.text()) == (404, True)


def test_without_a_store_the_rest_is_there(browser: Browser) -> None:
    """Each part that needs it says so; what memory knows is shown."""
    kept = Kept(error="connection refused")
    with site(reads=kept.reads()) as address:
        page = browser.new_page(base_url=address)
        page.goto("/workloads/shop/web?at=1h")
        for part in ("Plans", "Scores", "Savings", "Anomalies", "Decisions about models"):
            expect(page.get_by_text(f"{part} cannot be read now: connection refused.").first).to_be_visible()
        expect(page.locator("[data-drawn=true]")).to_have_count(2)
        expect(page.get_by_text(re.compile("p90 by seasonal@1"))).to_be_visible()
        answer = page.request.get("/workloads/shop/nobody")
        assert answer.status == 404
        assert "what it keeps could not be read: connection refused" in answer.text()
        page.context.close()


def test_the_readiness_report_stands_where_there_is_no_forecast(page: Page) -> None:
    page.goto("/workloads/shop/new")
    section = page.get_by_role("region", name="No forecast yet")
    expect(section).to_contain_text("another replica refreshes this trigger")
    page.goto("/workloads/shop/dead")
    expect(page.get_by_text("KEDA gets UNAVAILABLE: http://prometheus:9090: connection refused")).to_be_visible()


@pytest.mark.parametrize("path", [f"/workloads/shop/web?at=1h&trigger={WEB}", f"/workloads/shop/web?trigger={GONE}"])
def test_everybody_can_read_it(page: Page, path: str) -> None:
    check_looks(page, path)

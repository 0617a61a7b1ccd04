"""The pages of models in a real browser, beside a real index."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from scaler.errors import StoreUnavailable
from scaler.models import ModelIndex
from scaler.status.reads import Reads
from scaler.store.model_index import open_model_index
from tests.page.site import site
from tests.status.model_life import fill, opened_later

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = index_in(tmp_path_factory.mktemp("index"))
    with site(reads=Reads(models=opened_later(partial(open_model_index, None, folder)))) as found:
        yield found


def index_in(folder: Path) -> Path:
    """The folder, with an index that has a life in it."""
    filling = Thread(target=asyncio.run, args=(filled(folder),))  # Playwright's loop runs in this one
    filling.start()
    filling.join()
    return folder


async def filled(folder: Path) -> None:
    index = open_model_index(None, folder)
    await fill(index)
    await index.close()


def test_who_serves_whom_and_since_when(page: Page) -> None:
    page.goto("/models")
    champions = page.get_by_role("region", name="Champions by scope").get_by_role("row")
    expect(champions).to_have_count(3)
    expect(champions.filter(has_text="all triggers")).to_contain_text("own@2")
    expect(champions.filter(has_text="all triggers")).to_contain_text("in 12 h")
    expect(champions.filter(has_text="shop/web")).to_contain_text("4 d ago")


def test_promotions_and_refusals_are_told(page: Page) -> None:
    page.goto("/models")
    log = page.get_by_role("region", name="Decisions").get_by_role("row")
    expect(log.filter(has_text="refused own@3")).to_contain_text("at most 0.98, not ok")
    expect(log.filter(has_text="promoted own@2")).to_contain_text("<b>newer</b>")
    log.filter(has_text="refused own@3").get_by_text("4 figures").click()
    expect(log.filter(has_text="refused own@3")).to_contain_text("peak loss over the champion's, shop/web")


def test_the_card_of_a_version(page: Page) -> None:
    page.goto("/models")
    page.get_by_role("region", name="All versions").get_by_role("link", name="own@2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("own@2")
    expect(page.locator("section", has=page.get_by_role("heading", name="Whom"))).to_contain_text("on probation until")
    expect(page.locator("section", has=page.get_by_role("heading", name="Figures"))).to_contain_text("0.87")
    expect(page.get_by_text("Apache-2.0")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/models/own@9", 404, "was never published"),
        ("/models?before=x", 400, "must be a whole number"),
        ("/models?scope=a/b/c", 400, "must be NAMESPACE or NAMESPACE/NAME"),
        ("/models?page=9", 200, "There is no such page"),
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(page: Page, path: str, status: int, text: str) -> None:
    answer = page.request.get(path)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert text in answer.text()


def test_a_store_that_is_away_is_said(browser: Browser) -> None:
    def models() -> ModelIndex:
        raise StoreUnavailable("the database is being opened")

    with site(reads=Reads(models=models)) as address:
        tab = browser.new_page()
        tab.goto(f"{address}/models")
        expect(tab.get_by_text("The models cannot be read: the database is being opened")).to_be_visible()
        assert tab.request.get(f"{address}/models/own@1").status == 503
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("path", ["/models", "/models/own@2"])
def test_everybody_can_use_it(page: Page, path: str, width: int, scheme: str) -> None:
    """No violation that axe finds, and the page itself does not scroll sideways."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(path)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_where_writes_are_off_the_command_is_shown(page: Page) -> None:
    page.goto("/models")
    page.get_by_text("Roll back", exact=True).first.click()
    expect(page.get_by_text("headway models roll-back", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Roll back")).to_have_count(0)


def test_a_version_is_promoted_and_a_retraining_asked_for(browser: Browser, tmp_path: Path) -> None:
    """After signing in; the log says who did it, and the state of retrainings is loaded again by itself."""
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length")
    reads = Reads(models=opened_later(partial(open_model_index, None, index_in(tmp_path))))
    with site(reads=reads, http_token_file=str(token), http_writes="token") as address:
        context = browser.new_context(base_url=address)
        tab, other = context.new_page(), context.new_page()
        tab.goto("/models/own@1")
        tab.get_by_label("Token").fill("a-token-of-some-length")
        tab.keyboard.press("Enter")
        tab.get_by_text("Promote", exact=True).first.click()
        tab.get_by_label("Triggers").fill("shop")
        tab.get_by_label("Reason").first.fill("better there")
        tab.get_by_role("button", name="Promote").click()
        expect(tab.get_by_role("status")).to_contain_text("own@1 is the champion of shop, on probation until")
        tab.get_by_role("link", name="All models").click()
        expect(tab.get_by_role("region", name="Decisions")).to_contain_text("by token, from 127.0.0.1: better there")
        other.goto("/models")
        other.get_by_text("Ask for a retraining", exact=True).first.click()
        assert Axe().run(other).violations_count == 0
        other.get_by_role("button", name="Ask for a retraining").click()
        expect(other.get_by_role("status")).to_contain_text("a retraining is asked for")
        other.close()
        tab.bring_to_front()
        expect(tab.locator("#retrainings")).to_contain_text("waits for the next headway retrain", timeout=30_000)
        context.close()

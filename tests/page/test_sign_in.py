"""Signing in with the token of http-token-file: in a real browser, and request by request."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from scaler.page.sign_in import local
from scaler.status.attempts import MOST_CLIENTS, MOST_WRONG, WINDOW_SECONDS, Attempts
from scaler.status.sessions import MOST_CLOSED, SESSION_SECONDS, Sessions
from tests.page.site import site
from tests.status.registry import NOW

pytestmark = pytest.mark.server

TOKEN = "a-token-of-some-length"
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
def address(token: Path) -> Iterator[str]:
    with site(http_token_file=str(token)) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address) as found:
        yield found


def sign_in(client: httpx.Client, **form: str) -> httpx.Response:
    return client.post("/sign-in", data={"token": TOKEN, **form})


def test_a_browser_signs_in_and_out(page: Page) -> None:
    """It goes on to where it wanted to go, reads page and API, and is asked again once it has signed out."""
    page.goto("/?q=web")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/\?q=web$"))
    page.get_by_role("link", name="shop/web").click()
    expect(page.locator("[data-drawn=true]").first).to_be_visible()  # its script reads the API
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto("/models")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/models$"))


def test_a_wrong_token_is_said(browser: Browser, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/")
    tab.get_by_label("Token").fill("wrong")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("alert")).to_contain_text("not the token")
    tab.close()


def test_who_is_asked_to_sign_in(client: httpx.Client) -> None:
    """Browsers; all others, and what is sent to the API, get 401. What the form is made of is open, as are probes."""
    for path in ("/", "/models", "/api/v1/plans", "/nothing"):
        assert (client.get(path, headers=HTML).status_code, client.get(path).status_code) == (303, 401)
    sent = client.post("/models/promote", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in")
    assert client.post("/api/v1/models/promote", headers=HTML).status_code == 401
    assert client.get("/", headers={**HTML, "Authorization": "Bearer wrong-token-wrong"}).status_code == 401
    assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    wanted = client.get("/models/own@1?next=/%2Fevil&x=%26", headers=HTML).headers["location"]
    assert wanted == "/sign-in?next=/models/own%401%3Fnext%3D/%252Fevil%26x%3D%2526"
    style = client.get("/sign-in").text.partition('stylesheet" href="')[2].partition('"')[0]
    assert [client.get(path).status_code for path in (style, "/favicon.ico", "/livez", "/metrics")] == [200] * 4


def test_the_cookie(client: httpx.Client) -> None:
    """It has no token in it, no script reads it, other sites do not send it, and it ends."""
    answer = sign_in(client, next="/models")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert TOKEN not in cookie.value
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert (cookie["max-age"], cookie["secure"], cookie["domain"]) == (str(SESSION_SECONDS), "", "")
    assert client.get("/api/v1/plans").status_code == 200
    assert sign_in(httpx.Client(base_url=client.base_url)).headers["set-cookie"] != answer.headers["set-cookie"]


@pytest.mark.parametrize("end", [0, 1, 2])
def test_a_cookie_that_somebody_has_changed(client: httpx.Client, end: int) -> None:
    """Each part counts: the end of the session, its name and its signature."""
    parts = (sign_in(client).cookies["headway"]).split(".")
    parts[end] = f"{parts[end]}1"
    client.cookies.clear()
    client.cookies.set("headway", ".".join(parts))
    assert client.get("/api/v1/plans").status_code == 401


def test_another_token_ends_all_sessions(client: httpx.Client, token: Path) -> None:
    sign_in(client)
    assert client.get("/").status_code == 200
    token.write_text(f"another-{TOKEN}")
    assert client.get("/").status_code == 401


def test_another_replica_knows_the_session(client: httpx.Client, token: Path) -> None:
    cookies = sign_in(client).cookies
    with site(http_token_file=str(token)) as other:
        assert httpx.get(f"{other}/", cookies=cookies).status_code == 200


def test_signing_out_needs_the_form_of_the_session(client: httpx.Client) -> None:
    """Then a copy of the cookie is worth nothing."""
    cookies = sign_in(client).cookies
    page = client.get("/").text
    form = page.partition('name="form_token" value="')[2].partition('"')[0]
    refused = client.post("/sign-out", data={"form_token": "0" * 64})
    assert (refused.status_code, "load the page again" in refused.text) == (403, True)
    assert client.get("/").status_code == 200
    assert client.post("/sign-out", data={"form_token": form}).status_code == 303
    assert httpx.get(f"{client.base_url}/", cookies=cookies).status_code == 401


def test_a_wrong_token_is_counted(client: httpx.Client) -> None:
    """As one of an API client is."""
    sign_in(client, token="wrong")
    sign_in(client)
    assert 'headway_http_refused_total{reason="token"} 1.0' in client.get("/metrics").text


def test_attempts_are_limited(client: httpx.Client) -> None:
    """Beyond, the right token is not looked at either."""
    wrong = [sign_in(client, token=f"wrong-{number}").status_code for number in range(MOST_WRONG)]
    assert wrong == [401] * MOST_WRONG
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, f"{WINDOW_SECONDS:.0f}")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_forms_of_others(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    body = f"token={TOKEN}"
    given = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    assert client.post("/sign-in", content=body, headers=given).status_code == status


def test_the_own_origin_without_tls(client: httpx.Client) -> None:
    own = str(client.base_url).rstrip("/")
    answer = client.post("/sign-in", data={"token": TOKEN}, headers={"Origin": own})
    assert answer.status_code == 303


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    """With its length, and in pieces; and one of ten megabytes."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"x" * 65_537, iter([b"x" * 40_000] * 2), b"x" * 10_000_000):
        answer = client.post("/sign-in", content=content, headers=kind)
        assert (answer.status_code, "at most 64 kB" in answer.text) == (413, True)
    many = "&".join(f"f{number}=1" for number in range(30))
    assert client.post("/sign-in", content=many, headers=kind).status_code == 400


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "evil", "", "/\t/evil.example",
     "javascript:alert(1)", "///evil.example", "//[", "http://[evil"],
)  # fmt: skip
def test_only_paths_of_this_port_follow(target: str) -> None:
    assert local(target) == "/"


def test_local_paths_follow() -> None:
    assert [local(path) for path in ("/", "/models?x=1#log", "/a//b")] == ["/", "/models?x=1#log", "/a//b"]


def test_under_tls_the_cookie_is_of_this_host_alone() -> None:
    from starlette.responses import Response

    response = Response()
    Sessions(lambda: TOKEN, lambda: NOW, secure=True).sign_in(response)
    assert response.headers["set-cookie"].startswith("__Host-headway=")
    assert "Secure" in response.headers["set-cookie"]


def test_a_session_ends_after_its_time() -> None:
    from starlette.responses import Response

    now, response = [NOW], Response()
    sessions = Sessions(lambda: TOKEN, lambda: now[0])
    sessions.sign_in(response)
    cookie = response.headers["set-cookie"].partition(";")[0]
    now[0] += SESSION_SECONDS - 1
    assert sessions.found(cookie)
    now[0] += 1
    assert sessions.found(cookie) is None
    for number in range(MOST_CLOSED + 5):
        sessions.sign_out(Response(), str(number))
    assert len(sessions._closed) == MOST_CLOSED


def test_attempts_of_networks() -> None:
    """An IPv6 client has many addresses; what is remembered is bounded, and forgotten in time."""
    attempts = Attempts()
    for number in range(MOST_WRONG):
        attempts.failed(f"2001:db8::{number}", NOW)
    assert attempts.wait("2001:db8::ffff", NOW + 100) == WINDOW_SECONDS - 100
    assert attempts.wait("2001:db8:0:1::1", NOW) == 0
    assert attempts.wait("2001:db8::1", NOW + WINDOW_SECONDS) == 0
    attempts.failed("2001:db8::1", NOW + WINDOW_SECONDS)
    assert attempts.wait("2001:db8::1", NOW + WINDOW_SECONDS) == 0
    for number in range(MOST_CLIENTS + 5):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)
    assert len(attempts._wrong) == MOST_CLIENTS

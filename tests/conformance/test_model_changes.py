"""Changes of models by HTTP, over every database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaler.errors import BundleInvalid
from scaler.page.routes import all_pages
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.store.model_index import open_model_index
from scaler.telemetry.metrics import Telemetry
from tests.conformance.conftest import Place
from tests.status.model_life import fill
from tests.status.registry import NOW, filled_registry

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
USER = {"X-Forwarded-Email": "alice@example.com"}
PROXY = {"http_writes": "proxy", "http_user_header": "X-Forwarded-Email"}
FORM = "application/x-www-form-urlencoded"


async def broken(model: str) -> None:
    """The scaler would refuse old and other models."""
    if not model.startswith("own@"):
        raise BundleInvalid(model, ("has no manifest.json",))


@asynccontextmanager
async def port(place: Place, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a port with these settings beside an index with a life in it."""
    index = open_model_index(place.url, None)
    await fill(index)
    reads = Reads(models=lambda: index, check_bundle=broken)
    settings = load_settings({"http_address": "127.0.0.1:0", **given})
    server = StatusServer(
        settings, filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW, reads=reads, pages=all_pages
    )
    number = await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{number}", timeout=30) as found:
        yield found
    await server.stop()
    await index.close()


@pytest.fixture
def by_token(tmp_path: Path) -> dict[str, str]:
    """The settings with which the token lets write."""
    file = tmp_path / "http-token"
    file.write_text(TOKEN)
    return {"http_writes": "token", "http_token_file": str(file)}


async def newest(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/api/v1/models/log?limit=1", headers=BEARER)).json()["decisions"][0]
    return found


async def test_a_life_of_changes(place: Place, by_token: dict[str, str]) -> None:
    """Promoted, rolled back, retired, asked to be retrained: each is done, and recorded with who did it and why."""
    async with port(place, **by_token) as client:

        async def post(action: str, **given: str) -> str:
            answer = await client.post(f"/api/v1/models/{action}", json=given, headers=BEARER)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["done"])

        text = await post("promote", model="own@1", scope="shop", probation="1h", reason="better there", seen="")
        assert text.startswith("own@1 is the champion of shop, on probation until 2027-01-15 09:00 UTC")
        entry = await newest(client)
        assert (entry["kind"], entry["by"], entry["reason"]) == ("promoted", "token, from 127.0.0.1", "better there")
        assert "all triggers: own@2 is rolled back, own@1 is its champion again" in await post(
            "roll-back", seen="own@2"
        )
        assert (await newest(client))["kind"] == "rolled_back"
        assert await post("retire", model="own@2") == "own@2 is retired; its bundle stays where it is"
        assert "a retraining is asked for" in await post("retrain", reason="new traffic")
        state = (await client.get("/api/v1/models/retrainings", headers=BEARER)).json()
        assert [(one["by"], one["reason"]) for one in state["asked"]] == [("token, from 127.0.0.1", "new traffic")]
        assert state["running"] is None
        assert [one["kind"] for one in state["ended"]] == ["retraining_failed", "retrained"]


@pytest.mark.parametrize(
    ("action", "given", "status", "field"),
    [
        ("promote", {"model": "own@7"}, 404, "model"),
        ("promote", {"model": "old@1"}, 409, "model"),
        ("promote", {"model": "other@1"}, 409, "model"),
        ("promote", {"model": "own@1", "seen": "own@3"}, 409, "model"),
        ("promote", {"model": "own@1", "seen": ""}, 409, "model"),
        ("promote", {"model": "own"}, 400, "model"),
        ("promote", {"model": "own@1", "scope": "a/b/c"}, 400, "scope"),
        ("promote", {"model": "own@1", "probation": "60d"}, 400, "probation"),
        ("promote", {"model": "own@1", "reason": "x" * 501}, 400, "reason"),
        ("promote", {"model": "own@1", "reason": "a\x00b"}, 400, "reason"),
        ("promote", {"model": 7}, 400, "model"),
        ("promote", {"modle": "own@1"}, 400, "modle"),
        ("roll-back", {"scope": "quiet"}, 409, "scope"),
        ("retire", {"model": "own@2"}, 409, "model"),
        ("retire", {"model": "own@1"}, 409, "model"),
    ],
)
async def test_what_is_refused_changes_nothing(
    place: Place, by_token: dict[str, str], action: str, given: dict[str, Any], status: int, field: str
) -> None:
    async with port(place, **by_token) as client:
        before = await newest(client)
        answer = await client.post(f"/api/v1/models/{action}", json=given, headers=BEARER)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)
        assert await newest(client) == before


async def test_writes_are_off_by_default(place: Place) -> None:
    """The answer names the command, and the page shows it."""
    async with port(place) as client:
        answer = await client.post("/api/v1/models/promote", json={"model": "own@1"})
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"], fault["value"]) == (403, "http-writes", "off")
        assert "headway models promote" in fault["rule"]
        page = (await client.get("/models/own@1")).text
        assert "headway models promote own@1" in page
        assert "<form" not in page
        form = await client.post("/models/promote", data={"model": "own@1"})
        assert (form.status_code, form.headers["content-type"]) == (403, "text/html; charset=utf-8")


async def test_programs_bring_token_and_json(place: Place, by_token: dict[str, str]) -> None:
    """A cookie is not enough, a form is not enough, and no other site may have sent it."""
    path, body = "/api/v1/models/retire", {"model": "other@1"}
    async with port(place, **by_token) as client:
        await client.post("/sign-in", data={"token": TOKEN})
        assert client.cookies
        assert (await client.post(path, json=body)).status_code == 401
        assert (await client.post(path, json=body, headers={"Authorization": "Bearer no"})).status_code == 401
        assert (await client.post(path, data=body, headers=BEARER)).status_code == 415
        foreign = {**BEARER, "Origin": "https://evil.example"}
        assert (await client.post(path, json=body, headers=foreign)).status_code == 403
        json = {**BEARER, "Content-Type": "application/json"}
        for content, status in ((b"[1]", 400), (b"{", 400), (b"\xff", 400), (b"[" * 60_000, 400), (b" " * 70_000, 413)):
            assert (await client.post(path, content=content, headers=json)).status_code == status
        wrong = await client.put(path, json=body, headers=BEARER)
        assert (wrong.status_code, wrong.json()["errors"][0]["rule"]) == (405, "this path takes POST")


async def test_forms_bring_the_token_of_their_session(place: Place, by_token: dict[str, str]) -> None:
    async with port(place, **by_token) as client:
        await client.post("/sign-in", data={"token": TOKEN})
        page = (await client.get("/models/own@1")).text
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
        data = {"model": "own@1", "scope": "shop", "probation": "24h", "reason": ""}
        for wrong in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "ü"}):
            refused = await client.post("/models/promote", data={**data, **wrong})
            assert (refused.status_code, "load the page again" in refused.text) == (403, True)
        foreign = {"Sec-Fetch-Site": "cross-site"}
        refused = await client.post("/models/promote", data={**data, "form_token": token}, headers=foreign)
        assert refused.status_code == 403
        large = await client.post("/models/promote", content=b"x" * 70_000, headers={"Content-Type": FORM})
        assert (large.status_code, "at most 64 kB" in large.text) == (413, True)
        assert (await newest(client))["kind"] == "retraining_failed"
        unknown = await client.post("/models/promote", data={**data, "model": "own@9", "form_token": token})
        assert (unknown.status_code, "was never published" in unknown.text) == (404, True)
        done = await client.post("/models/promote", data={**data, "form_token": token})
        assert (done.status_code, "own@1 is the champion of shop" in done.text) == (200, True)
        assert (await newest(client))["by"] == "token, from 127.0.0.1"


async def test_a_proxy_names_the_user(place: Place) -> None:
    """It is recorded; a form that was made for one user is not taken from another."""
    async with port(place, **PROXY) as client:
        for headers in ({}, {"X-Forwarded-Email": ""}, {"X-Forwarded-Email": "x" * 200}):
            answer = await client.post("/api/v1/models/roll-back", json={}, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "X-Forwarded-Email")
        twice = [("X-Forwarded-Email", "mallory"), ("X-Forwarded-Email", "alice")]
        assert (await client.post("/api/v1/models/roll-back", json={}, headers=twice)).status_code == 403
        assert "<form" not in (await client.get("/models")).text
        page = (await client.get("/models", headers=USER)).text
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
        form = {"scope": "", "seen": "own@2", "form_token": token}
        other = {"X-Forwarded-Email": "mallory@example.com"}
        assert (await client.post("/models/roll-back", data=form, headers=other)).status_code == 403
        assert (await client.post("/models/roll-back", data=form, headers=USER)).status_code == 200
        assert (await newest(client))["by"] == "alice@example.com"
        answer = await client.post("/api/v1/models/retire", json={"model": "own@2"}, headers=USER)
        assert answer.status_code == 200


async def test_the_header_counts_for_nothing_else(place: Place, by_token: dict[str, str]) -> None:
    """Without http-writes: proxy anybody could write it."""
    async with port(place, **by_token) as client:
        assert (await client.post("/api/v1/models/retrain", json={}, headers=USER)).status_code == 401
        answer = await client.post("/api/v1/models/retrain", json={}, headers={**BEARER, **USER})
        assert answer.json()["by"] == "token, from 127.0.0.1"


async def test_a_running_retraining(place: Place, by_token: dict[str, str]) -> None:
    """Who runs it, since when and why, out of the lease and the log; a request that it has taken waits no longer."""
    from scaler.models import Kind, ModelDecision

    async with port(place, **by_token) as client:
        index = open_model_index(place.url, None)
        await client.post("/api/v1/models/retrain", json={}, headers=BEARER)
        await index.lock("retrain", "pod-1 (process 7)", 300.0, NOW)
        state = (await client.get("/api/v1/models/retrainings", headers=BEARER)).json()
        assert (state["running"]["holder"], state["running"]["since"]) == ("pod-1 (process 7)", None)
        assert len(state["asked"]) == 1
        await index.refuse(ModelDecision(NOW - 60, Kind.RETRAINING_BEGAN, "", "retrain", "asked for"))
        state = (await client.get("/api/v1/models/retrainings", headers=BEARER)).json()
        assert (state["running"]["since"], state["running"]["why"]) == (NOW - 60, "asked for")
        assert state["asked"] == []
        fragment = (await client.get("/models/retrainings", headers=BEARER)).text
        assert "pod-1 (process 7)" in fragment
        await index.close()

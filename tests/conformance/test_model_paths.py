"""The paths of models over every database."""

from collections.abc import AsyncIterator

import httpx
import pytest

from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.store.model_index import open_model_index
from scaler.telemetry.metrics import Telemetry
from tests.conformance.conftest import Place
from tests.status.model_life import DAY, fill
from tests.status.registry import NOW, filled_registry


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a port beside an index with a life in it."""
    index = open_model_index(place.url, None)
    await fill(index)
    reads = Reads(models=lambda: index)
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(settings, filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW, reads=reads)
    port = await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as found:
        yield found
    await server.stop()
    await index.close()


async def test_versions_and_champions(client: httpx.AsyncClient) -> None:
    found = (await client.get("/models?limit=2")).json()
    assert (found["count"], found["page"]) == (4, 1)
    assert [(one["model"], one["champion_of"]) for one in found["versions"]] == [
        ("own@2", [""]),
        ("other@1", ["shop/web"]),
    ]
    first, second = found["champions"]
    assert (first["scope"], first["model"], first["previous"]) == ("", "own@2", "own@1")
    assert first["probation_until"] == NOW + 0.5 * DAY
    assert (second["scope"], second["probation_until"]) == ("shop/web", None)
    last = (await client.get("/models?limit=2&page=2")).json()["versions"]
    assert [(one["model"], one["retired_at"]) for one in last] == [("own@1", None), ("old@1", NOW - 8 * DAY)]


async def test_one_version(client: httpx.AsyncClient) -> None:
    found = (await client.get("/models/own@2")).json()
    assert found["figures"]["loss_ratio"] == 0.87
    assert found["manifest"]["trained"] == {"recipe": "mlp"}
    assert [one["scope"] for one in found["champions"]] == [""]
    assert [one["kind"] for one in found["decisions"]] == ["promoted", "published"]
    assert "promoted own@2 for all triggers, in place of own@1, by retrain" in found["decisions"][0]["text"]
    assert {"title": "Scores of its training", "rows": [["mape", "0.0712"]]} in found["card"]
    missing = await client.get("/models/own@7")
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (404, "model")


async def test_the_log_in_pages(client: httpx.AsyncClient) -> None:
    """Each entry once, the newest first; also of one scope or one version."""
    kinds, before = [], ""
    while True:
        page = (await client.get(f"/models/log?limit=4{before}")).json()
        kinds += [one["kind"] for one in page["decisions"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert kinds[:4] == ["retraining_failed", "retrained", "promoted", "refused"]
    assert (len(kinds), kinds[-1]) == (11, "published")
    of_web = (await client.get("/models/log?scope=shop/web")).json()["decisions"]
    assert [one["model"] for one in of_web] == ["other@1"]
    of_own = (await client.get("/models/log?model=own@1")).json()["decisions"]
    assert [one["kind"] for one in of_own] == ["promoted", "promoted", "published"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("before=x", "before"), ("scope=a/b/c", "scope"), ("model=own", "model"), ("x=1", "x")],
)
async def test_what_the_log_cannot_be_asked(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/models/log?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


async def test_a_database_that_is_lost(client: httpx.AsyncClient, place: Place) -> None:
    """503 on each path, with the reason."""
    place.lose()
    try:
        for path in ("/models", "/models/own@1", "/models/log"):
            answer = await client.get(path, timeout=30)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (503, "database")
    finally:
        place.restore()
    assert (await client.get("/models")).status_code == 200

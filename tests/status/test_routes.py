"""The HTTP port's answers."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import numpy as np
import pytest

from scaler.series import HistoryFacts, Observation, Outlook
from scaler.status.application import RequestIds
from scaler.status.records import plan_record
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.telemetry.metrics import Telemetry
from tests.status.registry import NOW, filled_registry, forecast

FACTS = HistoryFacts("seasonal@1", NOW - 5, None, 600.0, 3600.0, 86400.0, is_backfilled=True)


class Port:
    """The app on a registry, without a socket."""

    def __init__(self) -> None:
        self.registry = filled_registry()
        self.missing: dict[str, str] = {}
        routes = StatusRoutes(Shown(self.registry, Telemetry(), lambda: self.missing, lambda key: FACTS, lambda: NOW))
        transport = httpx.ASGITransport(RequestIds(routes.app()), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://headway")

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made = Port()
    yield made
    await made.client.aclose()


async def test_alive(port):
    """The process answers."""
    assert (await port.get("/livez")).status_code == 200


async def test_ready_says_what_is_missing(port):
    """503 names what is missing; 200 once nothing is."""
    port.missing["bundle"] = "the bundle is being loaded"
    answer = await port.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, {"bundle": "the bundle is being loaded"})
    port.missing.clear()
    answer = await port.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": {}})


async def test_plans_have_reasons_and_no_metadata(port):
    """Each plan comes with its reasons; a trigger without plan with its source's words; metadata stays inside."""
    answer = await port.get("/api/v1/plans")
    plans = {record["name"]: record for record in answer.json()["plans"]}
    assert plans["web"]["plan"]["metric"] >= plans["web"]["plan"]["need"] == 60.0
    assert plans["web"]["plan"]["replicas"] >= 6
    assert plans["web"]["plan"]["reasons"][0]["rule"] == "need"
    assert plans["new"]["plan"]["rung"] == "observation_alone"
    assert plans["dead"]["plan"] is None
    assert (plans["dead"]["status"], plans["web"]["status"]) == ("UNAVAILABLE", "OK")
    assert plans["dead"]["error"] == "http://prometheus:9090: connection refused"
    assert "scalerAddress" not in answer.text
    assert "geheim" not in answer.text


async def test_pages_of_plans_follow_each_other(port):
    """`next` leads through all plans, each once; the last page has none."""
    seen, after = [], ""
    while after is not None:
        page = (await port.get(f"/api/v1/plans?limit=2&after={after}")).json()
        seen += [record["name"] for record in page["plans"]]
        after = page["next"]
    assert seen == ["dead", "new", "web"]


async def test_plans_of_one_namespace_or_name(port):
    """Filters narrow the page."""
    assert [p["name"] for p in (await port.get("/api/v1/plans?name=web")).json()["plans"]] == ["web"]
    assert (await port.get("/api/v1/plans?namespace=other")).json()["plans"] == []


async def test_wrong_parameters_are_all_named(port):
    """Each wrong parameter is an error with field, value and rule."""
    answer = await port.get("/api/v1/plans?limit=0&nmae=web")
    assert answer.status_code == 400
    assert {error["field"]: error["value"] for error in answer.json()["errors"]} == {"limit": "0", "nmae": "web"}


@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.5", "", "x", "9" * 40])
async def test_limits_that_are_refused(port, limit):
    """Only whole numbers from 1 to 500 are taken."""
    assert (await port.get(f"/api/v1/plans?limit={limit}")).status_code == 400


async def test_why_shows_the_plan(port):
    """With a forecast there is nothing to be ready for."""
    [record] = (await port.get("/api/v1/why/shop/web")).json()["triggers"]
    assert record["readiness"] is None
    assert record["forecast"]["largest"]["0.9"] == 60.0
    assert record["forecast"]["window_seconds"] == 120 + 15 + 300
    assert record["forecast"]["peak"]["0.9"] == record["plan"]["need"]
    assert record["forecast"]["model"] == "seasonal@1"


@pytest.mark.parametrize("excess", [0.0, 0.5, 40.0])
def test_the_largest_demand_is_never_below_the_peak(excess: float):
    """A bundle's peaks lie above its steps: what is largest until the end includes the peak over the lead window."""
    made = forecast(start=NOW)
    made.quantiles_HQ[30:] *= 0.5
    peaks = np.stack([made.quantiles_HQ[0], made.quantiles_HQ[0] + np.float32(excess)])
    registry = filled_registry()
    web = next(one for one in registry if one.trigger.name == "web")
    outlook = Outlook(NOW + 15, Observation(NOW, 1.0, 1.0, 1.0), replace(made, peak_steps=(5, 10), peaks_WQ=peaks))
    registry.receive(web.trigger.key, outlook, NOW + 15)
    found = plan_record(registry, web, NOW + 15)["forecast"]
    assert all(found["largest"][level] >= found["peak"][level] > 0 for level in found["peak"])


async def test_why_shows_what_is_missing(port):
    """Without one the readiness report stands in its place."""
    [record] = (await port.get("/api/v1/why/shop/new")).json()["triggers"]
    assert record["forecast"] is None
    assert record["readiness"]["missing"] == ["10 min of history are there, at least 1 h needed by seasonal@1"]
    assert record["readiness"]["ready"] is False


async def test_why_of_an_unknown_object(port):
    """404 with the name that is not watched."""
    answer = await port.get("/api/v1/why/shop/nobody")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["value"] == "shop/nobody"


async def test_unknown_path_and_method(port):
    """Both are errors in JSON, with the nearest path."""
    answer = await port.get("/api/v1/plan")
    assert answer.status_code == 404
    assert "did you mean /api/v1/plans?" in answer.json()["errors"][0]["rule"]
    assert "known are /, /livez" in (await port.get("/nowhere")).json()["errors"][0]["rule"]
    answer = await port.client.post("/api/v1/plans")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (405, "method")


async def test_an_internal_error_is_reported_without_its_text(port, monkeypatch):
    """The caller gets an id to look for in the log, not the exception."""
    monkeypatch.setattr("scaler.registry.Registry.page", lambda *_, **__: 1 / 0)
    answer = await port.get("/api/v1/plans")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["errors"][0]["rule"]
    assert "division" not in answer.text


async def test_request_id_is_kept_when_it_is_harmless(port):
    """The caller's id comes back; one that could break a log line is replaced."""
    answer = await port.client.get("/livez", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    answer = await port.client.get("/livez", headers={"X-Request-ID": "a b{}"})
    assert answer.headers["x-request-id"] not in ("", "a b{}")

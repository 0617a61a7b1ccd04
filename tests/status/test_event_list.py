"""The path /api/v1/events: events of all kinds on one list, a page at a time."""

from dataclasses import replace

import httpx
import pytest

from scaler.anomalies import AnomaliesAsked, Anomaly
from scaler.errors import StoreUnavailable
from scaler.models import Kind, ModelDecision
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.status.event_list import EventsAsked, page_of
from scaler.status.reads import Reads
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.store.null_models import NullModels
from scaler.telemetry.metrics import Telemetry
from tests.page.kept import past_plan
from tests.status.everything import ANOMALY
from tests.status.registry import NOW, filled_registry

PROMOTED = ModelDecision(NOW - 100, Kind.PROMOTED, "own@2", "me", "12 % better", "shop")


class Index(NullModels):
    """One promotion, of the namespace shop."""

    async def decisions(
        self, limit: int, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> list[ModelDecision]:
        return [PROMOTED] if scope in (None, "shop") else []


async def anomalies(asked: AnomaliesAsked) -> list[Anomaly]:
    return [ANOMALY, replace(ANOMALY, name="api", since=NOW - 900, is_over=False)]


async def plans(asked: PastPlansAsked) -> list[PastPlan]:
    return [past_plan(1, rung="observation_alone"), past_plan(2)]


async def events(reads: Reads, query: str = "") -> httpx.Response:
    shown = Shown(filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW, reads=reads)
    transport = httpx.ASGITransport(StatusRoutes(shown).app())
    async with httpx.AsyncClient(transport=transport, base_url="http://scaler") as client:
        return await client.get(f"/api/v1/events{query}")


READS = Reads(plans=plans, anomalies=anomalies, models=Index)


async def test_events_of_all_kinds_the_newest_first() -> None:
    found = (await events(READS)).json()
    assert [(one["kind"], one["scope"], one["text"]) for one in found["events"]] == [
        ("model", "shop", "own@2 was promoted for shop: 12 % better"),
        ("anomaly", "shop/web", "demand was 2.2 times the forecast, outside the band of its forecast"),
        ("anomaly", "shop/api", "demand was 2.2 times the forecast, outside the band of its forecast, and still is"),
    ]
    assert (found["next"], found["missing"]) == (None, [])


async def test_one_object_shows_what_its_answers_rested_on() -> None:
    found = (await events(READS, "?namespace=shop&name=web")).json()["events"]
    assert "answers rest on the observation alone: there is no usable forecast" in [one["text"] for one in found]


async def test_a_store_that_is_down_leaves_the_rest() -> None:
    async def down(asked: AnomaliesAsked) -> list[Anomaly]:
        raise StoreUnavailable("connection refused")

    found = (await events(Reads(anomalies=down, models=Index))).json()
    assert [one["kind"] for one in found["events"]] == ["model"]
    assert found["missing"] == ["anomalies: connection refused"]


@pytest.mark.parametrize(
    ("query", "field"), [("?name=web", "namespace"), ("?days=0", "days"), ("?before=x", "before"), ("?a=b", "a")]
)
async def test_wrong_parameters(query: str, field: str) -> None:
    answer = await events(READS, query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_pages_lose_nothing_and_end() -> None:
    """Three events share a second, more than a page has."""
    every = [{"at": at} for at in (5.0, 9.1, 9.5, 9.9, 12.0)]
    seen, before = [], 100.0
    for _ in range(5):
        page = page_of(every, EventsAsked(0.0, before, 2))
        seen += [one["at"] for one in page["events"]]
        if page["next"] is None:
            break
        before = float(page["next"])
    assert seen == [12.0, 9.9, 9.5, 9.1, 5.0]

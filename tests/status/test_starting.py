"""What paths of one trigger say while the triggers of before a restart are awaited."""

import httpx
import pytest

from scaler.page.routes import all_pages
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.telemetry.metrics import Telemetry
from tests.status.registry import NOW, filled_registry

AWAITED = "the database is being read"
PATHS = ("/api/v1/why", "/api/v1/timeline", "/api/v1/forecast", "/workloads")


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_trigger_is_one_that_is_not_known_yet(path: str) -> None:
    registry = filled_registry()
    shown = Shown(registry, Telemetry(), dict, lambda key: None, lambda: NOW)
    routes = StatusRoutes(shown)
    transport = httpx.ASGITransport(routes.app(all_pages(shown, routes)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://headway") as client:
        registry.awaited = lambda: AWAITED
        early, known = await client.get(f"{path}/shop/none"), await client.get(f"{path}/shop/web")
        registry.awaited = lambda: ""
        late = await client.get(f"{path}/shop/none")
    assert (early.status_code, f"is not known yet: {AWAITED}" in early.text) == (503, True)
    assert ("is not known yet" in known.text, late.status_code) == (False, 404)

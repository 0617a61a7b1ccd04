"""The front of a Prometheus: tests behind it mean something only if the odd answers arrive, and the others pass."""

from pathlib import Path

import httpx
import pytest

from tests.servers.front import Instead, front, slow
from tests.servers.prometheus import prometheus

pytestmark = pytest.mark.server


def test_rules_decide_and_the_rest_passes(tmp_path: Path) -> None:
    with prometheus(tmp_path / "prometheus") as server, front(server.url) as state:
        state.rules += [
            lambda asked: Instead(b"odd", 418, {"X-Kind": "odd"}) if "odd" in asked.query else None,
            slow(0.3, "late"),
        ]
        ask = httpx.Client(base_url=state.url, trust_env=False, timeout=30)
        odd = ask.get("/api/v1/query", params={"query": "odd"})
        usual = ask.post("/api/v1/query", data={"query": "vector(1)"})
        late = ask.post("/api/v1/query", data={"query": "vector(2) # late"})
    assert (odd.status_code, odd.content, odd.headers["X-Kind"]) == (418, b"odd", "odd")
    assert [one.json()["data"]["result"][0]["value"][1] for one in (usual, late)] == ["1", "2"]
    assert usual.elapsed.total_seconds() < 0.3 < late.elapsed.total_seconds()
    assert [one.query for one in state.asked] == ["odd", "vector(1)", "vector(2) # late"]

"""What meeting a new metric server costs."""

from dataclasses import replace

import httpx
import pytest

from scaler.history import observe_all, prometheus
from scaler.history.credentials import ServerAccess, tls_context
from scaler.history.prometheus import PrometheusSource
from tests.history.test_prometheus_answers import AT, TRIGGER, answering, vector


def test_servers_without_own_certificates_share_their_trust() -> None:
    """Reading the system's authorities takes 30 ms of the event loop: once, not for every address of a tenant."""
    access = ServerAccess(pattern="https://a")

    assert tls_context(access).current() is tls_context(access).current()


async def test_a_server_that_nobody_asks_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its connections and its figure; one that is asked stays."""
    source = PrometheusSource(transport=answering(httpx.Response(200, json=vector(1))))
    gone, kept = (replace(TRIGGER, server_address=f"http://{name}:9090") for name in ("gone", "kept"))
    await observe_all(source, [gone, kept], AT)
    assert set(source.circuits()) == {"http://gone:9090", "http://kept:9090"}
    monkeypatch.setattr(prometheus, "UNUSED_SECONDS", 0.0)
    monkeypatch.setattr(source._servers["http://kept:9090"], "idle_seconds", lambda: 0.0)
    await observe_all(source, [kept], AT + prometheus.SWEEP_SECONDS)
    assert set(source.circuits()) == {"http://kept:9090"}
    assert await observe_all(source, [gone], AT + prometheus.SWEEP_SECONDS) == [1.0]
    await source.close()

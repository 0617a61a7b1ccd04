"""Callers that open connections and never finish a request."""

import asyncio

import httpx
import pytest

from scaler.registry import Registry
from scaler.settings import Settings
from scaler.status import server as status_server
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules


async def test_half_requests_do_not_fail_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hundreds of unfinished requests open, liveness is answered, and they are ended in time."""
    monkeypatch.setattr(status_server, "REQUEST_SECONDS", 1.0)
    settings = Settings(http_address="127.0.0.1:0")
    it = StatusServer(settings, Registry(TriggerRules(), 15), Telemetry(), dict, lambda key: None)
    port = await it.start()
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(260)]
    for _, writer in held:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
    await asyncio.sleep(0.2)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/livez")
    async with asyncio.timeout(10):
        ended = [await reader.read() for reader, _ in held]
    await it.stop()

    assert answer.status_code == 200
    assert set(ended) == {b""}

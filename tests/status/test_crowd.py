"""Callers that open connections and never finish a request."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from scaler.registry import Registry
from scaler.settings import Settings
from scaler.status import routes
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


class Held:
    """An application whose answers wait until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.under_way = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.under_way += 1
        if scope["path"] != "/livez":
            await self.go.wait()
        await PlainTextResponse("answer")(scope, receive, send)


async def statuses(app: Any, paths: list[str], held: Held, let_go: bool = True) -> list[int]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headway") as client:
        requests = [asyncio.create_task(client.get(path)) for path in paths]
        await asyncio.sleep(0.2)
        if let_go:
            held.go.set()
        done, waiting = await asyncio.wait(requests, timeout=5 if let_go else 0.5)
        for one in waiting:
            one.cancel()
        return sorted(one.result().status_code for one in done)


async def test_a_crowd_waits_for_its_turn() -> None:
    """Requests beyond the bound are answered when others have ended, and never more at the same time."""
    held = Held()
    assert await statuses(routes.Bounded(held), ["/metrics"] * (3 * routes.MOST_REQUESTS), held) == [200] * 192


async def test_the_bound_holds_while_requests_wait() -> None:
    """No more than the bound are under way; probes come on top."""
    held = Held()
    answered = await statuses(routes.Bounded(held), [*["/"] * 100, "/livez"], held, let_go=False)
    assert (answered, held.under_way) == ([200], routes.MOST_REQUESTS + 1)


async def test_who_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose turn does not come gets 503, as does one that finds too many waiting."""
    monkeypatch.setattr(routes, "WAIT_SECONDS", 0.1)
    held = Held()
    late = await statuses(routes.Bounded(held), ["/"] * 70, held, let_go=False)
    monkeypatch.setattr(routes, "WAIT_SECONDS", 10)
    monkeypatch.setattr(routes, "MOST_WAITING", 3)
    held = Held()
    many = await statuses(routes.Bounded(held), ["/"] * 70, held, let_go=False)

    assert (late, many) == ([503] * 6, [503] * 3)


async def test_a_refusal_frees_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """After refusals the port answers as many at a time as before."""
    monkeypatch.setattr(routes, "WAIT_SECONDS", 0.05)
    held = Held()
    app = routes.Bounded(held)
    await statuses(app, ["/"] * 70, held)
    held.under_way = 0
    held.go.clear()
    await statuses(app, ["/"] * 100, held, let_go=False)
    assert held.under_way == routes.MOST_REQUESTS

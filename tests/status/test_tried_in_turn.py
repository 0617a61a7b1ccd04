"""Texts that are tried wait for each other: how many of one address and in all, and what comes of one whose client has
gone."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.trying import EXAMPLE
from scaler.status import tried
from scaler.status.inspecting import CannotInspect
from scaler.status.shown import Shown
from scaler.status.tried import MOST_OF_A_CLIENT, MOST_WAITING, NotNow, TriedRoute
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from tests.status.registry import NOW, filled_registry


def request_of(address: str, is_gone: bool = False) -> Request:
    async def receive() -> Any:
        return {"type": "http.disconnect"} if is_gone else await asyncio.Event().wait()

    return Request({"type": "http", "method": "POST", "path": "/try", "headers": [], "client": (address, 1)}, receive)


class Inspecting:
    """In place of the process: waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.began = 0

    async def __call__(self, manifest: str, rules: TriggerRules) -> tuple[list[Any], list[str]]:
        self.began += 1
        await self.go_on.wait()
        if manifest == "killed":
            raise CannotInspect("the process has ended")
        return [], []


@pytest.fixture
def inspecting(monkeypatch: pytest.MonkeyPatch) -> Inspecting:
    made = Inspecting()
    monkeypatch.setattr(tried, "inspected_apart", made)
    return made


@pytest.fixture
def route() -> TriedRoute:
    return TriedRoute(Shown(filled_registry(), Telemetry(), dict, lambda key: None, lambda: NOW))


async def refusal_of(route: TriedRoute, request: Request, text: str = EXAMPLE) -> HTTPStatus:
    with pytest.raises(NotNow) as refused:
        await route.record(request, text, list[Fault]())
    return refused.value.status


async def test_one_address_leaves_room_for_others(route: TriedRoute, inspecting: Inspecting) -> None:
    def wait_at(address: str) -> asyncio.Task[Any]:
        return asyncio.create_task(route.record(request_of(address), EXAMPLE, []))

    tasks = [wait_at("10.0.0.1") for _ in range(MOST_OF_A_CLIENT)]
    await asyncio.sleep(0)
    assert await refusal_of(route, request_of("10.0.0.1")) == HTTPStatus.TOO_MANY_REQUESTS
    tasks += [wait_at(f"10.0.1.{n}") for n in range(MOST_WAITING - MOST_OF_A_CLIENT)]
    await asyncio.sleep(0)
    assert await refusal_of(route, request_of("10.0.2.1")) == HTTPStatus.SERVICE_UNAVAILABLE
    inspecting.go_on.set()
    await asyncio.gather(*tasks)
    assert await route.record(request_of("10.0.0.1"), EXAMPLE, []) == {}
    assert inspecting.began == MOST_WAITING + 1


async def test_a_text_whose_client_has_gone_is_not_read(route: TriedRoute, inspecting: Inspecting) -> None:
    assert await refusal_of(route, request_of("10.0.0.1", is_gone=True)) == HTTPStatus.BAD_REQUEST
    assert inspecting.began == 0


async def test_a_killed_process_is_not_the_fault_of_the_text(route: TriedRoute, inspecting: Inspecting) -> None:
    inspecting.go_on.set()
    assert await refusal_of(route, request_of("10.0.0.1"), "killed") == HTTPStatus.SERVICE_UNAVAILABLE

"""One server asked for several namespaces: who is answered while another's queries are slow."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from scaler.history import observe_all, pace
from scaler.history.answers import NotAsked
from scaler.history.connection import Limits
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.history.test_prometheus_answers import AT, TRIGGER, numbered, server

SLOW_SECONDS = 1.0
LIMITS = Limits(concurrency=8, attempts=1, failures_to_open=1000)


async def answer(query: str) -> bytes:
    if "slow" in query:
        await asyncio.sleep(SLOW_SECONDS)
    if "hangs" in query:
        await asyncio.sleep(30)
    return json.dumps(numbered(query)).encode()


def triggers(address: str, prefix: str, count: int, namespaces: int = 1) -> list[Trigger]:
    return [
        replace(TRIGGER, server_address=address, namespace=f"{prefix}-{n % namespaces}", query=f"{prefix}_{n}")
        for n in range(count)
    ]


@pytest.fixture(autouse=True)
def quickly_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes half a second is slow here."""
    monkeypatch.setattr(pace, "SLOW_SECONDS", 0.5)


@pytest.mark.parametrize("namespaces", [1, 16])
async def test_a_fast_query_does_not_wait_for_slow_ones_that_are_answered(namespaces: int) -> None:
    """All of those would take several seconds."""
    async with server(answer) as address:
        source = PrometheusSource(limits=LIMITS)
        (mine,) = triggers(address, "mine", 1)
        await observe_all(source, [mine], AT)
        slow = asyncio.create_task(observe_all(source, triggers(address, "slow", 100, namespaces), AT))
        waited = []
        for _ in range(20):
            await asyncio.sleep(0.05)
            began = time.monotonic()
            assert await observe_all(source, [mine], AT) == [0.0]
            waited.append(time.monotonic() - began)
        assert not slow.done()
        assert sorted(waited)[-3] < SLOW_SECONDS / 2, "a machine that stops for a moment spoils one or two"
        assert source.queue_lengths()["source_new"] > 0
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        await source.close()


async def test_a_namespace_s_fast_queries_are_answered_beside_its_slow_ones() -> None:
    """From the second round on, when it is known which these are; the rest of them is not asked, and says why."""
    async with server(answer) as address:
        source = PrometheusSource(limits=replace(LIMITS, round_seconds=2.0))
        quick = triggers(address, "quick", 5)
        slow = [replace(one, namespace=quick[0].namespace) for one in triggers(address, "slow", 40)]
        await observe_all(source, [*triggers(address, "other", 1), *quick, *slow], AT)
        answers = await observe_all(source, [*slow, *quick], AT)
        assert not any(isinstance(one, Exception) for one in answers[40:])
        unasked = [str(one) for one in answers[:40] if isinstance(one, NotAsked)]
        assert unasked
        assert all(one.startswith("not asked in this round: ") and address in one for one in unasked)
        await source.close()


async def test_a_retry_leaves_its_slot_while_it_pauses() -> None:
    """One slot, and a request that is tried again after a failure: another one is answered in between."""
    asked: list[str] = []

    async def failing(query: str) -> bytes | None:
        asked.append(query)
        return None if query == "fails_0" else json.dumps(numbered(query)).encode()

    async with server(failing) as address:
        source = PrometheusSource(limits=Limits(concurrency=1, attempts=3))
        both = [*triggers(address, "fails", 1), *triggers(address, "fine", 1)]
        await observe_all(source, both, AT)
        assert asked == ["fails_0", "fine_0", "fails_0", "fails_0"]
        await source.close()


async def test_heavy_history_of_one_namespace_makes_nobody_else_s_pieces_smaller() -> None:
    source = PrometheusSource(limits=LIMITS)
    one = source._server("http://prometheus:9090")
    one.piece_size("shop").learn(60.0, 100)
    assert one.piece_size("shop").moments(60.0) == 100
    assert one.piece_size("bystander").moments(60.0) == 10_000
    await source.close()

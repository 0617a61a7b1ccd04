"""Calls are counted by how long they took and how they ended."""

import asyncio
import time
from bisect import bisect_left

import pytest

from scaler.metric import timing
from scaler.metric.timing import Timing
from scaler.telemetry.process_figures import RPC_BUCKETS
from tests.metric.port import refusal, registered, scaled_object, served


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0001, 0), (0.000101, 1), (0.05, RPC_BUCKETS.index(0.05)), (60.0, len(RPC_BUCKETS))],
)
def test_a_call_counts_in_the_bucket_of_its_time(seconds: float, bucket: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upper bounds belong to their bucket; what is longer than all of them has one of its own."""
    monkeypatch.setattr(timing, "perf_counter_ns", lambda: 1_000 + round(seconds * 1e9))
    times = Timing()
    times.of("GetMetrics", "OK").note(1_000)
    [(key, found)] = times.distributions().items()

    assert (key, found.counts.index(1), sum(found.counts)) == (("GetMetrics", "OK"), bucket, 1)
    assert found.total == pytest.approx(seconds)


async def test_calls_are_timed_by_outcome() -> None:
    """Answers, refusals and waits stand apart; streams have no time, because they are held open."""
    async with served(first_answer_wait=0.1) as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        await it.metrics(ref)
        await it.stub.IsActive(ref)
        await it.stub.GetMetricSpec(ref)
        await refusal(it.stub.IsActive(scaled_object(quantile="2")))
        await it.stub.StreamMetricSpec(ref).read()
        it.servicer.streams.drain()
        found = it.servicer.timing.distributions()

    assert {key: sum(one.counts) for key, one in found.items()} == {
        ("GetMetrics", "UNAVAILABLE"): 1,
        ("GetMetrics", "OK"): 1,
        ("IsActive", "OK"): 1,
        ("GetMetricSpec", "OK"): 1,
        ("IsActive", "INVALID_ARGUMENT"): 1,
    }
    waited = found["GetMetrics", "UNAVAILABLE"]
    assert waited.total >= 0.1
    assert waited.counts.index(1) >= bisect_left(RPC_BUCKETS, 0.1)


async def test_a_blocked_event_loop_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call cannot be timed while nothing takes it up; the samples of the loop can."""
    monkeypatch.setattr(timing, "LOOP_CHECK_SECONDS", 0.01)
    times = Timing()
    watching = asyncio.create_task(times.watch_loop())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - what is tested is a block
    await asyncio.sleep(0.05)
    watching.cancel()
    [found] = times.loop_delays().values()

    assert sum(found.counts[bisect_left(RPC_BUCKETS, 0.05) :]) >= 1
    assert sum(found.counts) > 1

"""Clocks: real, accelerated and manual."""

import asyncio
import time

import pytest

from scaler.clock import AcceleratedClock, SystemClock
from scaler.testing import ManualClock


async def test_an_accelerated_clock_starts_where_told_and_runs_faster() -> None:
    """A minute of its time passes in a moment."""
    clock = AcceleratedClock(speed=3600, start=1000.0)
    assert 1000 <= clock.now() < 1000 + 3600
    await clock.sleep_until(1060)
    assert clock.now() >= 1060


async def test_no_clock_sleeps_until_the_past() -> None:
    """A moment that has passed is reached at once."""
    for clock in (SystemClock(), AcceleratedClock(2), ManualClock(5)):
        await asyncio.wait_for(clock.sleep_until(clock.now() - 1), 5)


async def test_the_system_clock_does_not_wake_early() -> None:
    """Timers may fire a little early; the clock waits for its moment."""
    clock = SystemClock()
    moment = clock.now() + 0.05
    await clock.sleep_until(moment)
    assert time.time() >= moment


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    """The error names the value and the rule."""
    with pytest.raises(ValueError, match="must be above 0"):
        AcceleratedClock(speed)


async def test_manual_sleepers_wake_in_order_and_at_their_own_moment() -> None:
    """A loop that sleeps again on the way is woken each time."""
    clock = ManualClock(0)
    seen: list[tuple[str, float]] = []

    async def tick(name: str, every: float) -> None:
        while True:
            await clock.sleep_until(clock.now() + every)
            seen.append((name, clock.now()))

    tasks = [asyncio.create_task(tick("slow", 20)), asyncio.create_task(tick("quick", 15))]
    await clock.advance(45)
    assert seen == [("quick", 15), ("slow", 20), ("quick", 30), ("slow", 40), ("quick", 45)]
    assert clock.now() == 45
    for task in tasks:
        task.cancel()

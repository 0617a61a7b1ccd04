"""The demo's clock: fast where the scaler follows, slow where it does not."""

import asyncio
import time

import pytest

from training.demo.clock import AHEAD_SECONDS, WAITING, WaitingClock

START, FAST = 1_700_000_000.0, 1e6


def test_it_waits_for_what_is_observed() -> None:
    """It creeps on from a minute after the newest observation, and never goes back."""
    began = time.monotonic()
    clock = WaitingClock(START, FAST)
    clock.observed(START)
    time.sleep(0.01)
    shown = clock.now()
    assert START + AHEAD_SECONDS < shown <= START + AHEAD_SECONDS + (time.monotonic() - began) * FAST * WAITING
    clock.observed(START)
    assert clock.now() >= shown
    clock.observed(START + 1e12)
    time.sleep(0.01)
    assert clock.now() > shown + 0.005 * FAST


@pytest.mark.parametrize("ahead", [-10.0, 0.0, 3600.0])
def test_a_sleep_ends_at_its_moment(ahead: float) -> None:
    """Also where the clock becomes fast meanwhile, and at once where the moment has passed."""
    clock = WaitingClock(START, FAST)

    async def slept() -> float:
        sleeping = asyncio.create_task(clock.sleep_until(START + ahead))
        clock.observed(START + 1e9)
        await sleeping
        return clock.now()

    assert asyncio.run(slept()) >= START + ahead

"""The machine's clock is set while the refresh runs."""

from structlog.testing import capture_logs

from scaler.testing import ManualClock
from tests.refresh.test_refresh import START, replica, rising


async def test_a_clock_that_is_set_back_stops_nothing() -> None:
    """Demand is followed on at the moments that the clock shows now, and the step is logged once."""
    demand = [100.0]
    clock = ManualClock(START)
    with capture_logs() as note:
        async with replica(lambda _, __: demand[0], rising, clock=clock) as world:
            registration = world.call()
            await world.pass_time(60)
            clock.step_back(600)
            demand[0] = 500.0
            await world.pass_time(45)
            plan = world.plan(registration)
            assert plan.metric >= 500  # type: ignore[attr-defined]
            assert plan.at <= clock.now()  # type: ignore[attr-defined]
    assert [line["event"] for line in note if "clock" in line["event"]] == ["clock_set_back"]


async def test_silent_triggers_are_forgotten_from_the_first_refresh_on() -> None:
    """The first refresh follows no other: this process was not stopped before it."""
    clock = ManualClock(START)
    async with replica(lambda _, __: 100.0, rising, clock=clock) as world:
        world.call().last_called = START - 7 * 24 * 3600
        await world.pass_time(30)
        assert len(world.registry) == 0

"""Forecasts are put off for all servers together, and a slow server delays no choice."""

import asyncio
from collections.abc import Sequence

from scaler.history.arriving import Arriving
from scaler.series import Forecast
from scaler.testing import flat_forecast
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, World, replica, steady

EAST, WEST = "http://east:9090", "http://west:9090"
OF_EACH = 100


class Counting:
    """A forecaster that expects no growth, and counts; what is rehearsed lies before the start."""

    def __init__(self) -> None:
        self.forecasts = 0

    def __call__(self, _: str, end: float, __: object) -> Forecast:
        self.forecasts += end >= START
        return flat_forecast(end, [100.0] * 30)


async def fill(world: World) -> None:
    """Two servers with 100 triggers each, all with their history and a forecast."""
    for server in (EAST, WEST):
        for number in range(OF_EACH):
            world.call(f"web-{number}", serverAddress=server)
    await world.pass_time(20)
    assert len(world.refresh.tracking) == 2 * OF_EACH


def deferred(world: World) -> float | None:
    return world.telemetry.registry.get_sample_value("headway_deferred_forecasts")


async def test_servers_share_one_budget() -> None:
    """Half of 15 s at 0.05 s a forecast is 150 forecasts, however many servers the triggers are spread over."""
    forecast = Counting()
    async with replica(steady, forecast) as world:
        await fill(world)
        assert deferred(world) == 0
        forecast.forecasts, world.refresh.runner.seconds_per_forecast = 0, 0.05
        await world.pass_time(15)
        assert (forecast.forecasts, deferred(world)) == (150, 50)


async def test_a_hanging_server_delays_no_other() -> None:
    """While one server does not answer, the others are forecast and published, and the gauge counts all triggers."""
    forecast = Counting()
    async with replica(steady, forecast) as world:
        await fill(world)
        observe, released = world.source.observe, asyncio.Event()

        async def hang(triggers: Sequence[Trigger], at: float) -> Arriving:
            if triggers[0].server_address == EAST:
                await released.wait()
            async for part in observe(triggers, at):
                yield part

        world.source.observe = hang  # type: ignore[method-assign]
        forecast.forecasts, world.refresh.runner.seconds_per_forecast = 0, 0.05
        before = world.clock.now()
        await world.pass_time(15)
        west = [one for one in world.registry if one.trigger.server_address == WEST]
        assert all(one.current is not None and one.current.outlook.counts_from > before for one in west)
        assert deferred(world) == 50
        released.set()
        await world.pass_time(1)
        assert forecast.forecasts == 150

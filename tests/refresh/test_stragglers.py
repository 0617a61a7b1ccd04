"""A round of observing ends at its deadline, and each answer counts when it comes."""

import asyncio
from collections.abc import Sequence

from scaler.history.arriving import Arriving
from scaler.trigger import Trigger
from tests.refresh.test_refresh import World, replica, steady


def hold_back(world: World, name: str) -> tuple[asyncio.Event, list[float]]:
    """The source answers for the trigger `name` only after the event; the moments it is asked for."""
    observe, release, asked = world.source.observe, asyncio.Event(), []

    async def held_back(triggers: Sequence[Trigger], at: float) -> Arriving:
        quick = [i for i, trigger in enumerate(triggers) if trigger.name != name]
        held = [i for i, trigger in enumerate(triggers) if trigger.name == name]
        for members in (quick, held):
            if members is held and held:
                asked.append(at)
                await release.wait()
            async for part in observe([triggers[i] for i in members], at):
                yield [(members[i], value) for i, value in part]

    world.source.observe = held_back  # type: ignore[method-assign]
    return release, asked


def observed_at(world: World, name: str) -> float:
    (found,) = [one for one in world.refresh.tracking if one.trigger.name == name]
    assert found.registration.current is not None
    return found.registration.current.outlook.observation.at


async def test_neighbours_of_a_straggler_are_observed_and_published_in_every_round() -> None:
    """Their answers do not wait for it, and it is not asked again while its request is under way."""
    async with replica(steady, lambda *_: None) as world:
        quick, slow = world.call("quick"), world.call("slow")
        await world.pass_time(20)
        release, asked = hold_back(world, "slow")
        for _ in range(4):
            before = world.clock.now()
            await world.pass_time(15)
            assert quick.current.outlook.counts_from > before
            assert observed_at(world, "quick") > before - 15
        assert len(asked) == 1
        assert slow.current.outlook.counts_from > before, "its outlook is published without news"
        assert world.telemetry.registry.get_sample_value("headway_observe_deadlines_total") == 1
        release.set()
        await world.pass_time(1)
        assert observed_at(world, "slow") == asked[0]
        await world.pass_time(15)
        assert len(asked) == 2

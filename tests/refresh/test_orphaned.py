"""A replica whose lease is held by one that cannot, or does not, tell it anything; answers that cannot be read."""

from structlog.testing import capture_logs

from scaler.errors import CacheUnavailable
from scaler.forecast.cache import Memory, MemoryCache
from scaler.series import Samples
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, replica, rising


async def test_a_replica_that_is_told_nothing_refreshes_itself() -> None:
    """Leases work, publishing is refused (a Redis user without channels): both replicas follow demand, told once."""

    class Mute(MemoryCache):
        async def publish(self, outlooks: object, seconds: float) -> None:
            raise CacheUnavailable("NOPERM")

    clock, memory = ManualClock(START), Memory()
    memory.clock = clock.now
    with capture_logs() as note:
        async with (
            replica(lambda _, at: at - START, rising, Mute("a", memory), clock) as first,
            replica(lambda _, at: at - START, rising, Mute("b", memory), clock) as second,
        ):
            one, other = first.call(), second.call()
            for _ in range(12):
                await first.pass_time(30)
                first.registry.register("shop", "web", one.metadata, clock.now())
            for world, registration in ((first, one), (second, other)):
                assert world.plan(registration).metric >= clock.now() - START - 45
    assert sum(line["event"] == "cache_unavailable" for line in note) == 2


async def test_a_backfill_that_fails_in_an_unforeseen_way_is_tried_again() -> None:
    """An answer that breaks the reader costs one attempt, not the trigger's forecast."""
    failures = iter([RecursionError("garbled")])
    async with replica(lambda _, __: 100.0, rising) as world:
        read = world.source.samples

        async def samples(trigger: Trigger, start: float, end: float, step: float) -> Samples:
            for failure in failures:
                raise failure
            return await read(trigger, start, end, step)

        world.source.samples = samples  # type: ignore[method-assign]
        registration = world.call()
        await world.pass_time(60)
        assert world.plan(registration).rung.value == "forecast_and_observation"

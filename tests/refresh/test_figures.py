"""What the refresh exports about its own work."""

import pytest

from scaler.errors import SourceRefused, SourceUnavailable, StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.refresh import observing
from scaler.refresh.checkpoint import Checkpoint
from scaler.store.null import NullStore
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, World, replica, rising, steady
from tests.servers.process import until_async
from tests.status.scores import scored


def figure(world: World, name: str, **labels: str) -> float | None:
    return world.telemetry.registry.get_sample_value(f"headway_{name}", labels)


async def test_the_time_of_the_last_refresh_moves_on_with_each_that_succeeds() -> None:
    """0 before the first; a refresh that fails leaves the time as it was."""
    async with replica(steady, rising) as world:
        assert figure(world, "last_refresh_timestamp_seconds") == 0
        assert figure(world, "refresh_interval_seconds") == 15
        world.call()
        await world.pass_time(30)
        newest_tick = world.clock.now() // 15 * 15
        await until_async(lambda: (figure(world, "last_refresh_timestamp_seconds") or 0) >= newest_tick)
        last = figure(world, "last_refresh_timestamp_seconds")
        assert last is not None
        assert world.clock.now() - last < 16

        def broken(_: float) -> None:
            raise RuntimeError

        world.refresh.tracking.advance = broken  # type: ignore[method-assign]
        await world.pass_time(60)
        assert figure(world, "last_refresh_timestamp_seconds") == last
        failures = figure(world, "refresh_failures_total")
        assert failures is not None
        assert failures >= 2


async def test_deferrals_are_counted_over_all_refreshes() -> None:
    """The gauge shows the last refresh, the counter all of them."""
    async with replica(steady, rising) as world:
        for number in range(100):
            world.call(f"web-{number}")
        await world.pass_time(20)
        for refreshes in (1, 2):
            world.refresh.runner.seconds_per_forecast = 1.0  # measured anew after 64 forecasts
            await world.pass_time(15)
            assert figure(world, "deferred_forecasts") == 36
            assert figure(world, "forecast_deferrals_total") == 36 * refreshes


async def test_scores_of_all_triggers_are_exported_by_lead() -> None:
    """Those of a restart count from the next minute on, and those of a trigger that is gone no longer."""
    async with replica(steady, rising) as world:
        key = world.call().trigger.key
        world.call("other")
        await world.pass_time(30)
        world.refresh.tracking.scoring.resume(key, int(START // 86_400), scored().sums_BF)
        await until_figure(world, "lead_scored_triggers", 1, lead="60 min")
        assert figure(world, "lead_error_ratio", lead="5 min") == pytest.approx(0.1)
        assert figure(world, "lead_skill_ratio", lead="60 min") == pytest.approx(0.75)
        assert figure(world, "lead_coverage_ratio", lead="60 min", level="0.9") == 0
        assert figure(world, "lead_error_ratio", lead="60 min") is None
        world.refresh.tracking.scoring.remove(key)
        await until_figure(world, "lead_scored_triggers", None, lead="60 min")


async def until_figure(world: World, name: str, value: float | None, **labels: str) -> None:
    """Let two minutes pass at most."""
    for _ in range(8):
        await world.pass_time(15)
        if figure(world, name, **labels) == value:
            return
    raise AssertionError((name, figure(world, name, **labels)))


async def test_errors_of_sources_are_counted_by_server_and_kind() -> None:
    """The server's address is shown without what may be a credential."""

    def demand(trigger: Trigger, _: float) -> SourceUnavailable | SourceRefused:
        return SourceRefused("no") if "west" in trigger.server_address else SourceUnavailable("away")

    async with replica(demand, rising) as world:
        world.call("one", serverAddress="http://west:9090")
        world.call("two", serverAddress="http://east:9090/prometheus")
        world.call("three", serverAddress="http://east:9090/prometheus")
        await world.pass_time(1)
        assert figure(world, "source_errors_total", server="http://west:9090", kind="SourceRefused") == 1
        east = "http://east:9090/prometheus"
        assert figure(world, "source_errors_total", server=east, kind="SourceUnavailable") == 2


async def test_errors_of_many_servers_share_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants choose addresses where the allow-list has a `*`: they cannot make telemetry grow without end."""
    monkeypatch.setattr(observing, "MOST_SERVERS", 2)
    async with replica(lambda _, __: SourceUnavailable("away"), rising) as world:
        for number in range(5):
            world.call("one", serverAddress=f"http://s{number}:9090")
        await world.pass_time(1)
        assert figure(world, "source_errors_total", server="others", kind="SourceUnavailable") == 3


async def test_history_that_cannot_be_fetched_shows_how_long_it_has_been_missing() -> None:
    """One trigger fails, one is done; the wait goes back to 0 once all is fetched."""
    async with replica(steady, rising) as world:
        read, away = world.source.blocks, [True]

        async def blocks(trigger: Trigger, start: float, end: float, seconds: float) -> object:
            if trigger.name == "bad" and away[0]:
                raise SourceUnavailable("away")
            return await read(trigger, start, end, seconds)

        world.source.blocks = blocks  # type: ignore[assignment,method-assign]
        world.call("good")
        world.call("bad")
        await world.pass_time(31)
        states = {name: figure(world, "backfill_triggers", state=name) for name in ("done", "waiting", "failing")}
        assert states == {"done": 1, "waiting": 0, "failing": 1}
        waited = figure(world, "backfill_oldest_wait_seconds")
        assert waited == pytest.approx(20, abs=11)
        away[0] = False
        await world.pass_time(150)
        assert figure(world, "backfill_triggers", state="done") == 2
        assert figure(world, "backfill_oldest_wait_seconds") == 0


async def test_queues_are_counted_by_what_their_triggers_wait_for() -> None:
    """Nothing waits in an idle process; jobs of a backfill without workers do."""
    async with replica(steady, rising, backfill_concurrency=0) as world:
        world.call("one")
        world.call("two")
        assert world.refresh.queue_lengths()["new_registrations"] == 2
        await world.pass_time(1)
        assert world.refresh.queue_lengths() == {
            "new_registrations": 0,
            "backfill_fine": 2,
            "backfill_coarse": 2,
            "backfill_hole": 0,
            "backfill_minutes": 2,
            "first_forecasts": 0,
            "rehearsal": 0,
        }
    async with replica(steady, rising) as world:
        world.call()
        await world.pass_time(5)
        assert set(world.refresh.queue_lengths().values()) == {0}


async def test_what_a_store_that_is_away_leaves_unwritten_is_counted() -> None:
    """The queue empties with the next write that succeeds."""

    class Away(NullStore):
        is_away = True

        async def watch(self, records: object) -> None:
            if self.is_away:
                raise StoreUnavailable("away")

    async with replica(steady, rising) as world:
        store = Away()
        world.call("one")
        world.call("two")
        checkpoint = Checkpoint(world.registry, world.refresh.tracking, store, world.clock, world.telemetry, 3600)
        assert checkpoint.queue_lengths()["store_watched"] == 0
        await checkpoint.write()
        assert checkpoint.queue_lengths()["store_watched"] == 2
        store.is_away = False
        await checkpoint.write()
        assert checkpoint.queue_lengths() == {
            "store_watched": 0,
            "store_blocks": 0,
            "store_minutes": 0,
            "store_savings": 0,
        }


async def test_leases_that_move_between_replicas_are_counted() -> None:
    """Who gets the triggers of another has taken them over; who comes back without its lease has lost it."""
    clock, memory = ManualClock(START), SharedMemory()
    memory.clock = clock.now
    async with (
        replica(steady, rising, MemoryCache("a", memory), clock) as first,
        replica(steady, rising, MemoryCache("b", memory), clock) as second,
    ):
        for world in (first, second):
            world.call("one")
            world.call("two")
            await first.pass_time(2)
        await first.pass_time(30)
        assert [figure(world, "leases") for world in (first, second)] == [2, 0]
        assert figure(second, "leases_taken_over_total") == 0
        await first.refresh._replicas.leave([one.trigger.key for one in first.registry])
        await second.refresh.tick(clock.now())
        await first.refresh.tick(clock.now())
        assert [figure(world, "leases") for world in (first, second)] == [0, 2]
        await second.refresh.tick(clock.now())
        assert figure(second, "leases_taken_over_total") == 2
        assert figure(first, "leases_lost_total") == 2
        assert figure(first, "orphaned_triggers") == 0

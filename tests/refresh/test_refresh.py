"""The refresh, on a manual clock, with scripted demand and forecasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from scaler.errors import CacheUnavailable, DependencyError, SourceUnavailable
from scaler.forecast import Choice
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.plan import Rung
from scaler.refresh.local_time import utc_offset_seconds
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.registry import Registration, Registry
from scaler.series import Forecast, Grid
from scaler.store import Store
from scaler.store.null import NullStore
from scaler.telemetry.metrics import Telemetry
from scaler.testing import FixedSource, ManualClock, ScriptedForecaster, flat_forecast
from scaler.trigger import Trigger, TriggerRules

START = 1_700_000_100.0
GRID = Grid(step_seconds=60, steps=60, coarse_seconds=900, coarse_steps=96)
METADATA = {"query": "demand", "threshold": "10"}


@dataclass
class Chosen:
    """A catalog with one forecaster."""

    forecaster: ScriptedForecaster

    def choice(self, trigger: Trigger) -> Choice:
        return Choice(self.forecaster, "" if trigger.model == "auto" else f"no bundle {trigger.model!r}")


@dataclass
class World:
    """One replica: what it knows, what runs in the background, and its clock."""

    clock: ManualClock
    source: FixedSource
    registry: Registry
    refresh: Refresh
    telemetry: Telemetry

    def call(self, name: str = "web", **metadata: str) -> Registration:
        return self.registry.register("shop", name, {**METADATA, **metadata}, self.clock.now())

    async def pass_time(self, seconds: float) -> None:
        """Let the clock run in small steps, and the worker threads keep up with it."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            await self.clock.advance(min(1.0, end - self.clock.now()))
            await asyncio.sleep(0.005)

    def plan(self, registration: Registration) -> object:
        return self.registry.answer(registration, self.clock.now()).plan


@asynccontextmanager
async def replica(
    demand: Callable[[Trigger, float], float | DependencyError],
    forecast: Callable[[str, float, object], Forecast | None],
    cache: MemoryCache | None = None,
    clock: ManualClock | None = None,
    store: Store | None = None,
    **settings: float,
) -> AsyncIterator[World]:
    clock = clock or ManualClock(START)
    source, telemetry = FixedSource(demand), Telemetry()
    on_new: list[Callable[[Registration], None]] = []

    def added(registration: Registration) -> None:
        on_new[0](registration)

    registry = Registry(TriggerRules("http://p:9090", allowed_servers=("*",)), 15.0, on_new=added)
    refresh = Refresh(
        registry,
        source,
        Chosen(ScriptedForecaster(forecast, GRID)),
        cache or MemoryCache(),
        store or NullStore(),
        clock,
        telemetry,
        RefreshSettings(**settings),
    )
    on_new.append(refresh.add)
    loops = (
        refresh.run,
        refresh.run_new_registrations,
        refresh.run_first_forecasts,
        refresh.rehearsal.run,
        refresh.run_listen,
        refresh.backfill.run,
    )
    tasks = [asyncio.create_task(loop()) for loop in loops]
    try:
        yield World(clock, source, registry, refresh, telemetry)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await refresh.close()


def steady(_: Trigger, __: float) -> float:
    return 100.0


def rising(_: str, end: float, __: object) -> Forecast:
    return flat_forecast(end, [150.0] * 30)


async def test_a_model_that_is_not_there_is_logged_once() -> None:
    """A warning names the trigger and why; what is refreshed again is not logged again."""
    with capture_logs() as lines:
        async with replica(steady, rising) as world:
            registration = world.call(model="nonsense")
            world.call("api")
            await world.pass_time(40)
            assert "no bundle 'nonsense'" in world.registry.answer(registration, world.clock.now()).outlook.error
    assert [(one["name"], one["why"]) for one in lines if one["event"] == "model_not_used"] == [
        ("web", "no bundle 'nonsense'")
    ]


async def test_first_call_is_answered_from_an_observation_and_then_from_a_forecast() -> None:
    """A new trigger is observed at once, backfilled at once, and forecast without waiting for the next tick."""
    async with replica(steady, rising) as world:
        registration = world.call()
        await world.pass_time(3)
        assert world.plan(registration).rung is Rung.BOTH
        assert world.plan(registration).metric >= 150


async def test_the_first_answer_waits_for_a_forecast_that_is_coming() -> None:
    """A bare observation is published at once, but first calls need not take it while history is being fetched."""
    seen: list[tuple[bool, bool]] = []

    def forecast(_: str, end: float, __: object) -> Forecast:
        seen.append((registration.current is not None, registration.first_answer.is_set()))
        return flat_forecast(end, [150.0] * 30)

    async with replica(steady, forecast) as world:
        registration = world.call()
        await world.pass_time(3)

    assert seen[0] == (True, False)
    assert registration.first_answer.is_set()


@pytest.mark.parametrize(
    ("metadata", "forecast"),
    [({"mode": "reactive"}, rising), ({}, lambda *_: None)],
    ids=["reactive", "too little history"],
)
async def test_no_forecast_is_waited_for_where_none_comes(
    metadata: dict[str, str], forecast: Callable[[str, float, object], Forecast | None]
) -> None:
    """Without a forecast to come the observation is the first answer."""
    async with replica(steady, forecast) as world:
        registration = world.call(**metadata)
        await world.pass_time(3)
        assert registration.first_answer.is_set()
        assert world.plan(registration).metric == 100


async def test_every_tick_observes_at_multiples_of_the_interval() -> None:
    """All replicas ask for the same moments, whenever they were started."""
    async with replica(steady, rising) as world:
        world.call()
        await world.pass_time(60)
        ticks = [at for at, _ in world.source.observed if at % 15 == 0]
        assert len(ticks) >= 4


async def test_a_dead_source_leaves_the_forecast() -> None:
    """When observations stop, answers go on from the forecast and say so in the source's own words."""

    def demand(_: Trigger, at: float) -> float | DependencyError:
        return 100.0 if at < START + 30 else SourceUnavailable("connection refused")

    async with replica(demand, rising) as world:
        registration = world.call(maxStaleness="30s")
        await world.pass_time(120)
        assert world.plan(registration).rung is Rung.FORECAST
        assert "connection refused" in registration.current.outlook.error


async def test_the_error_of_a_source_that_never_answered_is_reported() -> None:
    """Without any observation the caller gets the source's error, not a made-up number."""
    async with replica(lambda _, __: SourceUnavailable("no route"), lambda *_: None) as world:
        registration = world.call()
        await world.pass_time(20)
        assert isinstance(registration.error, SourceUnavailable)


async def test_one_failing_trigger_disturbs_nobody() -> None:
    """Of two triggers on one server, the one that fails fails alone."""

    def demand(trigger: Trigger, _: float) -> float | DependencyError:
        return SourceUnavailable("broken") if trigger.name == "bad" else 100.0

    async with replica(demand, rising) as world:
        bad, good = world.call("bad"), world.call("good")
        await world.pass_time(20)
        assert bad.current is None
        assert world.plan(good).rung is Rung.BOTH


@pytest.mark.parametrize("raised", [ImportError("s3cret"), ValueError("s3cret"), UnicodeError("s3cret")])
async def test_an_exception_of_the_source_is_an_error_of_its_triggers_alone(raised: Exception) -> None:
    """They fail in our own words instead of waiting for ever, and count as looked at; another server is read."""

    def demand(trigger: Trigger, _: float) -> float | DependencyError:
        if trigger.name == "bad":
            raise raised
        return 100.0

    async with replica(demand, rising) as world:
        bad, good = world.call("bad"), world.call("good", serverAddress="http://other:9090")
        await world.pass_time(20)
        assert isinstance(bad.error, SourceUnavailable)
        assert str(bad.error).startswith(f"http://p:9090: unexpected {type(raised).__name__}")
        assert bad.ready
        assert world.plan(good).rung is Rung.BOTH


async def test_a_hole_is_filled_when_the_source_is_back() -> None:
    """History missed during an outage is fetched afterwards."""
    down = (START + 120, START + 720)

    def demand(_: Trigger, at: float) -> float | DependencyError:
        # what is asked for later about the outage is known: the source was unreachable, not blind
        return SourceUnavailable("away") if down[0] <= world.clock.now() < down[1] else 100.0

    async with replica(demand, rising) as world:
        registration = world.call()
        await world.pass_time(500)
        world.call()
        await world.pass_time(500)
        tracked = world.refresh.tracking.get(registration.trigger.key)
        assert tracked is not None
        assert tracked.table.coverage(tracked.key).steps >= 59


async def test_silent_triggers_are_forgotten() -> None:
    """Triggers without calls expire, and their memory is freed; KEDA never says goodbye."""
    async with replica(steady, rising, silence_seconds=60) as world:
        world.call()
        await world.pass_time(90)
        assert len(world.registry) == 0
        assert len(world.refresh.tracking) == 0


async def test_forecasts_are_scored_until_the_trigger_is_forgotten() -> None:
    """A forecast of 150 for a demand of 100; nothing of a trigger without forecasts, and nothing once it is silent."""
    async with replica(steady, rising, silence_seconds=400) as world:
        web, plain = world.call(), world.call("plain", mode="reactive")
        await world.pass_time(330)
        scores = web.scores()
        assert scores is not None
        assert scores.buckets["2 min"].bias == pytest.approx(50, rel=0.01)
        assert 1 <= scores.buckets["2 min"].count <= 4
        assert plain.scores() is None
        await world.pass_time(120)
        assert (len(world.refresh.tracking), web.scores()) == (0, None)


async def test_one_replica_refreshes_and_both_answer_alike() -> None:
    """With a shared cache one replica observes a trigger; the other answers with the same number at every moment."""
    clock, memory = ManualClock(START), SharedMemory()
    memory.clock = clock.now
    grace = {"publish_grace_seconds": 1.0}
    async with (
        replica(steady, rising, MemoryCache("a", memory), clock, **grace) as first,
        replica(steady, rising, MemoryCache("b", memory), clock, **grace) as second,
    ):
        one, other = first.call(), second.call()
        await first.pass_time(5)
        for _ in range(50):
            await first.pass_time(1)
            assert first.plan(one) == second.plan(other)
        assert {len(first.refresh.tracking), len(second.refresh.tracking)} == {0, 1}


async def test_the_hpa_is_followed_also_where_nobody_asks() -> None:
    """It read what was published last, which counts since long when the next refresh begins."""

    def doubling(_: str, end: float, __: object) -> Forecast:
        return flat_forecast(end, [200.0 if end < START + 25 else 400.0] * 30)

    async with replica(steady, doubling, publish_grace_seconds=1.0) as world:
        world.call(threshold="50")
        await world.pass_time(20)
        assert [one.memory.conclusions["replicas"] for one in world.refresh.tracking] == [4]
        await world.pass_time(30)
        assert [one.memory.conclusions["replicas"] for one in world.refresh.tracking] == [8]


async def test_all_replicas_know_that_demand_outgrows_its_forecasts() -> None:
    """One sees it, and publishes by how much; all plan with it, and say so."""

    def crowd(at: float) -> float:
        return 100.0 * 1.1 ** ((at - START) / 60)

    def too_little(_: str, end: float, __: object) -> Forecast:
        return flat_forecast(end, [crowd(end)] * 30)

    clock, memory = ManualClock(START), SharedMemory()
    memory.clock = clock.now
    grace = {"publish_grace_seconds": 1.0}
    async with (
        replica(lambda _, at: crowd(at), too_little, MemoryCache("a", memory), clock, **grace) as first,
        replica(lambda _, at: crowd(at), too_little, MemoryCache("b", memory), clock, **grace) as second,
    ):
        one, other = (world.call(threshold="50", leadTime="1m") for world in (first, second))
        await first.pass_time(200)
        assert [reason.rule for reason in first.plan(one).reasons] == ["need"]
        await first.pass_time(50)
        assert [reason.rule for reason in first.plan(one).reasons] == ["need", "surge"]
        assert first.plan(one) == second.plan(other)
        assert other.current.outlook.remembered["growth"] == pytest.approx(1.1**1.5, abs=2e-3)


async def test_a_lost_cache_makes_every_replica_work_alone() -> None:
    """Without the shared cache each replica refreshes all its triggers itself."""

    class Lost(MemoryCache):
        async def lease(self, keys: object, seconds: float) -> set[str]:
            raise CacheUnavailable("gone")

        async def receive(self, keys: object) -> dict[str, object]:
            raise CacheUnavailable("gone")

        async def publish(self, outlooks: object, seconds: float) -> None:
            raise CacheUnavailable("gone")

    async with replica(steady, rising, Lost()) as world:
        registration = world.call()
        await world.pass_time(20)
        assert world.plan(registration).rung is Rung.BOTH


async def test_a_failing_model_leaves_the_observation() -> None:
    """A graph that raises is logged and counted; answers fall back to what was observed."""

    def broken(*_: object) -> Forecast:
        raise RuntimeError("graph")

    async with replica(steady, broken) as world:
        registration = world.call()
        await world.pass_time(20)
        assert world.plan(registration).rung is Rung.OBSERVATION
        assert world.plan(registration).metric == 100


def test_offsets_follow_daylight_saving() -> None:
    """A zone's offset is that of the moment asked for."""
    assert utc_offset_seconds("Europe/Berlin", 1_704_067_200) == 3600
    assert utc_offset_seconds("Europe/Berlin", 1_719_792_000) == 7200


async def test_an_outage_is_logged_once_per_kind() -> None:
    """However many triggers a server has, its outage is one line in the log, and its return another."""

    def demand(_: Trigger, at: float) -> float | DependencyError:
        return SourceUnavailable("away") if START + 30 < at < START + 90 else 100.0

    with capture_logs() as logs:
        async with replica(demand, rising) as world:
            for number in range(5):
                world.call(f"web-{number}")
            await world.pass_time(120)
    note = [(entry["event"], entry["triggers"]) for entry in logs if entry["event"].startswith("observation_")]
    assert note == [("observation_failed", 5), ("observation_back", 5)]


async def test_a_lost_cache_is_waited_for_once_a_tick() -> None:
    """Between ticks nothing waits for a cache that does not answer: a slow failure must not slow the answers."""
    calls = []

    class Hanging(MemoryCache):
        async def lease(self, keys: object, seconds: float) -> set[str]:
            calls.append("lease")
            raise CacheUnavailable("no answer in time")

        async def publish(self, outlooks: object, seconds: float) -> None:
            calls.append("publish")
            raise CacheUnavailable("no answer in time")

    async with replica(steady, rising, Hanging()) as world:
        for number in range(5):
            world.call(f"web-{number}")
        await world.pass_time(61)
    assert "publish" not in calls
    assert len(calls) <= 6

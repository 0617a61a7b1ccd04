"""What triggers were answered with survives a restart, with a real SQLite file between two lives of a replica."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scaler.errors import DependencyError, NotReady, SourceUnavailable
from scaler.forecast.record import pack
from scaler.plan import Plan, Rung
from scaler.refresh import earlier_outlooks
from scaler.refresh.earlier_outlooks import AHEAD, NOBODY, OLD, UNREADABLE, USELESS, WAITING_SECONDS, EarlierOutlooks
from scaler.refresh.saving_outlooks import OutlookWriter, row_of
from scaler.registry import Registration, Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.store.outlooks import KEPT_SECONDS, OutlookRow
from scaler.store.sql_store import SqlStore, open_store
from scaler.store.stored_outlooks import SqlOutlooks
from scaler.testing import ManualClock, flat_forecast
from scaler.trigger import Trigger, TriggerRules
from tests.refresh.test_refresh import METADATA, START, World, replica, rising, steady

RULES = TriggerRules("http://p:9090", allowed_servers=("*",))


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqlOutlooks]:
    store = open_store(None, tmp_path)
    assert isinstance(store, SqlStore)
    yield SqlOutlooks(store.database)
    await store.close()


def away(*_: object) -> DependencyError:
    return SourceUnavailable("no connection")


async def ended(table: SqlOutlooks, world: World) -> None:
    await OutlookWriter(world.refresh.tracking, table, world.clock).finish()


async def stored(table: SqlOutlooks, clock: ManualClock, **metadata: str) -> tuple[str, Plan]:
    """The key of a trigger, and its plan when its replica ended."""
    async with replica(steady, rising, clock=clock) as world:
        registration = world.call(**metadata)
        await world.pass_time(40)
        plan = world.registry.answer(registration, clock.now()).plan
        await ended(table, world)
        return registration.trigger.key, plan


async def rows_in(table: SqlOutlooks, clock: ManualClock) -> dict[str, OutlookRow]:
    return {key: row async for page in table.load(100, clock.now()) for key, row in page}


async def begun(table: SqlOutlooks, clock: ManualClock) -> EarlierOutlooks:
    earlier = EarlierOutlooks(table, clock)
    await earlier.read(100)
    return earlier


async def taken_up(
    table: SqlOutlooks, clock: ManualClock, **metadata: str
) -> tuple[Registration, list[dict[str, object]]]:
    """A trigger that is called for after a restart, and what the log says of it."""
    earlier = await begun(table, clock)
    registry = Registry(RULES, 15.0, on_new=lambda one: earlier.take_up(one, registry))
    with capture_logs() as lines:
        registration = registry.register("shop", "web", {**METADATA, **metadata}, clock.now())
        earlier.report()
    return registration, [dict(line) for line in lines]


def reasons(lines: list[dict[str, object]]) -> list[object]:
    return [line["reason"] for line in lines if line["event"] == "outlooks_ignored"]


async def test_a_restart_answers_as_before(table: SqlOutlooks) -> None:
    """At once, although no source answers; and goes on from the forecast as long as it reaches."""
    clock = ManualClock(START)
    _, before = await stored(table, clock)
    assert before.rung is Rung.BOTH
    await clock.advance(5)
    earlier = await begun(table, clock)
    async with replica(away, rising, clock=clock) as world:
        registration = world.call()
        earlier.take_up(registration, world.registry)
        plan = world.registry.answer(registration, clock.now()).plan
        assert (plan.rung, plan.metric) == (before.rung, before.metric)
        await world.pass_time(20)
        assert world.registry.answer(registration, clock.now()).plan.rung is Rung.BOTH
        for _ in range(6):
            await world.clock.advance(60)
            await world.pass_time(1)
            world.call()
        assert world.registry.answer(registration, clock.now()).plan.rung is Rung.FORECAST, "maxStaleness is 5m"


async def test_an_old_observation_is_not_answered_as_if_it_were_new(table: SqlOutlooks) -> None:
    """Its own time travels along: after maxStaleness only the forecast counts, as without a restart."""
    clock = ManualClock(START)
    await stored(table, clock)
    await clock.advance(400)
    registration, lines = await taken_up(table, clock)
    assert registration.current is not None
    assert (registration.current.plan.rung, reasons(lines)) == (Rung.FORECAST, [])


async def test_what_would_be_no_answer_is_not_taken_up(table: SqlOutlooks) -> None:
    """The first call waits for the first observation then, as for any new trigger."""
    clock = ManualClock(START)
    await stored(table, clock, mode="reactive", maxStaleness="1m")
    await clock.advance(120)
    registration, lines = await taken_up(table, clock, mode="reactive", maxStaleness="1m")
    assert (registration.current, registration.ready, reasons(lines)) == (None, False, [USELESS])


async def test_what_is_too_old_is_ignored(table: SqlOutlooks) -> None:
    clock = ManualClock(START)
    await stored(table, clock)
    await clock.advance(KEPT_SECONDS + 30)
    registration, lines = await taken_up(table, clock)
    assert (registration.current, reasons(lines)) == (None, [OLD])


async def test_what_comes_from_the_future_is_ignored(table: SqlOutlooks) -> None:
    """It would keep out everything that is published until then."""
    clock = ManualClock(START)
    await stored(table, clock)
    clock.step_back(600)
    registration, lines = await taken_up(table, clock)
    assert (registration.current, reasons(lines)) == (None, [AHEAD])


@pytest.mark.parametrize("damage", ["cut", "flipped", "another version", "empty"])
async def test_a_damaged_row_is_ignored(table: SqlOutlooks, damage: str) -> None:
    """And the one beside it counts."""
    clock = ManualClock(START)
    key, _ = await stored(table, clock)
    record = (await rows_in(table, clock))[key].record
    middle = len(record) // 2
    bad = {
        "cut": record[:-9],
        "flipped": record[:middle] + bytes([record[middle] ^ 1]) + record[middle + 1 :],
        "another version": b"HWO\x09" + record[4:],
        "empty": b"",
    }[damage]
    at = clock.now() + 1
    await table.save({key: OutlookRow(at, at, bad)})
    registration, lines = await taken_up(table, clock)
    assert (registration.current, reasons(lines)) == (None, [UNREADABLE])
    with pytest.raises(NotReady):
        Registry(RULES, 15.0).answer(registration, clock.now())


async def test_an_edited_trigger_begins_anew(table: SqlOutlooks) -> None:
    """Its answer of before is that of another trigger; the log says that nobody has asked for it."""
    clock = ManualClock(START)
    await stored(table, clock)
    registration, lines = await taken_up(table, clock, query="other")
    assert (registration.current, lines) == (None, [])
    running = asyncio.create_task((await begun(table, clock)).run())
    with capture_logs() as later:
        await clock.advance(WAITING_SECONDS + 1)
    running.cancel()
    assert reasons([dict(line) for line in later]) == [NOBODY]


async def test_what_another_replica_has_published_counts_where_it_is_newer(table: SqlOutlooks) -> None:
    """And what is stored, where it is not."""
    clock = ManualClock(START)
    key, _ = await stored(table, clock)
    now = clock.now()
    for at, metric in ((now + 1, 70.0), (now - 60, 150.0)):
        earlier = await begun(table, clock)
        registry = Registry(RULES, 15.0)
        registration = registry.register("shop", "web", METADATA, now)
        registry.receive(key, Outlook(now, Observation(at, 70.0, 70.0, 70.0), None), now)
        earlier.take_up(registration, registry)
        assert registration.current is not None
        assert registration.current.plan.metric >= metric
        assert (registration.current.outlook.forecast is None) == (metric == 70.0)


async def test_the_newest_of_several_replicas_stays(table: SqlOutlooks) -> None:
    """One whose source was away ends last."""
    clock = ManualClock(START)
    key, before = await stored(table, clock)
    late = Outlook(clock.now() + 1, Observation(START - 200, 3.0, 3.0, 3.0), None)
    await table.save({key: OutlookRow(late.counts_from, START - 200, pack(late))})
    registration, _ = await taken_up(table, clock)
    assert registration.current is not None
    assert registration.current.plan.metric == before.metric


async def test_a_fault_of_ours_costs_no_more_than_the_row(table: SqlOutlooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger is watched all the same."""

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    clock = ManualClock(START)
    await stored(table, clock)
    monkeypatch.setattr(earlier_outlooks, "fault", broken)
    registration, lines = await taken_up(table, clock)
    assert registration.current is None
    assert [line["event"] for line in lines] == ["outlook_not_taken_up"]


async def test_its_forecast_counts_until_the_next_refresh(table: SqlOutlooks) -> None:
    """When its history arrives, the forecast that is there is good enough for some seconds: a thousand triggers are
    forecast together at the next tick, and not one by one."""
    clock = ManualClock(START)
    await stored(table, clock)
    forecasts: list[float] = []

    def counted(key: str, end: float, history: object) -> Forecast:
        if end > START:  # the rehearsal forecasts past moments
            forecasts.append(end)
        return rising(key, end, history)

    await clock.set(START + 61)  # eleven seconds after a tick
    earlier = await begun(table, clock)
    async with replica(steady, counted, clock=clock) as world:
        registration = world.call()
        earlier.take_up(registration, world.registry)
        await world.pass_time(3)
        assert forecasts == []
        assert world.registry.answer(registration, clock.now()).plan.rung is Rung.BOTH
        await world.pass_time(15)
        assert forecasts


async def test_the_peak_before_the_restart_is_known_until_the_past_is_fetched(table: SqlOutlooks) -> None:
    """Rule `hold` keeps no more than the recent peak: without it, replicas would be released that are needed again."""
    clock = ManualClock(START)
    key, _ = await stored(table, clock)
    seen = Observation(clock.now(), 100.0, 900.0, 2000.0)
    outlook = Outlook(clock.now(), seen, flat_forecast(clock.now(), [150.0] * 60))
    await table.save({key: OutlookRow(clock.now() + 1, clock.now() + 1, pack(outlook))})

    def falling(_: Trigger, at: float) -> float | DependencyError:
        return 100.0 if at > START + 40 else SourceUnavailable("its past is not reachable")

    earlier = await begun(table, clock)
    async with replica(falling, rising, clock=clock) as world:
        world.source.samples = _no_past  # type: ignore[method-assign]
        registration = world.call()
        earlier.take_up(registration, world.registry)
        await world.pass_time(30)
        assert registration.current is not None
        observation = registration.current.outlook.observation
        assert observation is not None
        assert observation.at > seen.at
        assert (observation.recent_peak, observation.history_peak) == (900.0, 2000.0)
        for _ in range(62):
            world.call()
            await world.pass_time(1)
            await world.clock.advance(14)
        later = registration.current.outlook.observation
        assert later is not None
        assert (later.recent_peak, later.history_peak) == (100.0, 2000.0), "a quarter of an hour later it is not recent"


async def _no_past(*_: object) -> object:
    raise SourceUnavailable("its past is not reachable")


async def test_what_is_old_is_removed_while_the_process_runs(table: SqlOutlooks) -> None:
    clock = ManualClock(START)
    key, _ = await stored(table, clock)
    async with replica(steady, rising, clock=clock) as world:
        running = asyncio.create_task(OutlookWriter(world.refresh.tracking, table, clock).run())
        assert key in await rows_in(table, clock)
        for _ in range(2):
            await clock.advance(KEPT_SECONDS + 1)
            await world.pass_time(1)
        running.cancel()
    assert key not in await rows_in(table, clock)


def test_a_forecast_too_large_to_be_stored_is_left_out() -> None:
    """The others are stored."""
    small = Outlook(START, None, flat_forecast(START, [1.0] * 30))
    large = replace(small, forecast=flat_forecast(START, [1.0] * 3000))
    assert row_of(small) is not None
    assert row_of(large) is None

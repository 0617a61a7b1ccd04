"""Which plans are kept, and how they come into the store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scaler.errors import StoreRefused, StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.plan import Plan, Reason, Rung
from scaler.refresh.keeping_plans import PlanKeeper
from scaler.refresh.past_plans import PlanNotes, _replicas
from scaler.refresh.rounds import SWEEP_SECONDS
from scaler.series import Observation, Outlook
from scaler.store.database import Sqlite
from scaler.store.plans import NullPlans, PlanStore
from scaler.store.stored_plans import SqlPlans
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import World, replica, rising, steady

BEGIN = 1_700_006_400.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, "", key="shop/web/0f")
ALL = PastPlansAsked("shop", "web", 0.0, 2e9, 500)


def plan(at: float, metric: float | None = 65.0, rules: Sequence[str] = ("need", "floor"), **other: object) -> Plan:
    reasons = tuple(Reason(rule, "why", None, 65.0) for rule in rules)
    made = Plan(at, Rung.BOTH, metric, metric, True, 60.0, 65.0, "general@1", reasons)
    return replace(made, **other)  # type: ignore[arg-type]


class Noting:
    """The plans of one trigger, a refresh every 15 s."""

    def __init__(self, most_waiting: int = 100) -> None:
        self.notes = PlanNotes(most_waiting)

    def note(self, *plans: Plan, remembered: dict[str, float] | None = None) -> None:
        for one in plans:
            outlook = Outlook(one.at, Observation(one.at, 65.0, 65.0, 65.0), None, "", remembered or {})
            self.notes.note(TRIGGER, one, outlook)

    @property
    def kept(self) -> list[PastPlan]:
        return list(self.notes.first(10_000))

    @property
    def kept_at(self) -> list[float]:
        return [one.at - BEGIN for one in self.kept]


def test_a_plan_is_kept_when_it_changes() -> None:
    """The replicas that the HPA wants; who gave reasons; the rung; the model. Not every number."""
    one = Noting()
    changes = (
        {"metric": 65.0}, {"metric": 69.9}, {"metric": 70.1}, {"rules": ("need",)}, {"rung": Rung.FORECAST},
        {"model": "general@2"}, {"metric": None},
    )  # fmt: skip
    kept: dict[str, object] = {}
    for n, change in enumerate(changes):
        kept |= change
        one.note(plan(BEGIN + 60 * n, **kept))  # type: ignore[arg-type]
    assert one.kept_at == [0, 120, 180, 240, 300, 360]
    assert [each.replicas for each in one.kept] == [7, 8, 8, 8, 8, None]


def test_once_a_minute_at_most() -> None:
    """A change within the minute is kept in the next one, unless it is undone by then."""
    one = Noting()
    metrics = [65, 75, 85, 95, 95, 65, 95, 95, 95, 95]
    one.note(*(plan(BEGIN + 15 * n, float(metric)) for n, metric in enumerate(metrics)))
    assert one.kept_at == [0, 60]
    assert [each.metric for each in one.kept] == [65, 95]


def test_what_stays_is_renewed_every_hour() -> None:
    one = Noting()
    one.note(*(plan(BEGIN + 15 * n) for n in range(4 * 60 * 3)))
    assert one.kept_at == [0, 3600, 7200]


def test_a_clock_that_is_set_back_is_followed() -> None:
    one = Noting()
    one.note(plan(BEGIN), plan(BEGIN - 7200), plan(BEGIN - 7140, 95.0))
    assert one.kept_at == [0, -7200, -7140]


def test_a_shadow_plan_counts_by_what_it_would_have_answered() -> None:
    one = Noting()
    one.note(plan(BEGIN, planned=65.0), plan(BEGIN + 60, planned=105.0), plan(BEGIN + 120, planned=106.0))
    assert one.kept_at == [0, 60]


def test_the_quantile_that_was_read() -> None:
    """The trigger's own; a higher one where demand exceeds it too often; none without forecast."""
    one = Noting()
    raised = plan(BEGIN + 60, rules=("need", "coverage"))
    one.note(
        plan(BEGIN), raised, plan(BEGIN + 120, need=None, rules=("fallback", "floor")), remembered={"level_shift": 0.6}
    )
    assert [each.quantile for each in one.kept] == [0.9, pytest.approx(0.9425, abs=0.001), None]


def test_numbers_that_no_database_takes_are_none() -> None:
    one = Noting()
    one.note(plan(BEGIN, float("inf"), need=float("nan")))
    (kept,) = one.kept
    assert (kept.metric, kept.need, kept.replicas) == (None, None, None)


def test_a_full_queue_drops_the_oldest() -> None:
    one = Noting(most_waiting=3)
    one.note(*(plan(BEGIN + 60 * n, 10.0 * n) for n in range(5)))
    assert one.kept_at == [120, 180, 240]
    assert (one.notes.take_dropped(), one.notes.take_dropped()) == (2, 0)
    first = one.kept
    one.note(plan(BEGIN + 300, 300.0))
    one.notes.stored(first)
    assert one.kept_at == [300]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[SqlPlans]:
    store = SqlPlans(Sqlite(tmp_path / "headway.db"))
    yield store
    await store.close()


async def ticks(world: World, seconds: float) -> None:
    """One refresh after the other, without the wait between them."""
    for _ in range(round(seconds / 15)):
        await world.clock.advance(15)
        world.call()
        await world.refresh.tick(world.clock.now())


def keeper(world: World, store: PlanStore, telemetry: Telemetry | None = None) -> PlanKeeper:
    return PlanKeeper(world.refresh.tracking, store, world.clock, telemetry or Telemetry())


async def test_the_owner_keeps_what_it_publishes(kept: SqlPlans) -> None:
    """Two replicas share outlooks: one plan a minute at most, by the one with the lease; the other keeps none."""
    clock, memory = ManualClock(BEGIN), SharedMemory()
    memory.clock = clock.now

    def wave(_: Trigger, at: float) -> float:
        return 100.0 + 30.0 * ((at - BEGIN) // 300)

    async with (
        replica(wave, rising, MemoryCache("a", memory), clock) as first,
        replica(wave, rising, MemoryCache("b", memory), clock) as second,
    ):
        first.call()
        await first.pass_time(3)
        second.call()
        for _ in range(80):
            await clock.advance(15)
            for world in (first, second):
                world.call()
                await world.refresh.tick(clock.now())
        assert second.registry.get(second.call().trigger.key).current is not None  # type: ignore[union-attr]
        assert second.refresh.tracking.plans.waiting == 0
        await keeper(first, kept).finish()
        found = await kept.load(ALL)
        now = first.plan(first.call())
    assert len({one.minute for one in found}) == len(found) >= 4
    assert found[0].metric == now.metric  # type: ignore[attr-defined]
    assert [one["rule"] for one in found[0].reasons] == [one.rule for one in now.reasons]  # type: ignore[attr-defined]
    assert {one.model for one in found if one.quantile is not None} == {"scripted@1"}


class Away(NullPlans):
    """Answers when it is told to."""

    def __init__(self, error: StoreUnavailable | None = None) -> None:
        self.is_away = True
        self.error = error or StoreUnavailable("away")
        self.plans: list[PastPlan] = []
        self.swept: list[tuple[float, float]] = []

    async def save(self, wanted: Sequence[PastPlan]) -> None:
        if self.is_away:
            raise self.error
        self.plans += wanted

    async def sweep(self, passed: float, now: float) -> None:
        self.swept.append((passed, now))


async def test_a_store_that_is_away_gets_all_of_it_later() -> None:
    """Telemetry shows what waits, and what was lost."""
    store, telemetry = Away(), Telemetry()
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        one = Noting()
        one.notes = world.refresh.tracking.plans
        writing = keeper(world, store, telemetry)
        one.note(*(plan(BEGIN + 60 * n, 10.0 * n) for n in range(600)))
        assert not await writing.step()
        assert writing.queue_lengths() == {"store_plans": 600}
        store.is_away = False
        assert await writing.step()
        assert [each.replicas for each in store.plans] == list(range(600))
        assert writing.queue_lengths() == {"store_plans": 0}
        store.is_away = True
        one.notes._most_waiting = 3
        one.note(*(plan(BEGIN + 60 * n, 10.0 * n) for n in range(600, 605)))
        await writing.step()
        assert telemetry.registry.get_sample_value("headway_plans_dropped_total") == 2


async def test_a_store_that_refuses_plans_is_logged_once() -> None:
    """The checkpoint, which writes other tables, would not notice."""
    store = Away(StoreRefused("permission denied for table plans"))
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        one = Noting()
        one.notes = world.refresh.tracking.plans
        one.note(plan(BEGIN))
        writing = keeper(world, store)
        with capture_logs() as lines:
            assert [await writing.step() for _ in range(3)] == [False] * 3
    assert [(line["event"], line["plans"]) for line in lines] == [("plans_not_stored", 1)]


async def test_sweeps_go_by_a_moment_that_has_passed() -> None:
    """A clock that is ahead for a moment removes nothing: it is behind again at the sweep after."""
    store = Away()
    store.is_away = False
    clock = ManualClock(BEGIN)
    async with replica(steady, rising) as world:
        writing = PlanKeeper(world.refresh.tracking, store, clock, Telemetry())
        for seconds in (60.0, SWEEP_SECONDS, 30 * 86400.0):
            await clock.advance(seconds)
            await writing.step()
    first, second = BEGIN + 60 + SWEEP_SECONDS, BEGIN + 60 + SWEEP_SECONDS + 30 * 86400
    assert store.swept == [(BEGIN, first), (first, second)]


async def test_a_process_that_ends_does_not_wait_for_a_store_that_is_away() -> None:
    """One line in the log says how much is lost."""
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        one = Noting()
        one.notes = world.refresh.tracking.plans
        one.note(plan(BEGIN))
        with capture_logs() as lines:
            await keeper(world, Away()).finish()
    assert [(line["event"], line["plans"]) for line in lines if line["event"] == "plans_not_stored"] == [
        ("plans_not_stored", 1)
    ]


async def test_a_trigger_that_is_forgotten_takes_no_room() -> None:
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        world.call()
        await world.pass_time(3)
        await ticks(world, 60)
        assert len(world.refresh.tracking.plans._noted) == 1
        world.refresh.tracking.drop(world.call().trigger.key)
        assert not world.refresh.tracking.plans._noted
        assert world.refresh.tracking.plans.waiting >= 1


def test_more_replicas_than_an_integer_holds_are_written_as_the_most() -> None:
    """One row that the database refuses would hold up all others."""
    assert _replicas(4e9, 1.0) == _replicas(9e15, 0.001) == 2**31 - 1
    assert _replicas(61.0, 10.0) == 7

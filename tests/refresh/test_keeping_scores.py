"""Scores from the refresh into the store and back, with a real SQLite file between two lives of a replica."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog

from scaler.errors import StoreUnavailable
from scaler.forecast.cache import MemoryCache, SharedMemory
from scaler.refresh.keeping_scores import ScoreKeeper
from scaler.refresh.score_records import ScoreRecords
from scaler.refresh.scoring import Scoring
from scaler.scored import LEADS, SUMS, Owner, ScoredDay, ScoredHour, ScoresAsked, WeekAsked
from scaler.scoring import Scores
from scaler.scoring.hours import Hour
from scaler.scoring.losses import FIGURES, LEVELS, Figure
from scaler.scoring.pending import BUCKETS
from scaler.scoring.scores import DAY_KEEPS
from scaler.store import Store
from scaler.store.scores import NullScores, ScoreStore
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import Trigger
from tests.refresh.test_refresh import START, World, replica, rising, steady

HOUR = 3600.0
BEGIN = START // HOUR * HOUR
ASKED = ScoresAsked("shop", "web", "2 min", (0, 2**31 - 1))
TRIGGER = Trigger("shop", "web", "demand", 10.0, "", key="shop/web/0f")
OWNER = Owner("shop", "web", "0f")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(None, tmp_path)
    yield opened
    await opened.close()


def keeper(world: World, store: ScoreStore, telemetry: Telemetry | None = None) -> ScoreKeeper:
    return ScoreKeeper(world.refresh.tracking, store, world.clock, telemetry or Telemetry())


async def ticks(worlds: Sequence[World], minutes: int, seconds: float = 60.0) -> None:
    """Refreshes; each minute scores once."""
    for _ in range(round(60 * minutes / seconds)):
        await worlds[0].clock.advance(seconds)
        for world in worlds:
            world.call()
            await world.refresh.tick(world.clock.now())


@asynccontextmanager
async def scoring_replica(clock: ManualClock, cache: MemoryCache | None = None) -> AsyncIterator[World]:
    async with replica(steady, rising, cache, clock) as world:
        world.call()
        await world.pass_time(3)
        yield world


def of(world: World) -> Scores | None:
    (registration,) = world.registry
    return registration.scores()


def count(scores: Scores | None, lead: str = "2 min") -> int:
    found = None if scores is None else scores.of(lead)
    return 0 if found is None else found.count


async def forecasts(kept: ScoreStore) -> float:
    return sum(one.sums[Figure.COUNT] for one in await kept.days(ASKED))


def test_columns_are_the_figures() -> None:
    """The names of columns are in the order of the sums that are made."""
    names = {
        "COUNT": "forecasts",
        "PINBALL": "pinball",
        "PERSISTENCE": "pinball_of_newest",
        "BESIDE_SEASONAL": "pinball_beside_season",
        "SEASONAL": "pinball_of_season",
        "ABSOLUTE": "absolute_error",
        "BIAS": "error",
        "SQUARED": "squared_error",
        "PERCENT": "relative_error",
        "PERCENT_COUNT": "relative_forecasts",
        "SYMMETRIC": "symmetric_error",
        "PROMISED": "own_pinball",
        "PROMISED_PERSISTENCE": "own_pinball_of_newest",
        "HELD": "held",
    }
    assert [figure.name for figure in Figure] == list(names)
    assert list(SUMS) == [*names.values(), *(f"within_p{round(100 * level)}" for level in LEVELS)]
    assert len(SUMS) == FIGURES
    assert LEADS == BUCKETS


async def test_an_hour_is_stored_when_it_is_over(store: Store) -> None:
    """Every lead of which something was scored, once; the hour under way when the process ends."""
    kept = scores_beside(store)
    async with scoring_replica(ManualClock(BEGIN + 1800)) as world:
        keep = keeper(world, kept)
        await ticks([world], 28)
        assert await keep.step()
        assert await kept.days(ASKED) == []
        in_first = count(of(world))
        await ticks([world], 3)
        assert await keep.step()
        assert 0 < await forecasts(kept) <= in_first + 2
        await ticks([world], 20)
        await keep.finish()
        assert await forecasts(kept) == count(of(world))
        await keep.finish()
        assert await forecasts(kept) == count(of(world))
        (day,) = await kept.days(ASKED)
        assert day.minutes == pytest.approx(51, abs=2)
        assert day.quantile == 0.9
        live = of(world)
    assert live is not None
    assert day.sums == pytest.approx(live.sums_BF[BUCKETS.index("2 min")].tolist())


async def test_a_restart_goes_on_with_the_week(store: Store) -> None:
    """Once the store was read; until then nothing waits for it, and what is scored meanwhile is added."""
    kept = scores_beside(store)
    async with scoring_replica(ManualClock(BEGIN)) as world:
        await ticks([world], 20)
        before, leads = count(of(world)), of(world)
        await keeper(world, kept).finish()
    clock = ManualClock(BEGIN + 1500)
    async with scoring_replica(clock) as world:
        keep = keeper(world, kept)
        assert of(world) is None
        await ticks([world], 10)
        new = count(of(world))
        assert 0 < new < before
        assert await keep.step()
        assert count(of(world)) == before + new
        assert keep.queue_lengths() == {"store_scores": 0, "restore_scores": 0}
        await ticks([world], 60)
        assert await keep.step()
        assert count(of(world)) == await forecasts(kept) + count_since_the_hour(world)
        live = of(world)
    assert live is not None
    assert leads is not None
    assert set(leads.buckets) <= set(live.buckets)


def count_since_the_hour(world: World) -> float:
    page, row = world.refresh.tracking.scoring._pool.find(next(iter(world.refresh.tracking)).key)
    return float(page.hours.sums[row, BUCKETS.index("2 min"), Figure.COUNT])


async def test_what_is_restored_has_faded(store: Store) -> None:
    kept = scores_beside(store)
    sums = tuple(float(n + 1) for n in range(FIGURES))
    today = int(BEGIN // 86400) * 24
    hours = [ScoredHour(OWNER, "peak", 0.9, today - 24 * age, "a0", 60, sums) for age in (0, 2)]
    await kept.save(hours)
    records = ScoreRecords()
    scoring = Scoring(records.put)
    scoring.add(TRIGGER.key)
    records.begin(TRIGGER, BEGIN)

    class Tracking:
        score_records = records

    Tracking.scoring = scoring
    assert await ScoreKeeper(Tracking(), kept, ManualClock(BEGIN), Telemetry()).step()
    found = scoring.scores(TRIGGER.key)
    assert found is not None
    expected = np.array(sums) * (1 + DAY_KEEPS**2)
    assert found.sums_BF[BUCKETS.index("peak")] == pytest.approx(expected, rel=1e-5)
    assert set(found.buckets) == {"peak"}


async def test_two_replicas_take_turns(store: Store) -> None:
    """The one that takes over goes on with what the other has scored, and no forecast counts twice."""
    clock, memory, kept = ManualClock(BEGIN), SharedMemory(), scores_beside(store)
    memory.clock = clock.now
    async with (
        scoring_replica(clock, MemoryCache("a", memory)) as first,
        scoring_replica(clock, MemoryCache("b", memory)) as second,
    ):
        await ticks([first, second], 10, 15.0)
        assert of(second) is None
        scored = count(of(first))
        await first.refresh._replicas.leave([one.key for one in first.refresh.tracking])
        first.refresh.tracking.clear()
        assert await keeper(first, kept).step()
        await ticks([second], 6, 15.0)
        assert await keeper(second, kept).step()
        assert count(of(second)) > scored
        await keeper(second, kept).finish()
        assert await forecasts(kept) == count(of(second))


class Away(NullScores):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.is_away = True
        self.saved: list[ScoredHour] = []
        self.asked = 0

    async def save(self, hours: Sequence[ScoredHour]) -> None:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        self.saved += hours

    async def days(self, asked: ScoresAsked) -> list[ScoredDay]:
        raise StoreUnavailable("away")

    async def weeks(self, asked: Sequence[WeekAsked], day_keeps: float) -> dict[Owner, dict[str, tuple[float, ...]]]:
        if self.is_away:
            raise StoreUnavailable("away")
        return {}


def hour(number: int) -> Hour:
    sums_BF = np.zeros((len(BUCKETS), FIGURES), np.float32)
    sums_BF[BUCKETS.index("peak"), Figure.COUNT] = 60
    return Hour(number, 60, sums_BF)


async def test_a_store_that_is_away_gets_all_of_it_later() -> None:
    """Telemetry shows what waits, and what was lost: the oldest hours, once the queue is full. The log stays silent."""
    away, telemetry = Away(), Telemetry()
    with structlog.testing.capture_logs() as lines:
        async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
            records = world.refresh.tracking.score_records
            keep = keeper(world, away, telemetry)
            records.begin(TRIGGER, BEGIN)
            for number in range(1500):
                records.put(TRIGGER.key, hour(number))
            assert not await keep.step()
            assert keep.queue_lengths()["store_scores"] == 1500
            away.is_away = False
            assert await keep.step()
            assert keep.queue_lengths() == {"store_scores": 500, "restore_scores": 0}
            assert await keep.step()
            assert [one.hour for one in away.saved] == list(range(1500))
            assert len({one.part for one in away.saved}) == 1500
            assert telemetry.registry.get_sample_value("headway_scores_dropped_total") == 0
            away.is_away, records._most_waiting = True, 3
            for number in range(5):
                records.put(TRIGGER.key, hour(number))
            assert not await keep.step()
            assert telemetry.registry.get_sample_value("headway_scores_dropped_total") == 2
            assert [one.scored.hour for one in records.first(10)] == [2, 3, 4]
    assert [line for line in lines if line["log_level"] in ("warning", "error")] == []


async def test_a_store_that_is_away_is_left_alone_for_a_while() -> None:
    away = Away()
    async with replica(steady, rising, clock=ManualClock(BEGIN)) as world:
        records = world.refresh.tracking.score_records
        records.begin(TRIGGER, BEGIN)
        records.put(TRIGGER.key, hour(1))
        running = asyncio.create_task(keeper(world, away).run())
        await world.clock.advance(600)
        running.cancel()
    assert 2 <= away.asked <= 600 / 60 + 1


async def test_a_trigger_that_is_forgotten_leaves_its_hour(store: Store) -> None:
    """And takes no room any more."""
    async with scoring_replica(ManualClock(BEGIN)) as world:
        await ticks([world], 10)
        tracking = world.refresh.tracking
        tracking.drop(next(iter(tracking)).key)
        assert tracking.score_records.waiting == 1
        assert (tracking.score_records._owners, tracking.score_records.unread) == ({}, {})
        tracking.scoring.close_hours()
        assert tracking.score_records.waiting == 1


async def test_a_fault_of_ours_in_what_is_watched_costs_no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores, anomalies and doubts change no answer."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Scoring, "score", broken)
    with structlog.testing.capture_logs() as logs:
        async with scoring_replica(ManualClock(BEGIN)) as world:
            await ticks([world], 3)
            (registration,) = world.registry
            assert registration.current is not None
            assert registration.current.outlook.forecast is not None
    assert {log["event"] for log in logs if log["log_level"] == "error"} == {"watching_failed"}

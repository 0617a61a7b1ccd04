"""The same checks of savings over every store that remembers."""

import asyncio

import pytest
from sqlalchemy import select, update

from scaler.savings import SavedDay, SavedHour, SavingsAsked, Side, Sums
from scaler.store import Store
from scaler.store.schema import savings
from scaler.store.sql_store import SqlStore, open_store
from tests.conformance.conftest import Opener, Place

DAY = 86400.0
NOW = 1_700_006_400.0
HOUR = int(NOW // 3600) // 24 * 24
"""the first of a day of UTC"""
ALL = (0, 2**31 - 1)


def saved(
    name: str = "web",
    hour: int = HOUR,
    part: str = "a0",
    trigger: str = "0f",
    known: float = 3600.0,
    replicas: float = 5.0,
    mode: str = "predictive",
    namespace: str = "shop",
) -> SavedHour:
    """An hour in which the plan had one replica more than the reactive trigger, and nothing was lacking."""
    plan = Side((replicas + 1) * known, 0.0, 0.0, 4)
    reactive = Side(replicas * known, known / 60, known * 0.5, 6)
    return SavedHour(namespace, name, trigger, hour, part, mode, Sums(known, 100 * known, plan, reactive))


def added(*hours: SavedHour) -> Sums:
    total = Sums()
    for one in hours:
        total = total.plus(one.sums)
    return total


def day(*hours: SavedHour) -> SavedDay:
    first = hours[0]
    return SavedDay(first.namespace, first.name, first.mode, first.hour // 24, added(*hours))


async def test_hours_come_back_as_days(reopen: Opener) -> None:
    """Of many objects, after a restart, in order; hours of one day of UTC together."""
    hours = [saved(f"app-{n:03}", HOUR + h, replicas=n + h) for n in range(70) for h in range(0, 72, 8)]
    first = reopen()
    await first.save_hours(hours)
    await first.close()
    expected = [day(*hours[n : n + 3]) for n in range(0, len(hours), 3)]
    assert await reopen().load_savings(SavingsAsked(ALL, 100)) == expected


async def test_what_is_written_twice_counts_once(store: Store) -> None:
    """Also by a batch of which a part is there already."""
    await store.save_hours([saved()])
    await store.save_hours([saved(), saved(hour=HOUR + 1)])
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(saved(), saved(hour=HOUR + 1))]


async def test_who_takes_over_in_mid_hour_adds_to_it(store: Store) -> None:
    before, after = saved(part="a0", known=1200), saved(part="b0", known=2400)
    await store.save_hours([before])
    await store.save_hours([after])
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(before, after)]


async def test_two_replicas_that_count_the_same_hour_count_once(store: Store) -> None:
    """Without what they share, each refreshes all: the hour is their mean, and no longer than an hour."""
    await store.save_hours([saved(part="a0", replicas=4), saved(part="b0", replicas=6)])
    (found,) = await store.load_savings(SavingsAsked(ALL, 10))
    assert found.sums.known_seconds == pytest.approx(3600)
    assert found.sums.reactive.replica_seconds == pytest.approx(5 * 3600)
    assert found.sums.plan.scale_events == 4


async def test_an_edited_trigger_does_not_count_beside_itself(store: Store) -> None:
    """In each hour, that trigger of an object counts which has the most replicas; the hours of both are there."""
    old, both, new = (
        saved(trigger="0f"),
        saved(hour=HOUR + 1, trigger="0f", known=900),
        saved(hour=HOUR + 1, trigger="1e"),
    )
    await store.save_hours([old, both, new])
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(old, new)]


async def test_days_in_shadow_are_apart(store: Store) -> None:
    shadow, live = saved(mode="shadow", trigger="1e"), saved(hour=HOUR + 1)
    await store.save_hours([shadow, live])
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(live), day(shadow)]


async def test_pages_follow_each_other(store: Store) -> None:
    """Each object once, whole; objects of other namespaces with the same name are others."""
    names = [("a", "web"), ("b", "api"), ("b", "web"), ("c", "a")]
    hours = [saved(name, HOUR + h, namespace=namespace) for namespace, name in names for h in (0, 24)]
    await store.save_hours(hours)
    seen: list[SavedDay] = []
    after = ("", "")
    while page := await store.load_savings(SavingsAsked(ALL, 3, after)):
        seen += page
        after = page[-1].namespace, page[-1].name
    assert [(one.namespace, one.name) for one in seen[::2]] == names
    assert seen == [day(one) for one in hours]


async def test_one_object_and_some_hours(store: Store) -> None:
    """The first hour is in, the last one is not."""
    await store.save_hours([saved(name, HOUR + h) for name in ("web", "api") for h in range(3)])
    assert await store.load_savings(SavingsAsked((HOUR + 1, HOUR + 2), 10, one=("shop", "web"))) == [
        day(saved(hour=HOUR + 1))
    ]
    assert await store.load_savings(SavingsAsked(ALL, 10, one=("shop", "none"))) == []


async def test_a_sweep_drops_what_is_a_year_old(store: Store) -> None:
    """By the moment that has passed for certain, whatever the clock shows now."""
    hours = [saved(hour=HOUR - days * 24) for days in (0, 300, 365, 368, 800)]
    await store.save_hours(hours)
    await store.sweep(NOW - 3600.0, 3600.0, NOW + 4000 * DAY)
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(one) for one in hours[2::-1]]


async def test_old_hours_become_days(store: Store) -> None:
    """After a week, one row for each day and mode. Nothing that is read changes; what comes late is added."""
    assert isinstance(store, SqlStore)
    of_one_day = [saved(hour=HOUR + h, part=part, known=1500) for h in range(24) for part in ("a0", "b0")]
    twice = [saved(hour=HOUR + 24, part=part) for part in ("a0", "b0")]
    edited = [saved(hour=HOUR + 25, trigger=trigger, known=known) for trigger, known in (("0f", 600), ("1e", 3000))]
    shadow = [saved(hour=HOUR + 26 + h, trigger="2d", mode="shadow") for h in range(3)]
    others = [saved(f"app-{n:03}", HOUR + h) for n in range(230) for h in (0, 1)]
    new = [saved(hour=HOUR + 24 * 9 + h) for h in range(3)]
    await store.save_hours([*of_one_day, *twice, *edited, *shadow, *others, *new])
    before = await store.load_savings(SavingsAsked(ALL, 500))
    for late in (0, 1):
        now = NOW + (10 + late * 2) * DAY
        await store.sweep(now - 3600.0, 3600.0, now)
        assert await store.load_savings(SavingsAsked(ALL, 500)) == before
    async with store.database.engine.begin() as connection:
        kept = (await connection.execute(select(savings.c.trigger, savings.c.part, savings.c.hour))).all()
    assert len(kept) == 3 + 230 + len(new)
    assert {row.part for row in kept if row.hour < new[0].hour} == {"day-predictive", "day-shadow"}
    await store.save_hours([saved(hour=HOUR + 30)])
    now = NOW + 14 * DAY
    await store.sweep(now - 3600.0, 3600.0, now)
    after = await store.load_savings(SavingsAsked(ALL, 500))
    (changed,), (was,) = [one for one in after if one not in before], [one for one in before if one not in after]
    assert changed.sums == was.sums.plus(saved().sums)


async def test_rows_with_odd_numbers_are_left_out(store: Store) -> None:
    """A row that was changed by hand: its day is missing, the others are there."""
    assert isinstance(store, SqlStore)
    await store.save_hours([saved(), saved(hour=HOUR + 24), saved(hour=HOUR + 48)])
    for hour, value in ((HOUR, float("inf")), (HOUR + 24, -1e9)):
        async with store.database.engine.begin() as connection:
            changed = update(savings).where(savings.c.hour == hour).values(plan_unserved=value)
            await connection.execute(changed)
    assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(saved(hour=HOUR + 48))]


async def test_replicas_that_save_hours_at_once_lose_nothing(reopen: Opener) -> None:
    """The same hours in opposite orders, some of them by both."""
    hours = [saved(f"app-{n:03}") for n in range(400)]
    one, two = reopen(), reopen()
    await one.load_savings(SavingsAsked(ALL, 1))
    await asyncio.gather(one.save_hours(hours), two.save_hours(hours[::-1]), one.save_hours(hours[100:300]))
    assert await two.load_savings(SavingsAsked(ALL, 500)) == [day(each) for each in hours]


async def test_installations_do_not_see_each_other(place: Place) -> None:
    """They may share a database."""
    blue, green = (open_store(place.url, None, name) for name in ("blue", "green"))
    await blue.save_hours([saved()])
    assert await green.load_savings(SavingsAsked(ALL, 10)) == []
    assert await green.load_savings(SavingsAsked(ALL, 10, one=("shop", "web"))) == []
    assert await blue.load_savings(SavingsAsked(ALL, 10)) == [day(saved())]
    await green.save_hours([saved(part="green")])
    for store in (blue, green):
        await store.sweep(NOW + 30 * DAY - 3600.0, 3600.0, NOW + 30 * DAY)
    for store in (blue, green):
        assert await store.load_savings(SavingsAsked(ALL, 10)) == [day(saved())]
    await asyncio.gather(blue.close(), green.close())

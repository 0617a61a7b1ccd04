"""The same checks of minutes over every store that remembers."""

import asyncio

import numpy as np
import pytest
import structlog
from sqlalchemy import select, update

from scaler.series import DAY_MINUTES, MinuteDay
from scaler.store import Store, WatchedRecord
from scaler.store.schema import minutes, quarantined
from scaler.store.sql_store import SqlStore
from tests.conformance.conftest import Opener

DAY = 86400.0
NOW = 1_700_006_400.0
TODAY = int(NOW // DAY)
ZONES = ("UTC", "Asia/Tokyo")


def watched(name: str, history_key: str, last_called: float = 100.0) -> WatchedRecord:
    return WatchedRecord(f"shop/{name}/0f", "shop", name, {"query": "sum(x)"}, last_called, history_key)


def minute_day(key: str, day: int, value: float = 5.0, zone: str = "UTC", complete: int = DAY_MINUTES) -> MinuteDay:
    """A day whose demand is known in the first half only."""
    demand_M = np.full(DAY_MINUTES, value, np.float32)
    demand_M[DAY_MINUTES // 2 :] = np.nan
    return MinuteDay(key, zone, day, demand_M, complete)


def as_days(found: list[MinuteDay]) -> dict[tuple[str, str, int], tuple[float, int, int]]:
    """By owner and day: the demand of the first minute, how many are known, and how many are complete."""
    return {
        (one.key, one.zone, one.day): (
            float(one.demand_M[0]),
            int(np.count_nonzero(~np.isnan(one.demand_M))),
            one.complete,
        )
        for one in found
    }


async def test_minutes_come_back_as_they_were_saved(reopen: Opener) -> None:
    """Two weeks of many triggers are the same after a restart; only the wanted days and owners are read."""
    saved = [minute_day(f"k-{n}", TODAY - day, n + day) for n in range(40) for day in range(15)]
    first = reopen()
    await first.save_minutes(saved)
    await first.close()
    loaded = await reopen().load_minutes([(f"k-{n}", "UTC") for n in range(1, 50)], (TODAY - 14, TODAY - 1))
    expected = [one for one in saved if one.key != "k-0" and one.day < TODAY]
    assert as_days(loaded) == as_days(expected)


async def test_a_day_that_grew_replaces_what_was_stored(store: Store) -> None:
    await store.save_minutes([minute_day("a", TODAY, 1, complete=10), minute_day("a", TODAY - 1, 2)])
    await store.save_minutes([minute_day("a", TODAY, 3, complete=700)])
    assert as_days(await store.load_minutes([("a", "UTC")], (TODAY - 14, TODAY))) == {
        ("a", "UTC", TODAY): (3, DAY_MINUTES // 2, 700),
        ("a", "UTC", TODAY - 1): (2, DAY_MINUTES // 2, DAY_MINUTES),
    }


async def test_days_of_time_zones_are_kept_apart(store: Store) -> None:
    """They begin at different moments; nobody gets those of a zone that was not asked for."""
    await store.save_minutes([minute_day("a", TODAY, 1), minute_day("a", TODAY, 2, "Asia/Kolkata")])
    await store.save_minutes([minute_day("b", TODAY, 3, "Asia/Kolkata")])
    found = await store.load_minutes([("a", "Asia/Kolkata"), ("b", "UTC")], (TODAY, TODAY))
    assert as_days(found) == {("a", "Asia/Kolkata", TODAY): (2, DAY_MINUTES // 2, DAY_MINUTES)}


async def test_saving_leaves_all_other_days(store: Store) -> None:
    """Of the same key in another zone, of others in the same batch, and those before a day of a wrong clock."""
    saved = [minute_day(key, TODAY - day, zone=zone) for key in "ab" for zone in ZONES for day in range(15)]
    await store.save_minutes(saved)
    await store.save_minutes([minute_day("a", TODAY), minute_day("b", TODAY + 1, zone="Pacific/Kiritimati")])
    await store.save_minutes([minute_day("a", TODAY + ahead) for ahead in (20, 400)])
    found = await store.load_minutes([(key, zone) for key in "ab" for zone in ZONES], (0, TODAY))
    assert set(as_days(found)) == set(as_days(saved))


@pytest.mark.parametrize("silence", [3600.0, 30 * DAY])
async def test_a_sweep_drops_days_that_no_memory_holds(store: Store, silence: float) -> None:
    """By the moment that has passed for certain, whatever the clock shows now, and whoever writes them."""
    await store.save_minutes([minute_day("a", TODAY - day, zone=zone) for zone in ZONES for day in range(20)])
    await store.sweep(NOW - silence, silence, NOW + 400 * DAY)
    found = as_days(await store.load_minutes([("a", zone) for zone in ZONES], (0, TODAY)))
    assert set(found) == {("a", zone, TODAY - day) for zone in ZONES for day in range(16)}


async def test_a_row_that_is_no_day_of_minutes_is_left_out(store: Store) -> None:
    """It is moved into quarantine, the log has one line, and the good ones are read."""
    assert isinstance(store, SqlStore)
    await store.save_minutes([minute_day(key, TODAY - day, 7) for key in "abcd" for day in range(2)])
    (whole,) = await store.database.run(_minutes_of, "a", TODAY)
    for key, value in (("a", whole[:-3]), ("b", bytes([9]) + whole[1:]), ("c", bytes(100_000)), ("d", whole)):
        await store.database.run(_overwrite, key, value)
    owners = [(key, "UTC") for key in "abcd"]
    with structlog.testing.capture_logs() as logs:
        found = await store.load_minutes(owners, (TODAY - 14, TODAY))
        again = await store.load_minutes(owners, (TODAY - 14, TODAY))
    assert set(as_days(found)) == set(as_days(again)) == {(key, "UTC", TODAY - 1) for key in "abcd"}
    (line,) = logs
    assert (line["event"], line["table"], line["count"]) == ("store_rows_quarantined", "minutes", 4)
    reasons = await store.database.run(_reasons)
    assert set(reasons) == {
        "it does not hold the minutes of one day",
        "its version is 9, and 1 is read",
        "no day of minutes has this length",
        "its checksum does not match",
    }


async def _minutes_of(connection, key, day):
    return (await connection.execute(select(minutes.c.packed).where(minutes.c.key == key, minutes.c.day == day))).one()


async def _overwrite(connection, key, value):
    await connection.execute(update(minutes).where(minutes.c.key == key, minutes.c.day == TODAY).values(packed=value))


async def _reasons(connection):
    return list((await connection.scalars(select(quarantined.c.reason))).all())


async def test_minutes_leave_with_their_trigger(store: Store) -> None:
    """What another trigger needs stays; days that nobody writes again leave when they are older than any memory."""
    await store.watch([watched("gone", "mine"), watched("also", "shared"), watched("used", "shared", NOW)])
    await store.save_minutes([minute_day(key, TODAY) for key in ("mine", "shared", "listed")])
    await store.save_minutes([minute_day("forgotten", TODAY - 20)])
    await store.sweep(NOW - 3600, 3600.0, NOW)
    owners = [(key, "UTC") for key in ("mine", "shared", "listed", "forgotten")]
    assert {one.key for one in await store.load_minutes(owners, (0, TODAY))} == {"shared", "listed"}


async def test_replicas_that_save_minutes_at_once_do_not_block_each_other(reopen: Opener) -> None:
    """The same rows, in any order: one of them stays."""
    stores = [reopen() for _ in range(3)]
    await stores[0].watched(0.0)
    days = [minute_day(f"k-{n:03}", TODAY) for n in range(300)]
    await asyncio.gather(*(one.save_minutes(days[::step]) for one, step in zip(stores, (1, -1, 1), strict=True)))
    assert len(await stores[0].load_minutes([(one.key, "UTC") for one in days], (TODAY, TODAY))) == 300

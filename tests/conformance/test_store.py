"""The same checks over every store that remembers, and over the one that does not what applies to it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import structlog
from sqlalchemy import select, update

from scaler.errors import StoreUnavailable
from scaler.quotas import Limits
from scaler.savings import SavingsAsked
from scaler.series import Blocks
from scaler.store import Store, WatchedRecord
from scaler.store.null import NullStore
from scaler.store.schema import quarantined, watched
from scaler.store.sql_store import SqlStore, open_store
from tests.conformance.conftest import Opener, Place
from tests.conformance.test_stored_minutes import TODAY, minute_day
from tests.conformance.test_stored_savings import saved

BLOCK = 900
DAY = 86400.0
NOW = 1_700_006_400.0
"""a block starts here, in the middle of a page of 96 blocks"""


def record(name: str, last_called: float = 100.0, **metadata: str) -> WatchedRecord:
    return WatchedRecord(f"shop/{name}/0f", "shop", name, {"query": "sum(x)", **metadata}, last_called)


def blocks(first: float, *mean: float) -> Blocks:
    starts = first + BLOCK * np.arange(len(mean))
    return Blocks(starts, np.array(mean, np.float32), np.array(mean, np.float32) * 2)


def as_rows(found: Blocks) -> list[tuple[float, float, float]]:
    return list(zip(found.starts.tolist(), found.mean.tolist(), found.max.tolist(), strict=True))


async def test_who_is_watched_outlives_the_process(reopen: Opener) -> None:
    """Every field of many triggers comes back from a store that is opened later, whatever text is in them."""
    records = [record(f"app-{number:04}", number, threshold="5") for number in range(1234)]
    odd = record("odd", 5000.0, query="a\"b'c\\d\n\x00 ü €😀 %s :x ?")
    first = reopen()
    await first.watch([*records, odd])
    await first.close()
    found = await reopen().watched(called_since=0.0)
    assert sorted(found, key=lambda r: r.key) == [*records, odd]


async def test_a_fresh_store_is_empty(store: Store) -> None:
    """Nothing is watched and no history known at first; empty requests are answered with nothing."""
    assert await store.watched(0.0) == []
    assert await store.load_blocks(["shop/app/0f"], BLOCK, 0.0) == {}
    await store.watch([])
    await store.quarantine([])
    await store.adopt_history({})
    assert await store.sweep(NOW, 3600.0, NOW) == 0
    assert await store.page_counts([], BLOCK, 0.0, NOW) == {}
    await store.save_blocks({}, BLOCK, 0.0)
    assert await store.load_blocks([], BLOCK, 0.0) == {}


async def test_only_the_recently_called_are_watched(store: Store) -> None:
    """Triggers that fell silent before the given moment are left out, the moment itself included."""
    await store.watch([record("silent", 99.9), record("edge", 100.0), record("loud", 200.0)])
    assert {r.name for r in await store.watched(100.0)} == {"edge", "loud"}


async def test_watching_again_updates(store: Store) -> None:
    """The newest metadata counts; `last_called` does not go back when a replica that was asked earlier writes later."""
    await store.watch([record("app", 200.0, threshold="5")])
    await store.watch([record("app", 150.0, threshold="6"), record("other", 1.0)])
    found = {r.name: r for r in await store.watched(0.0)}
    assert found["app"] == record("app", 200.0, threshold="6")
    assert set(found) == {"app", "other"}


BAD_VALUES: dict[str, dict[str, object]] = {
    "no moment": {"last_called": float("inf")},
    "metadata is a list": {"metadata": ["query"]},
    "metadata is nothing": {"metadata": None},
    "metadata has a number": {"metadata": {"threshold": 5}},
}


@pytest.mark.parametrize("values", BAD_VALUES.values(), ids=BAD_VALUES.keys())
async def test_a_row_that_is_no_trigger_is_left_out(store: Store, values: dict[str, object]) -> None:
    """A row that was changed by hand is left out and reported; the others are restored."""
    assert isinstance(store, SqlStore)
    records = [record(f"app-{number:03}") for number in range(600)]
    await store.watch(records)
    async with store.database.engine.begin() as connection:
        for changed in (records[0], records[249], records[599]):
            await connection.execute(update(watched).where(watched.c.key == changed.key).values(values))
    with structlog.testing.capture_logs() as logs:
        found = await store.watched(0.0)
        again = await store.watched(0.0)
    assert sorted(found, key=lambda r: r.key) == [*records[1:249], *records[250:599]]
    assert len(again) == len(found)
    assert [(log["event"], log["log_level"], log["count"], log["first_key"]) for log in logs] == [
        ("store_rows_quarantined", "error", 3, records[0].key)
    ]
    async with store.database.engine.begin() as connection:
        kept = (await connection.execute(select(quarantined).order_by(quarantined.c.key))).all()
    assert [(row.source, row.key) for row in kept] == [("watched", records[n].key) for n in (0, 249, 599)]
    assert "namespace=shop" in kept[0].content


async def test_blocks_come_back_as_they_were_saved(reopen: Opener) -> None:
    """Weeks of several triggers, gaps included, are the same after a restart."""
    random = np.random.default_rng(3)
    starts = (NOW + BLOCK * np.flatnonzero(random.random(2688) < 0.8)).astype(np.float64)
    saved = {
        f"shop/app-{number}/0f": Blocks(starts, *(random.gamma(2.0, 100.0, (2, len(starts))).astype(np.float32)))
        for number in range(40)
    }
    first = reopen()
    await first.save_blocks(saved, BLOCK, 0.0)
    await first.close()
    loaded = await reopen().load_blocks([*saved, "shop/unknown/0f"], BLOCK, 0.0)
    assert set(loaded) == set(saved)
    for key, found in loaded.items():
        assert found.starts.dtype == np.float64
        assert found.mean.dtype == found.max.dtype == np.float32
        assert as_rows(found) == as_rows(saved[key])


async def test_blocks_are_merged(store: Store) -> None:
    """A later block of the same start replaces, the others stay, and a missing value takes nothing away."""
    await store.save_blocks({"a": blocks(NOW, 1, 2, 3)}, BLOCK, 0.0)
    await store.save_blocks({"a": blocks(NOW + BLOCK, 20, float("nan"), 4), "b": blocks(NOW, 7)}, BLOCK, 0.0)
    loaded = await store.load_blocks(["a", "b"], BLOCK, 0.0)
    assert loaded["a"].mean.tolist() == [1, 20, 3, 4]
    assert loaded["a"].max.tolist() == [2, 40, 6, 8]
    assert as_rows(loaded["b"]) == [(NOW, 7, 14)]


async def test_block_lengths_are_kept_apart(store: Store) -> None:
    """The same trigger has one history per length of a block."""
    hourly = Blocks(np.array([NOW]), np.array([5], np.float32), np.array([6], np.float32))
    await store.save_blocks({"a": blocks(NOW, 1)}, BLOCK, 0.0)
    await store.save_blocks({"a": hourly}, 3600, 0.0)
    assert as_rows((await store.load_blocks(["a"], BLOCK, 0.0))["a"]) == [(NOW, 1, 2)]
    assert as_rows((await store.load_blocks(["a"], 3600, 0.0))["a"]) == [(NOW, 5, 6)]


async def test_blocks_are_loaded_from_a_moment_on(store: Store) -> None:
    """Blocks that start before the given moment are left out, triggers without any as well."""
    await store.save_blocks({"a": blocks(NOW, 1, 2, 3), "old": blocks(NOW - DAY, 9)}, BLOCK, 0.0)
    loaded = await store.load_blocks(["a", "old"], BLOCK, NOW + BLOCK)
    assert {key: found.mean.tolist() for key, found in loaded.items()} == {"a": [2, 3]}


async def test_old_blocks_are_dropped_with_what_is_saved(store: Store) -> None:
    """Saving drops what is older than asked for, to within 96 blocks, and nothing of triggers that are not saved now:
    another bundle may want more of theirs."""
    await store.save_blocks({"a": blocks(NOW - 10 * DAY, 1), "other": blocks(NOW - 10 * DAY, 1)}, BLOCK, 0.0)
    await store.save_blocks({"a": blocks(NOW - DAY, 2), "b": blocks(NOW - 9 * DAY, 3)}, BLOCK, NOW - 7 * DAY)
    loaded = await store.load_blocks(["a", "b", "other"], BLOCK, 0.0)
    assert {key: as_rows(found) for key, found in loaded.items()} == {
        "a": [(NOW - DAY, 2, 4)],
        "other": [(NOW - 10 * DAY, 1, 2)],
    }


async def test_pages_are_counted(store: Store) -> None:
    """Those that lie in the given span, per key; keys without any are left out."""
    await store.save_blocks({"a": blocks(NOW, *range(200)), "b": blocks(NOW, 1)}, BLOCK, 0.0)
    assert await store.page_counts(["a", "b", "c"], BLOCK, NOW, NOW + 3 * DAY) == {"a": 3, "b": 1}
    assert await store.page_counts(["a"], BLOCK, NOW + DAY, NOW + DAY) == {"a": 1}
    assert await store.page_counts(["a"], 60, NOW, NOW + 3 * DAY) == {}


async def test_history_is_adopted_once(store: Store) -> None:
    """It moves to the new key, unless there is a history already; unknown keys do no harm."""
    await store.save_blocks({"old": blocks(NOW, 1), "older": blocks(NOW, 2)}, BLOCK, 0.0)
    await store.adopt_history({"old": "new", "unknown": "other"})
    await store.adopt_history({"older": "new"})
    loaded = await store.load_blocks(["old", "older", "new", "other"], BLOCK, 0.0)
    assert {key: found.mean.tolist() for key, found in loaded.items()} == {"new": [1], "older": [2]}


async def test_no_more_is_read_than_can_be_watched(store: Store) -> None:
    """Of each namespace the latest, and in all as many of each as of the others; the log has the number of the rest."""
    many = [record(f"app-{number:03}", 100.0 + number) for number in range(600)]
    few = [replace(one, namespace="search", key=f"search/{one.name}/0f") for one in many[:3]]
    await store.watch([*many, *few])
    with structlog.testing.capture_logs() as logs:
        own = await store.watched(0.0, Limits(1000, 300))
        all_together = await store.watched(0.0, Limits(6, 300))
    assert sorted(own, key=lambda r: r.key) == [*few, *many[300:]]
    assert sorted(all_together, key=lambda r: r.key) == [*few, *many[597:]]
    assert [(line["event"], line["count"]) for line in logs] == [
        ("store_rows_left_out", 300),
        ("store_rows_left_out", 597),
    ]


async def test_what_is_quarantined_is_not_read_again(store: Store) -> None:
    """The others stay, and so does one that another replica has written since it was read."""
    renewed = record("renewed", threshold="6")
    await store.watch([record("app"), record("other"), renewed])
    read = [record("app"), record("unknown"), record("renewed", threshold="5")]
    await store.quarantine([(one, "odd") for one in read])
    assert {r.name for r in await store.watched(0.0)} == {"other", "renewed"}


async def test_replicas_that_start_at_once_share_one_schema(reopen: Opener) -> None:
    """Several stores opened on an empty database at the same time all work."""
    replicas = [reopen() for _ in range(4)]
    await asyncio.gather(*(store.watch([record(f"app-{n}")]) for n, store in enumerate(replicas)))
    assert len(await replicas[0].watched(0.0)) == 4


async def test_replicas_that_save_at_once_lose_nothing(reopen: Opener) -> None:
    """Blocks of the same day, saved by two replicas at the same time, are all there afterwards."""
    one, two = reopen(), reopen()
    keys = [f"shop/app-{number}/0f" for number in range(50)]
    await one.watched(0.0)
    await asyncio.gather(
        *(
            store.save_blocks({key: blocks(NOW + BLOCK * slot, slot) for key in keys}, BLOCK, 0.0)
            for slot, store in enumerate([one, two] * 5)
        )
    )
    loaded = await one.load_blocks(keys, BLOCK, 0.0)
    assert {tuple(found.mean.tolist()) for found in loaded.values()} == {tuple(range(10))}
    assert len(loaded) == len(keys)


async def test_replicas_that_watch_at_once_do_not_block_each_other(reopen: Opener) -> None:
    """The same triggers, written by two replicas in opposite orders at the same time, are written."""
    records = [record(f"app-{number:03}", float(number)) for number in range(400)]
    one, two = reopen(), reopen()
    for _ in range(3):
        await asyncio.gather(one.watch(records), two.watch(records[::-1]))
    assert sorted(await one.watched(0.0), key=lambda r: r.key) == records


_REPLICA = """
import asyncio, sys
import numpy as np
from scaler.quotas import Limits
from scaler.series import Blocks
from scaler.store import WatchedRecord
from scaler.store.sql_store import SqlStore, open_store

async def live(url, name):
    store = open_store(url, None)
    ones = np.ones(1, np.float32)
    for turn in range(5):
        known = [record.name for record in await store.watched(0.0)]
        await store.watch([WatchedRecord(f"shop/{name}/0f", "shop", name, {"query": "sum(x)"}, 100.0 + turn)])
        await store.save_blocks({f"shop/{name}/0f": Blocks(np.array([900.0 * turn]), ones, ones)}, 900, 0.0)
    await store.load_blocks([f"shop/{name}/0f"], 900, 0.0)
    await store.close()
    print(",".join(known))

asyncio.run(live(*sys.argv[1:]))
"""


async def in_a_process(place: Place, name: str) -> set[str]:
    """The names that another process finds after it has written its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _REPLICA, place.url, name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return set(output.decode().strip().split(","))


async def test_processes_at_the_same_time_and_after_each_other(place: Place, reopen: Opener) -> None:
    """Two replicas that run side by side, and one that starts later, share what is stored."""
    await asyncio.gather(in_a_process(place, "one"), in_a_process(place, "two"))
    assert await in_a_process(place, "three") == {"one", "two", "three"}
    store = reopen()
    assert {r.name: r.last_called for r in await store.watched(0.0)} == dict.fromkeys(("one", "two", "three"), 104.0)
    loaded = await store.load_blocks([f"shop/{name}/0f" for name in ("one", "two", "three")], BLOCK, 0.0)
    assert {tuple(found.starts.tolist()) for found in loaded.values()} == {(0.0, 900.0, 1800.0, 2700.0, 3600.0)}


async def test_queries_that_were_set_apart_outlive_the_process(reopen: Opener) -> None:
    """Any number can be set apart at once, and again; what is old is dropped."""
    hashes = [f"{number:064x}" for number in range(600)]
    first = reopen()
    assert await first.apart(0.0) == {}
    await first.set_apart(hashes, NOW, 0.0)
    await first.set_apart(hashes[:3], NOW + 1, 0.0)
    await first.set_apart([], NOW, 0.0)
    await first.close()
    second = reopen()
    assert await second.apart(0.0) == dict.fromkeys(hashes, NOW) | dict.fromkeys(hashes[:3], NOW + 1)
    assert set(await second.apart(NOW + 1)) == set(hashes[:3])
    await second.set_apart([], NOW, NOW + 1)
    assert set(await second.apart(0.0)) == set(hashes[:3])


OPERATIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "watched": lambda store: store.watched(0.0),
    "watch": lambda store: store.watch([record("other")]),
    "quarantine": lambda store: store.quarantine([(record("other"), "odd")]),
    "sweep": lambda store: store.sweep(50.0, 3600.0, NOW),
    "adopt_history": lambda store: store.adopt_history({"c": "d"}),
    "page_counts": lambda store: store.page_counts(["a"], BLOCK, 0.0, NOW),
    "save_blocks": lambda store: store.save_blocks({"b": blocks(NOW, 2)}, BLOCK, 0.0),
    "load_blocks": lambda store: store.load_blocks(["a"], BLOCK, 0.0),
    "save_minutes": lambda store: store.save_minutes([minute_day("a", TODAY)]),
    "load_minutes": lambda store: store.load_minutes([("a", "UTC")], (TODAY, TODAY)),
    "save_hours": lambda store: store.save_hours([saved()]),
    "load_savings": lambda store: store.load_savings(SavingsAsked((0, 2**31 - 1), 10)),
    "set_apart": lambda store: store.set_apart(["0f"], NOW, 0.0),
    "apart": lambda store: store.apart(0.0),
}


async def test_a_lost_database_is_reported_and_used_again(place: Place, reopen: Opener) -> None:
    """While the database is lost, each operation raises StoreUnavailable; afterwards each works, on the same data."""
    store = reopen()
    await store.watch([record("app")])
    await store.save_blocks({"a": blocks(NOW, 1)}, BLOCK, 0.0)
    place.lose()
    try:
        for operation in OPERATIONS.values():
            with pytest.raises(StoreUnavailable):
                await operation(store)
    finally:
        place.restore()
    for operation in OPERATIONS.values():
        await soon(partial(operation, store))
    assert "app" in {r.name for r in await store.watched(0.0)}
    assert as_rows((await store.load_blocks(["a"], BLOCK, 0.0))["a"]) == [(NOW, 1, 2)]


async def soon(done: Callable[[], Awaitable[object]]) -> None:
    """Return when it succeeds: a pooler refuses for a moment after its server or itself was started."""
    async with asyncio.timeout(15):
        while True:
            with suppress(StoreUnavailable):
                await done()
                return


async def test_the_null_store_takes_everything_and_keeps_nothing() -> None:
    """Without a database every call succeeds and nothing is remembered."""
    store: Store = open_store(None, None)
    assert isinstance(store, NullStore)
    await store.watch([record("app")])
    await store.save_blocks({"a": blocks(NOW, 1)}, BLOCK, 0.0)
    await store.quarantine([(record("app"), "odd")])
    await store.adopt_history({"a": "b"})
    assert await store.sweep(NOW, 3600.0, NOW) == 0
    assert await store.page_counts(["a"], BLOCK, 0.0, NOW) == {}
    assert await store.watched(0.0) == []
    assert await store.load_blocks(["a"], BLOCK, 0.0) == {}
    await store.save_minutes([minute_day("a", TODAY)])
    assert await store.load_minutes([("a", "UTC")], (TODAY, TODAY)) == []
    await store.save_hours([saved()])
    assert await store.load_savings(SavingsAsked((0, 2**31 - 1), 10)) == []
    await store.set_apart(["0f"], NOW, 0.0)
    assert await store.apart(0.0) == {}
    await store.close()

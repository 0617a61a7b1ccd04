"""The same checks of anomalies over every store that remembers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import insert, update

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind
from scaler.errors import StoreUnavailable
from scaler.store import Store
from scaler.store.schema import anomalies
from scaler.store.sql_store import SqlStore
from scaler.store.stored_anomalies import GROWS_SECONDS, JOINED_SECONDS, SqlAnomalies
from tests.conformance.conftest import Opener, Place

DAY = 86400.0
NOW = 1_700_006_400.0
ALL = AnomaliesAsked(0.0, 1000)


def seen(
    since: float = NOW - 3600,
    minutes: float = 10,
    name: str = "web",
    namespace: str = "shop",
    direction: Direction = Direction.ABOVE,
    largest: float = 300.0,
    is_over: bool = True,
) -> Anomaly:
    until, kind = since + 60 * minutes, Kind.ANOMALY
    return Anomaly(namespace, name, "0f", since, until, direction, kind, largest, 100.0, 120.0, is_over)


def table_of(store: Store, installation: str = "") -> SqlAnomalies:
    assert isinstance(store, SqlStore)
    return SqlAnomalies(store.database, installation)


@pytest.fixture
def table(store: Store) -> SqlAnomalies:
    return table_of(store)


async def test_they_come_back_the_newest_first(reopen: Opener) -> None:
    """After a restart, all of them."""
    found = [seen(NOW - 3600 * n, name=f"app-{n % 7}") for n in range(250)]
    first = reopen()
    await table_of(first).save(found)
    await first.close()
    assert await table_of(reopen()).load(ALL, NOW) == found


async def test_one_that_lasts_is_one_row_that_grows(table: SqlAnomalies) -> None:
    """Its size is that of the worst minute so far."""
    await table.save([seen(NOW - 600, 6, is_over=False)])
    await table.save([seen(NOW - 600, 9, largest=400.0, is_over=False)])
    assert await table.load(ALL, NOW) == [seen(NOW - 600, 9, largest=400.0, is_over=False)]
    await table.save([seen(NOW - 600, 10, largest=400.0)])
    assert await table.load(ALL, NOW) == [seen(NOW - 600, 10, largest=400.0)]


async def test_what_is_written_twice_counts_once(table: SqlAnomalies) -> None:
    """Also within one batch."""
    await table.save([seen(), seen()])
    await table.save([seen(), seen(NOW - 9000)])
    assert await table.load(ALL, NOW) == [seen(), seen(NOW - 9000)]


async def test_two_replicas_list_one_once(reopen: Opener) -> None:
    """They have seen its begin and end a minute apart, and write at the same time."""
    tables = [table_of(reopen()), table_of(reopen())]
    one, other = seen(NOW - 3600, 10), seen(NOW - 3540, 10, largest=310.0)
    await asyncio.gather(*(table.save([found]) for table, found in zip(tables, (one, other), strict=True)))
    assert await tables[0].load(ALL, NOW) == [replace(other, since=one.since)]


async def test_one_that_joins_two_grows_the_earlier_one(table: SqlAnomalies) -> None:
    """Whatever order the database gives them in: the later row was written first here."""
    await table.save([seen(NOW, 6)])
    await table.save([seen(NOW - 1800, 6)])
    await table.save([seen(NOW, 7)])
    await table.save([seen(NOW - 1800, 28)])
    found = await table.load(ALL, NOW + DAY)
    assert [(one.since, one.until) for one in found][-1] == (NOW - 1800, NOW - 1800 + 28 * 60)


async def test_a_killed_process_leaves_one_that_is_over(table: SqlAnomalies) -> None:
    """Nobody has said so. One that goes on after the restart is the same."""
    await table.save([seen(NOW - 600, 10, is_over=False)])
    assert [one.is_over for one in await table.load(ALL, NOW + GROWS_SECONDS - 1)] == [False]
    assert [one.is_over for one in await table.load(ALL, NOW + GROWS_SECONDS)] == [True]
    await table.save([seen(NOW + JOINED_SECONDS, 10)])
    assert await table.load(ALL, NOW + DAY) == [seen(NOW - 600, 30)]


async def test_others_are_others(table: SqlAnomalies) -> None:
    """Of another time, direction, trigger, object or namespace; nor does a name in two namespaces mix them up."""
    found = [
        seen(NOW - 9000),
        seen(direction=Direction.BELOW, largest=1.0),
        replace(seen(), trigger="1e"),
        seen(name="api"),
        seen(namespace="other"),
        seen(name="api", namespace="other"),
        seen(),
    ]
    await table.save(found)
    assert set(await table.load(ALL, NOW)) == set(found)


async def test_a_level_shift_stays_one(table: SqlAnomalies) -> None:
    await table.save([seen(NOW - 9000, 100, is_over=False)])
    await table.save([replace(seen(NOW - 9000, 181), kind=Kind.LEVEL_SHIFT)])
    assert [one.kind for one in await table.load(ALL, NOW)] == [Kind.LEVEL_SHIFT]


async def test_pages_follow_each_other(table: SqlAnomalies) -> None:
    """Each once, those of the same moment too."""
    names = [(namespace, name) for namespace in "abc" for name in ("api", "web")]
    found = [seen(NOW - 7200 * n, name=name, namespace=namespace) for n in range(3) for namespace, name in names]
    await table.save(found)
    read: list[Anomaly] = []
    after = None
    while page := await table.load(AnomaliesAsked(0.0, 4, after), NOW):
        read += page
        after = page[-1].since, page[-1].namespace, page[-1].name, page[-1].trigger
    assert read == found


async def test_some_of_them(table: SqlAnomalies) -> None:
    """Of one object, of one namespace, and those that ended since a moment."""
    found = [seen(NOW - DAY), seen(name="api"), seen(namespace="other")]
    await table.save(found)
    assert await table.load(AnomaliesAsked(0.0, 9, namespace="shop", name="api"), NOW) == [found[1]]
    assert await table.load(AnomaliesAsked(0.0, 9, namespace="shop"), NOW) == [found[1], found[0]]
    assert await table.load(AnomaliesAsked(NOW - DAY + 599, 9, namespace="shop", name="web"), NOW) == [found[0]]
    assert await table.load(AnomaliesAsked(NOW - DAY + 600, 9, namespace="shop", name="web"), NOW) == []


async def test_installations_are_apart(reopen: Opener) -> None:
    blue, green = (table_of(reopen(), name) for name in ("blue", "green"))
    await blue.save([seen()])
    await green.save([seen(NOW - 9000)])
    assert await blue.load(ALL, NOW) == [seen()]


async def test_a_sweep_drops_what_is_a_year_old(table: SqlAnomalies) -> None:
    """By the moment that has passed for certain, whatever the clock shows now."""
    found = [seen(NOW - days * DAY) for days in (0, 300, 365, 368, 800)]
    await table.save(found)
    await table.sweep(NOW, NOW + 4000 * DAY)
    assert await table.load(ALL, NOW) == found[:3]


BROKEN: dict[str, object] = {
    "kind": "odd",
    "direction": "sideways",
    "until": 0.0,
    "largest": float("inf"),
    "expected": -1.0,
}


@pytest.mark.parametrize("column", BROKEN)
async def test_a_broken_row_disturbs_no_other(store: Store, column: str) -> None:
    """It is left out, and neither keeps a new one from being written nor another from being read."""
    assert isinstance(store, SqlStore)
    table = table_of(store)
    await table.save([seen(NOW - 9000)])

    async def spoil(connection) -> None:
        await connection.execute(update(anomalies).values({column: BROKEN[column]}))

    await store.database.run(spoil)
    await table.save([seen(), seen(NOW - 9000)])
    assert seen() in await table.load(ALL, NOW)


async def test_the_minutes_of_a_page(store: Store) -> None:
    """A year of 1,000 triggers with two a week each is read by its index."""
    assert isinstance(store, SqlStore)
    one = {"installation": "", "namespace": "shop", "trigger": "0f", "direction": "above", "kind": "anomaly"}
    one |= {"largest": 3.0, "expected": 1.0, "bound": 2.0, "is_over": 1}
    rows = [
        {**one, "name": f"app-{n}", "since": NOW - week * 7 * DAY, "until": NOW - week * 7 * DAY + 600}
        for n in range(20)
        for week in range(52)
    ]

    async def fill(connection) -> None:
        await connection.execute(insert(anomalies), rows)

    await store.database.run(fill)
    found = await table_of(store).load(AnomaliesAsked(NOW - 365 * DAY, 500, namespace="shop", name="app-7"), NOW)
    assert len(found) == 52


async def test_a_database_that_is_away_says_so(place: Place, reopen: Opener) -> None:
    store = reopen()
    assert isinstance(store, SqlStore)
    await table_of(store).save([seen()])
    table = SqlAnomalies(store.database, timeout_seconds=1.0)
    place.lose()
    actions: list[Callable[[], object]] = [lambda: table.save([seen()]), lambda: table.sweep(NOW, NOW)]
    for action in actions:
        with pytest.raises(StoreUnavailable):
            await action()  # type: ignore[misc]
    place.restore()

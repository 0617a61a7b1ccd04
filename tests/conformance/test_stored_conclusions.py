"""The same checks of the planner's conclusions over every store that remembers."""

import asyncio

import pytest
from sqlalchemy import insert

from scaler.errors import StoreUnavailable
from scaler.store import Store
from scaler.store.conclusions import Concluded
from scaler.store.schema import conclusions
from scaler.store.sql_store import SqlStore
from scaler.store.stored_conclusions import KEPT_SECONDS, SqlConclusions
from tests.conformance.conftest import Opener, Place

NOW = 1_700_006_400.0
ONE = Concluded(NOW, {"level_shift": 1.25, "lost_by": 2.5})


def table_of(store: Store, installation: str = "") -> SqlConclusions:
    assert isinstance(store, SqlStore)
    return SqlConclusions(store.database, installation)


@pytest.fixture
def table(store: Store) -> SqlConclusions:
    return table_of(store)


async def test_they_come_back_after_a_restart(reopen: Opener) -> None:
    """Of those who are asked for."""
    found = {f"shop/app-{number}/0f": Concluded(NOW + number, {"calibration": 1.0 + number}) for number in range(600)}
    first = reopen()
    await table_of(first).save(found)
    await first.close()
    wanted = [*list(found)[100:], "shop/other/0f"]
    assert await table_of(reopen()).load(wanted) == {key: found[key] for key in wanted if key in found}


async def test_the_newest_stays(table: SqlConclusions) -> None:
    """Whoever writes last: a replica that was slow does not put back what is older."""
    await table.save({"a": ONE})
    await table.save({"a": Concluded(NOW + 1, {})})
    await table.save({"a": ONE})
    assert await table.load(["a"]) == {"a": Concluded(NOW + 1, {})}


async def test_installations_do_not_see_each_other(store: Store) -> None:
    mine, others = table_of(store, "mine"), table_of(store, "others")
    await mine.save({"a": ONE})
    await others.save({"a": Concluded(NOW, {})})
    assert await mine.load(["a"]) == {"a": ONE}


@pytest.mark.parametrize("content", ["", "no json", "[1]", "3", "null", '{"level_shift": "much"}', "[" * 5000])
async def test_a_row_that_holds_nothing_of_ours_is_passed_over(store: Store, content: str) -> None:
    table = table_of(store)
    await table.save({"b": ONE})
    async with store.database.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(insert(conclusions).values(installation="", key="a", at=NOW, content=content))
    found = await table.load(["a", "b"])
    assert found.pop("b") == ONE
    assert [one.values for one in found.values()] in ([], [{}])


async def test_what_is_a_week_old_is_swept(table: SqlConclusions) -> None:
    """By a moment that has passed for certain, whatever the clock says now."""
    await table.save({"old": ONE, "new": Concluded(NOW + KEPT_SECONDS, {})})
    await table.sweep(NOW + KEPT_SECONDS - 1, NOW + 99 * KEPT_SECONDS)
    assert set(await table.load(["old", "new"])) == {"old", "new"}
    await table.sweep(NOW + KEPT_SECONDS + 1, NOW + KEPT_SECONDS + 1)
    assert set(await table.load(["old", "new"])) == {"new"}


async def test_two_replicas_write_the_same_rows_at_once(reopen: Opener) -> None:
    tables = [table_of(reopen()) for _ in range(2)]
    found = {f"app-{number}": ONE for number in range(500)}
    await asyncio.gather(*(table.save(found) for table in tables))
    assert await tables[0].load(list(found)) == found


async def test_a_database_that_is_away_says_so(place: Place, reopen: Opener) -> None:
    store = reopen()
    assert isinstance(store, SqlStore)
    await table_of(store).save({"a": ONE})
    table = SqlConclusions(store.database, timeout_seconds=1.0)
    place.lose()
    with pytest.raises(StoreUnavailable):
        await table.save({"a": ONE})
    with pytest.raises(StoreUnavailable):
        await table.load(["a"])
    place.restore()

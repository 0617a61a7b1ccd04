"""The same checks of past plans over every database that keeps them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import update

from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.store.schema import plans
from scaler.store.sql_store import SqlStore
from scaler.store.stored_plans import KEPT_DAYS, SqlPlans
from tests.conformance.conftest import Opener

NOW = 1_700_006_400.0
DAY = 86400.0
REASONS = (
    {"rule": "need", "text": 'the peak over "300" s\n\x00 ü 😀', "before": None, "after": 61.25},
    {"rule": "floor", "text": "the newest observation", "before": 61.25, "after": 70.0},
)


def planned(at: float = NOW, name: str = "web", trigger: str = "0f", **other: object) -> PastPlan:
    made = PastPlan(
        namespace="shop", name=name, trigger=trigger, at=at, rung="forecast_and_observation", metric=70.0,
        planned=70.0, need=61.25, quantile=0.94, observed=70.0, active=True, replicas=7, model="general@1",
        error="", reasons=REASONS,
    )  # fmt: skip
    return replace(made, **other)  # type: ignore[arg-type]


def asked(since: float = 0.0, until: float = 2e9, limit: int = 100, **other: object) -> PastPlansAsked:
    return replace(PastPlansAsked("shop", "web", since, until, limit), **other)  # type: ignore[arg-type]


def newest_first(found: Sequence[PastPlan]) -> list[PastPlan]:
    return sorted(found, key=lambda one: (one.minute, one.trigger), reverse=True)


@pytest.fixture
def kept(reopen: Opener) -> SqlPlans:
    return plans_of(reopen)


def plans_of(reopen: Opener, installation: str = "") -> SqlPlans:
    store = reopen()
    assert isinstance(store, SqlStore)
    return SqlPlans(store.database, installation)


async def test_plans_come_back_as_they_were(reopen: Opener) -> None:
    """All of a plan, also one that KEDA got an error for; of one object alone, the newest first, after a restart."""
    made = [planned(NOW + 60 * n, trigger=trigger) for n in range(200) for trigger in ("0f", "1e")]
    none = planned(
        NOW - 600, rung="nothing", metric=None, planned=None, need=None, quantile=None, observed=None, active=False,
        replicas=None, model="", error="connection refused", reasons=(),
    )  # fmt: skip
    await plans_of(reopen).save([*made, none, planned(name="api")])
    assert await plans_of(reopen).load(asked(limit=1000)) == newest_first([*made, none])


async def test_what_is_written_twice_is_there_once(kept: SqlPlans) -> None:
    """The first one stays: another replica that refreshes the same trigger planned about the same."""
    await kept.save([planned()])
    await kept.save([planned(metric=99.0), planned(NOW + 60)])
    assert await kept.load(asked()) == [planned(NOW + 60), planned()]


async def test_pages_follow_each_other(kept: SqlPlans) -> None:
    """Each plan once, also where several triggers have one of the same minute."""
    made = [planned(NOW + 60 * n, trigger=trigger) for n in range(4) for trigger in ("0f", "1e", "2d")]
    await kept.save(made)
    seen: list[PastPlan] = []
    after = None
    while page := await kept.load(asked(limit=5, after=after)):
        seen += page
        after = page[-1].minute, page[-1].trigger
    assert seen == newest_first(made)


async def test_from_one_moment_to_another(kept: SqlPlans) -> None:
    """Both included, to the second."""
    await kept.save([planned(NOW + n) for n in (0, 75, 150, 225)])
    found = await kept.load(asked(NOW + 75, NOW + 224))
    assert [one.at - NOW for one in found] == [150, 75]


async def test_old_plans_are_swept(kept: SqlPlans) -> None:
    """Those that are a week old, or two where they are dropped by the week; by the moment that has passed for
    certain."""
    days = (0, 1, KEPT_DAYS - 1, KEPT_DAYS + 8, KEPT_DAYS + 9, 300)
    for one in days:  # as they come in
        await kept.save([planned(NOW - one * DAY)])
    await kept.sweep(NOW, NOW + 4000 * DAY)
    assert [round((NOW - one.at) / DAY) for one in await kept.load(asked())] == list(days[:3])


async def test_rows_that_hold_no_plan_are_left_out(kept: SqlPlans) -> None:
    """Numbers that are none, reasons of another form."""
    await kept.save([planned(NOW + 60 * n) for n in range(4)])
    for n, odd in enumerate(({"metric": float("inf")}, {"reasons": {"rule": 1}}, {"reasons": [{"rule": "need"}]})):
        async with kept._database.engine.begin() as connection:
            await connection.execute(update(plans).where(plans.c.at == NOW + 60 * n).values(**odd))
    assert await kept.load(asked()) == [planned(NOW + 180)]


async def test_replicas_that_save_at_once_lose_nothing(reopen: Opener) -> None:
    """The same plans in opposite orders, some of them by both, into a table that has no partition yet."""
    made = [planned(NOW + 60 * n, trigger=f"{n:02x}") for n in range(300)]
    one, two = plans_of(reopen), plans_of(reopen)
    await asyncio.gather(one.save(made), two.save(made[::-1]), one.save(made[100:200]))
    assert await two.load(asked(limit=500)) == newest_first(made)


async def test_installations_do_not_see_each_other(reopen: Opener) -> None:
    """They may share a database, and watch the same trigger."""
    blue, green = plans_of(reopen, "blue"), plans_of(reopen, "green")
    await blue.save([planned()])
    await green.save([planned(metric=99.0)])
    assert await blue.load(asked()) == [planned()]
    assert await green.load(asked()) == [planned(metric=99.0)]

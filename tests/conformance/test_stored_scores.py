"""The same checks of scores over every store that remembers."""

import pytest
from sqlalchemy import select

from scaler.errors import StoreUnavailable
from scaler.scored import SUMS, Owner, ScoredDay, ScoredHour, ScoredTotal, ScoresAsked, TotalsAsked, WeekAsked
from scaler.store import Store
from scaler.store.schema import scores
from scaler.store.scores import NullScores, ScoreStore
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import SqlStore, open_store
from tests.conformance.conftest import Opener, Place

DAY = 86400.0
NOW = 1_700_006_400.0
TODAY = int(NOW // DAY)
HOUR = TODAY * 24
"""the first of a day of UTC"""
ALL = (0, 2**31 - 1)
WEB = Owner("shop", "web", "0f")
KEEPS = 6 / 7


def scored(
    hour: int = HOUR,
    part: str = "a0",
    owner: Owner = WEB,
    lead: str = "peak",
    minutes: int = 60,
    each: float = 2.0,
    quantile: float = 0.9,
) -> ScoredHour:
    """An hour in which each minute added `each` to each sum."""
    sums = tuple(minutes * (each + n) for n in range(len(SUMS)))
    return ScoredHour(owner, lead, quantile, hour, part, minutes, sums)


def added(*hours: ScoredHour) -> tuple[float, ...]:
    return tuple(map(sum, zip(*(one.sums for one in hours), strict=True)))


def day(*hours: ScoredHour) -> ScoredDay:
    first, minutes = hours[0], sum(one.minutes for one in hours)
    return ScoredDay(first.owner.trigger, first.quantile, first.hour // 24, minutes, added(*hours))


def asked(lead: str = "peak", hours: tuple[int, int] = ALL) -> ScoresAsked:
    return ScoresAsked("shop", "web", lead, hours)


@pytest.fixture
def kept(store: Store) -> ScoreStore:
    return scores_beside(store)


async def test_hours_come_back_as_days(reopen: Opener) -> None:
    """Of one object and lead, after a restart, in order; hours of one day of UTC together."""
    hours = [scored(HOUR + h, each=h) for h in range(0, 72, 8)]
    others = [scored(lead="5 min"), scored(owner=Owner("shop", "api", "0f")), scored(owner=Owner("b", "web", "0f"))]
    first = reopen()
    await scores_beside(first).save([*hours, *others])
    await first.close()
    found = await scores_beside(reopen()).days(asked())
    assert found == [day(*hours[n : n + 3]) for n in range(0, len(hours), 3)]


async def test_what_is_written_twice_counts_once(kept: ScoreStore) -> None:
    """Also by a batch of which a part is there already."""
    await kept.save([scored()])
    await kept.save([scored(), scored(HOUR + 1)])
    assert await kept.days(asked()) == [day(scored(), scored(HOUR + 1))]


async def test_who_takes_over_in_mid_hour_adds_to_it(kept: ScoreStore) -> None:
    before, after = scored(part="a0", minutes=20), scored(part="b0", minutes=40)
    await kept.save([before])
    await kept.save([after])
    assert await kept.days(asked()) == [day(before, after)]


async def test_two_replicas_that_score_the_same_hour_count_once(kept: ScoreStore) -> None:
    """Without what they share, each refreshes all: the hour is their mean, and no longer than an hour."""
    await kept.save([scored(part="a0", each=4), scored(part="b0", each=6)])
    (found,) = await kept.days(asked())
    assert found.minutes == pytest.approx(60)
    assert found.sums == pytest.approx(scored(each=5).sums)


async def test_the_triggers_of_an_object_are_apart(kept: ScoreStore) -> None:
    """Each with the quantile that it promised; the bounds are hours."""
    old, new = scored(), scored(HOUR + 1, owner=WEB._replace(trigger="1e"), quantile=0.95)
    await kept.save([old, new, scored(HOUR + 2), scored(HOUR - 1)])
    assert await kept.days(asked(hours=(HOUR, HOUR + 2))) == [day(old), day(new)]


async def test_what_no_number_holds_is_bounded(kept: ScoreStore) -> None:
    """The square of an absurd error must not keep the other rows of its transaction away."""
    odd = ScoredHour(WEB, "peak", 0.9, HOUR, "a0", 60, (float("inf"), float("nan"), *[1e300] * (len(SUMS) - 2)))
    await kept.save([odd, scored(HOUR + 24)])
    assert len(await kept.days(asked())) == 2


async def test_the_totals_of_an_object_are_its_days_together(kept: ScoreStore) -> None:
    """By trigger and lead, of the hours that are asked for; what two replicas scored of one hour counts once."""
    twice = [scored(part="a0", each=4), scored(part="b0", each=6)]
    other = scored(lead="5 min", owner=WEB._replace(trigger="1e"), quantile=0.95)
    none = ScoredHour(WEB, "15 min", 0.9, HOUR, "a0", 60, (0.0,) * len(SUMS))
    api, later = scored(owner=Owner("shop", "api", "0f")), scored(HOUR + 48)
    await kept.save([*twice, scored(HOUR + 24), other, none, api, later])
    assert await kept.totals(TotalsAsked("shop", "web", (HOUR, HOUR + 48))) == [
        ScoredTotal("0f", "peak", 0.9, pytest.approx(added(scored(each=5), scored()))),
        ScoredTotal("1e", "5 min", 0.95, pytest.approx(other.sums)),
    ]


async def test_totals_are_of_days_and_hours(kept: ScoreStore) -> None:
    """Of a trigger, old hours have become days, and others have not."""
    hours = [scored(HOUR - 24 * 40), scored(HOUR - 24 * 40 + 1), scored(HOUR - 24 * 20), scored(HOUR)]
    await kept.save(hours)
    await kept.sweep(NOW, NOW)
    (found,) = await kept.totals(TotalsAsked("shop", "web", ALL))
    assert found.sums == pytest.approx(added(*hours))


async def test_the_week_fades(kept: ScoreStore) -> None:
    """By lead. A day counts six sevenths of the next one; after four weeks it is gone."""
    hours = [scored(HOUR - 24 * age, each=age) for age in (0, 1, 3, 27, 28)]
    await kept.save([*hours, scored(lead="5 min")])
    found = await kept.weeks([WeekAsked(WEB, HOUR + 5)], KEEPS)
    weights = (1, KEEPS, KEEPS**3, KEEPS**27)
    expected = [sum(w * one.sums[n] for w, one in zip(weights, hours, strict=False)) for n in range(len(SUMS))]
    assert found[WEB]["peak"] == pytest.approx(expected, rel=1e-5)
    assert found[WEB]["5 min"] == pytest.approx(scored().sums)


async def test_the_week_of_many(kept: ScoreStore) -> None:
    owners = [Owner("shop", f"app-{n:03}", "0f") for n in range(70)]
    await kept.save([scored(owner=owner, each=n) for n, owner in enumerate(owners)])
    wanted = [WeekAsked(owner, HOUR) for owner in [*owners, Owner("shop", "none", "0f")]]
    found = await kept.weeks(wanted, KEEPS)
    assert {owner: leads["peak"] for owner, leads in found.items()} == {
        owner: pytest.approx(scored(each=n).sums) for n, owner in enumerate(owners)
    }


async def test_a_week_leaves_out_what_a_process_scored_itself(kept: ScoreStore) -> None:
    """Since it began, in mid-hour; what others scored in that hour, and itself before, is there."""
    mine, others = scored(part="a_%1", minutes=20), scored(part="b0", minutes=20, each=7)
    mine_before, later = scored(HOUR - 1, part="a_%0"), scored(HOUR + 1, part="c0")
    await kept.save([mine, others, mine_before, later])
    found = await kept.weeks([WeekAsked(WEB, HOUR, "a_%")], 1.0)
    assert found[WEB]["peak"] == pytest.approx(added(others, mine_before))


async def stored(store: Store) -> list[tuple[str, int, int]]:
    assert isinstance(store, SqlStore)
    async with store.database.engine.begin() as connection:
        kept = await connection.execute(select(scores.c.part, scores.c.hours, scores.c.hour).order_by(scores.c.hour))
        return [tuple(row) for row in kept]


async def test_old_hours_become_days(store: Store, kept: ScoreStore) -> None:
    """After three days, one row for each day and lead. Nothing that is read changes; what comes late is added."""
    parts = [scored(HOUR + h, part, minutes=25) for h in range(24) for part in ("a0", "b0")]
    twice = [scored(HOUR + 24, part) for part in ("a0", "b0")]
    others = [scored(HOUR + h, owner=Owner("shop", f"app-{n:03}", "0f")) for n in range(300) for h in (0, 1)]
    new = [scored(HOUR + 24 * 4 + h) for h in range(3)]
    await kept.save([*parts, *twice, *others, *new])
    before = await kept.days(asked())
    for late in (0, 1):
        now = NOW + (5 + late) * DAY
        await kept.sweep(now - 3600.0, now)
        assert await kept.days(asked()) == [
            ScoredDay(one.trigger, one.quantile, one.day, one.minutes, pytest.approx(one.sums)) for one in before
        ]
    rows = await stored(store)
    assert len([row for row in rows if row[1] == 24]) == 302
    assert len(rows) == 302 + len(new)
    await kept.save([scored(HOUR + 30)])
    await kept.sweep(NOW + 8 * DAY, NOW + 8 * DAY)
    assert len(await stored(store)) == 302 + 1
    (first, second, _) = await kept.days(asked())
    assert first.sums == pytest.approx(before[0].sums)
    assert second.sums == pytest.approx(tuple(a + b for a, b in zip(before[1].sums, scored().sums, strict=True)))


async def test_a_sweep_drops_what_is_a_year_old(store: Store, kept: ScoreStore) -> None:
    """By the moment that has passed for certain, whatever the clock shows now."""
    hours = [scored(HOUR - days * 24) for days in (0, 300, 365, 368, 800)]
    await kept.save(hours)
    await kept.sweep(NOW, NOW + 4000 * DAY)
    assert [one.day for one in await kept.days(asked())] == [TODAY - 365, TODAY - 300, TODAY]


async def test_installations_do_not_see_each_other(reopen: Opener, place: Place) -> None:
    other = open_store(place.url, None, "other")
    mine = reopen()
    await scores_beside(mine).save([scored()])
    assert await scores_beside(other, "other").days(asked()) == []
    assert await scores_beside(other, "other").weeks([WeekAsked(WEB, HOUR)], KEEPS) == {}
    await scores_beside(other, "other").sweep(NOW + 30 * DAY, NOW + 30 * DAY)
    assert [row[1] for row in await stored(mine)] == [1]
    await other.close()


async def test_installations_do_not_mix_when_hours_become_days(reopen: Opener, place: Place) -> None:
    """Of triggers that are called the same."""
    mine, other = reopen(), open_store(place.url, None, "other")
    await scores_beside(mine).save([scored(part="a")])
    await scores_beside(other, "other").save([scored(part="b", each=5.0)])
    for store, name in ((mine, ""), (other, "other")):
        await scores_beside(store, name).sweep(NOW + 30 * DAY, NOW + 30 * DAY)
    assert await scores_beside(mine).days(asked()) == [day(scored())]
    assert await scores_beside(other, "other").days(asked()) == [day(scored(each=5.0))]
    await other.close()


async def test_a_lost_database_is_reported_and_used_again(place: Place, reopen: Opener) -> None:
    store = reopen()
    kept = scores_beside(store)
    await kept.save([scored()])
    operations = {
        "save": lambda: kept.save([scored()]),
        "days": lambda: kept.days(asked()),
        "weeks": lambda: kept.weeks([WeekAsked(WEB, HOUR)], KEEPS),
        "sweep": lambda: kept.sweep(NOW, NOW),
    }
    place.lose()
    try:
        for name, operation in operations.items():
            with pytest.raises(StoreUnavailable):
                pytest.fail(f"{name} has answered: {await operation()}")
    finally:
        place.restore()
    for operation in operations.values():
        await operation()
    assert await kept.days(asked()) == [day(scored())]


async def test_without_a_database_nothing_is_kept() -> None:
    kept = scores_beside(open_store(None, None))
    assert isinstance(kept, NullScores)
    await kept.save([scored()])
    assert await kept.days(asked()) == []
    assert await kept.weeks([WeekAsked(WEB, HOUR)], KEEPS) == {}
    await kept.sweep(NOW, NOW)

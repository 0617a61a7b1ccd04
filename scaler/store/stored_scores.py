"""The table `scores`: a row for each lead and hour of a trigger, and each process that has scored some of it.

After HOURS_KEPT_DAYS the hours of a trigger become one row for each lead and day.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Insert,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)

from scaler.scored import (
    DAY_HOURS,
    LEADS,
    SUMS,
    Owner,
    ScoredDay,
    ScoredHour,
    ScoredTotal,
    ScoresAsked,
    TotalsAsked,
    WeekAsked,
    Weeks,
)
from scaler.store.schema import scores

ROWS = 250
"""of one transaction"""
OWNERS_READ = 32
"""whose last days are read in one transaction"""
ROWS_MERGED = 500
"""old hours that are looked at for one transaction; all old ones of their ScaledObjects become days in it"""
HOURS_KEPT_DAYS = 3
DAY = "day"
"""the part of a row that holds a day"""
HOUR_MINUTES = 60.0
FADING_DAYS = 28
"""after which nothing that matters is left of a day"""
_OWNER = ("namespace", "name", "lead", "trigger")
_ADDED = ("minutes", *SUMS)
_DOUBLE = Float(53)
_LARGEST = 1e36
"""a sum is no larger: a few of them still are a number in single precision"""


def row_of(one: ScoredHour, installation: str) -> dict[str, Any]:
    """The hour as a row."""
    return {
        **one.owner._asdict(),
        "lead": one.lead,
        "hour": one.hour,
        "part": one.part,
        "installation": installation,
        "hours": 1,
        "quantile": one.quantile,
        "minutes": one.minutes,
        **dict(zip(SUMS, map(_bounded, one.sums), strict=True)),
    }


@cache
def days() -> Select[Any]:
    """The days of the triggers of one ScaledObject, in order; `days_asked` makes its parameters. Made once, because
    making it takes milliseconds."""
    found = _hours(and_(_of_object(), scores.c.lead == bindparam("lead")))
    owner = (found.c.trigger, found.c.day)
    sums = (func.sum(found.c[name]) for name in _ADDED)
    return select(*owner, func.max(found.c.quantile), *sums).group_by(*owner).order_by(*owner)


def days_asked(installation: str, asked: ScoresAsked) -> dict[str, Any]:
    """The parameters of `days`."""
    return {**_object_asked(installation, asked), "lead": asked.lead}


def days_in(rows: Sequence[Any]) -> list[ScoredDay]:
    """The days that the rows hold; one with a number that is none is left out."""
    found = []
    for trigger, day, quantile, minutes, *sums in rows:
        if _are_numbers((quantile, minutes, *sums)):
            found.append(ScoredDay(trigger, round(quantile, 6), int(day), minutes, tuple(map(float, sums))))
    return found


@cache
def totals() -> Select[Any]:
    """The sums of each trigger and lead of one ScaledObject; `totals_asked` makes its parameters. Days are added up at
    once, apart from hours, of which several rows may be of the same time: of a year, this takes half as long."""
    at = scores.c
    # all leads by name: the primary key has them before hours; `+ 0` keeps SQLite off the index of ages
    wanted, is_hour = and_(_of_object(), at.lead.in_(LEADS)), at.hours + 0 == 1
    both = union_all(_added_up(at).where(wanted, ~is_hour), _added_up(_hours(and_(wanted, is_hour)).c)).subquery().c
    return _added_up(both).having(func.sum(both[SUMS[0]]) > 0).order_by(both.trigger, both.lead)


def totals_asked(installation: str, asked: TotalsAsked) -> dict[str, Any]:
    """The parameters of `totals`."""
    return _object_asked(installation, asked)


def totals_in(rows: Sequence[Any]) -> list[ScoredTotal]:
    """What the rows hold; sums with one that is no number are left out."""
    return [
        ScoredTotal(trigger, lead, round(quantile, 6), tuple(map(float, sums)))
        for trigger, lead, quantile, *sums in rows
        if _are_numbers((quantile, *sums))
    ]


def weeks(installation: str, asked: Sequence[WeekAsked], day_keeps: float) -> Select[Any]:
    """The sums of each lead of these, of FADING_DAYS: those of a day count `day_keeps` times those of the next one."""
    today = max(one.until for one in asked) // DAY_HOURS
    found = _hours(and_(scores.c.installation == installation, or_(*(_is_asked(one) for one in asked))))
    kept = {today - age: day_keeps**age for age in range(FADING_DAYS)}
    weight: ColumnElement[float] = case(kept, value=found.c.day, else_=0.0)
    owner = tuple(found.c[name] for name in _OWNER)
    return select(*owner, *(func.sum(found.c[name] * weight) for name in SUMS)).group_by(*owner)


def weeks_in(rows: Sequence[Any]) -> Weeks:
    """What the rows hold, by owner and lead; sums with one that is no number are left out."""
    found: dict[Owner, dict[str, tuple[float, ...]]] = {}
    for namespace, name, lead, trigger, *sums in rows:
        if _are_numbers(sums):
            found.setdefault(Owner(namespace, name, trigger), {})[lead] = tuple(map(float, sums))
    return found


def with_old_hours(installation: str, before: int) -> Select[Any]:
    """Some of the ScaledObjects that have hours from before the hour `before`."""
    at = scores.c
    some = select(at.namespace, at.name).where(_old(installation, before)).order_by(at.hour).limit(ROWS_MERGED)
    oldest = some.subquery()
    return select(oldest.c.namespace, oldest.c.name).distinct()


def old_hours(installation: str, before: int, wanted: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Whether a row is such an hour of one of these."""
    at = scores.c
    of_these = or_(*(and_(at.namespace == namespace, at.name == name) for namespace, name in wanted))
    return and_(_old(installation, before), of_these)


def as_days(old: ColumnElement[bool], installation: str, insert: Any) -> Insert:
    """Insert the days that these hours make; to one that is there, they are added. insert: of the dialect."""
    found = _hours(old)
    owner = tuple(found.c[name] for name in _OWNER)
    columns = {
        **{column.name: column for column in owner},
        "hour": found.c.day * DAY_HOURS,
        "part": literal(f"{DAY} {installation}".strip()),  # the key has no installation
        "installation": literal(installation),
        "hours": literal(DAY_HOURS),
        "quantile": func.max(found.c.quantile),
        **{name: func.sum(found.c[name]) for name in _ADDED},
    }
    grouped = select(*columns.values()).where(found.c.minutes >= 0).group_by(*owner, found.c.day)
    statement = insert.from_select(list(columns), grouped)
    added = {name: scores.c[name] + statement.excluded[name] for name in _ADDED}
    return statement.on_conflict_do_update(index_elements=list(scores.primary_key), set_=added)  # type: ignore[no-any-return]


def aged(before: int) -> ColumnElement[bool]:
    """Whether a row is of a day before that of the hour `before`, or an hour that became none in that time."""
    return and_(scores.c.hours.in_((1, DAY_HOURS)), scores.c.hour < before)


def _old(installation: str, before: int) -> ColumnElement[bool]:
    at = scores.c
    return and_(at.hours == 1, at.hour < before, at.installation == installation)


def _of_object() -> ColumnElement[bool]:
    """Whether a row is of the ScaledObject and the hours of `_object_asked`."""
    at = scores.c
    own = (at[name] == bindparam(name) for name in ("namespace", "name", "installation"))
    return and_(*own, at.hour >= bindparam("first"), at.hour < bindparam("end"))


def _object_asked(installation: str, asked: ScoresAsked | TotalsAsked) -> dict[str, Any]:
    own = {"namespace": asked.namespace, "name": asked.name, "installation": installation}
    return {**own, "first": asked.hours[0], "end": asked.hours[1]}


def _is_asked(one: WeekAsked) -> ColumnElement[bool]:
    at = scores.c
    is_of = and_(*(at[name] == value for name, value in one.owner._asdict().items()))
    first = (one.until // DAY_HOURS - FADING_DAYS + 1) * DAY_HOURS
    is_mine = at.part.startswith(one.but_not_of, autoescape=True)
    until = or_(at.hour < one.until, and_(at.hour == one.until, ~is_mine)) if one.but_not_of else at.hour <= one.until
    # by name, although they are all: so the index leads to these weeks, not to the whole year
    return and_(is_of, at.lead.in_(LEADS), at.hour >= first, until)


def _added_up(found: Any) -> Select[Any]:
    """Rows with these columns, of each trigger and lead together."""
    sums = (func.sum(cast(found[name], _DOUBLE)).label(name) for name in SUMS)
    quantile = func.max(cast(found.quantile, _DOUBLE)).label("quantile")
    return select(found.trigger, found.lead, quantile, *sums).group_by(found.trigger, found.lead)


def _hours(condition: ColumnElement[bool]) -> Subquery:
    """All parts of an hour together, in double precision, with its day. Where they have looked at it for more minutes
    than an hour has, two replicas have scored the same time, and the hour is their mean."""
    at = scores.c
    known = func.sum(cast(at.minutes, _DOUBLE))
    share = case((and_(known > HOUR_MINUTES, at.hours == 1), HOUR_MINUTES / known), else_=1.0)
    owner = (*(at[name] for name in _OWNER), at.hour, at.hours)
    sums = ((func.sum(cast(at[name], _DOUBLE)) * share).label(name) for name in _ADDED)
    day = (at.hour // DAY_HOURS).label("day")
    quantile = func.max(cast(at.quantile, _DOUBLE)).label("quantile")
    return select(*owner, day, quantile, *sums).where(condition).group_by(*owner).subquery()


def _are_numbers(values: Sequence[Any]) -> bool:
    """Whether all are finite numbers: SQLite keeps whatever somebody wrote."""
    try:
        return all(map(math.isfinite, values))
    except (TypeError, OverflowError):
        return False


def _bounded(value: float) -> float:
    return min(max(value, -_LARGEST), _LARGEST) if value == value else 0.0

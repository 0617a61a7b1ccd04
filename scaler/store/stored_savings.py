"""The table `savings`: a row for each hour of a trigger, and each process that has counted some of it.

After HOURS_KEPT_DAYS the hours of a ScaledObject become one row for each day and mode, with the trigger ALL.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, bindparam, case, func, or_, select

from scaler.savings import DAY_HOURS, HOUR_SECONDS, SavedDay, SavedHour, Side, Sums
from scaler.store.schema import savings

ROWS = 250
"""of one transaction"""
DAYS_READ = 600
"""in one transaction"""
OBJECTS_MERGED = 100
"""ScaledObjects whose old hours become days in one transaction"""
HOURS_KEPT_DAYS = 8
ALL = ""
"""the trigger of a row that holds a day"""
_KEY = ("namespace", "name", "trigger", "hour", "part", "mode")
_SIDE = ("replica_seconds", "short_seconds", "unserved", "scale_events")
_SUMS = ("known_seconds", "demand", *(f"{side}_{name}" for side in ("plan", "reactive") for name in _SIDE))


def row_of(hour: SavedHour, installation: str) -> dict[str, Any]:
    """The hour as a row."""
    sums, sides = hour.sums, {"plan": hour.sums.plan, "reactive": hour.sums.reactive}
    return {
        **{name: getattr(hour, name) for name in _KEY},
        "installation": installation,
        "known_seconds": sums.known_seconds,
        "demand": sums.demand,
        **{f"{side}_{name}": value for side, found in sides.items() for name, value in asdict(found).items()},
    }


def objects(installation: str, hours: tuple[int, int], after: tuple[str, str], limit: int) -> Select[Any]:
    """The first ScaledObjects after `after` of which anything is known within [first, last) of `hours`."""
    at = savings.c
    follows = or_(at.namespace > after[0], and_(at.namespace == after[0], at.name > after[1]))
    query = select(at.namespace, at.name).where(_within(installation, hours), follows).distinct()
    return query.order_by(at.namespace, at.name).limit(limit)


def objects_at_a_time(hours: tuple[int, int]) -> int:
    """How many objects have about DAYS_READ days."""
    return max(1, DAYS_READ * DAY_HOURS // max(DAY_HOURS, min(hours[1] - hours[0], 366 * DAY_HOURS)))


def days(installation: str, hours: tuple[int, int], wanted: Sequence[tuple[str, str]]) -> Select[Any]:
    """The days of these ScaledObjects, in order. Of several triggers of one object, the one with the most
    replica-seconds counts in each hour, as the HPA follows the largest metric."""
    return days_where(and_(_within(installation, hours), _of(wanted)))


@cache
def days_of_one() -> Select[Any]:
    """The days of one ScaledObject; `one_asked` makes its parameters. Made once, because making it takes
    milliseconds."""
    own = (savings.c[name] == bindparam(name) for name in ("namespace", "name"))
    within = _within(bindparam("installation"), (bindparam("first"), bindparam("end")))
    return days_where(and_(within, *own))


def one_asked(installation: str, hours: tuple[int, int], one: tuple[str, str]) -> dict[str, Any]:
    """The parameters of `days_of_one`."""
    return {"installation": installation, "first": hours[0], "end": hours[1], "namespace": one[0], "name": one[1]}


def days_where(condition: ColumnElement[bool]) -> Select[Any]:
    """The days that the rows make for which `condition` holds."""
    found = _first_of_each_hour(_by_trigger(condition))
    owner = (found.c.namespace, found.c.name, found.c.mode, found.c.day)
    sums = (func.sum(found.c[name]).label(name) for name in _SUMS)
    return select(*owner, *sums).where(found.c.place == 1).group_by(*owner).order_by(*owner)


def with_old_hours(installation: str, before: int) -> Select[Any]:
    """The first ScaledObjects that have hours from before the hour `before`."""
    at = savings.c
    return select(at.namespace, at.name).where(_old(installation, before)).distinct().limit(OBJECTS_MERGED)


def old_hours(installation: str, before: int, wanted: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Whether a row is such an hour of one of these."""
    return and_(_old(installation, before), _of(wanted))


def day_row(day: SavedDay, installation: str) -> dict[str, Any]:
    """The day as a row."""
    part = f"day-{day.mode} {installation}".strip()  # the key has no installation
    hour = SavedHour(day.namespace, day.name, ALL, day.day * DAY_HOURS, part, day.mode, day.sums)
    return row_of(hour, installation)


def added(excluded: Any) -> dict[str, Any]:
    """For an upsert: the sums of the row that is there, and those of the new one."""
    return {name: savings.c[name] + excluded[name] for name in _SUMS}


def _old(installation: str, before: int) -> ColumnElement[bool]:
    at = savings.c
    return and_(at.installation == installation, at.hour < before, at.trigger != ALL)


def _of(wanted: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    at = savings.c
    return or_(*(and_(at.namespace == namespace, at.name == name) for namespace, name in wanted))


def days_in(rows: Sequence[Any]) -> list[SavedDay]:
    """The days that the rows hold; one with a number that is none is left out."""
    found = []
    for namespace, name, mode, day, *values in rows:
        if all(isinstance(one, int | float) and 0 <= one < math.inf for one in values):
            known, demand, *sides = map(float, values)
            plan, reactive = (Side(one[0], one[1], one[2], int(one[3])) for one in (sides[:4], sides[4:]))
            found.append(SavedDay(namespace, name, mode, int(day), Sums(known, demand, plan, reactive)))
    return found


def _within(installation: Any, hours: Sequence[Any]) -> ColumnElement[bool]:
    at = savings.c
    return and_(at.installation == installation, at.hour >= hours[0], at.hour < hours[1], at.known_seconds > 0)


def _by_trigger(condition: ColumnElement[bool]) -> Subquery:
    """All parts of an hour together. Where they know more than an hour, two replicas have counted the same time."""
    at = savings.c
    known = func.sum(at.known_seconds)
    share = case((and_(known > HOUR_SECONDS, at.trigger != ALL), HOUR_SECONDS / known), else_=1.0)
    owner = (at.namespace, at.name, at.trigger, at.hour, at.mode)
    sums = ((func.sum(at[name]) * share).label(name) for name in _SUMS)
    return select(*owner, *sums).where(condition).group_by(*owner).subquery()


def _first_of_each_hour(found: Subquery) -> Subquery:
    size = found.c.plan_replica_seconds + found.c.reactive_replica_seconds
    hour = (found.c.namespace, found.c.name, found.c.hour, case((found.c.trigger == ALL, found.c.mode), else_=""))
    place = func.row_number().over(partition_by=hour, order_by=(size.desc(), found.c.trigger)).label("place")
    return select(found, place, (found.c.hour // DAY_HOURS).label("day")).subquery()

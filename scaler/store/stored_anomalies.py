"""The table `anomalies`: a row for each one, which grows while it lasts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.anomalies import AnomaliesAsked, Anomaly, Direction, Kind
from scaler.chunks import chunks
from scaler.store import sweeping
from scaler.store.database import TIMEOUT_SECONDS, Database, fetched
from scaler.store.schema import anomalies
from scaler.store.statements import bounded, insert_into

ROWS = 100
"""of one transaction"""
JOINED_SECONDS = 600.0
"""two that are no further apart are one: what two replicas have seen, or one before and after a restart"""
LONGEST_SECONDS = sweeping.DAY
"""none lasts longer"""
GROWS_SECONDS = 1200.0
"""a row that has not grown for as long is over, also where nobody has said so: its process was killed"""
_KEY = ("namespace", "name", "trigger", "direction", "since")
_VALUES = ("until", "kind", "largest", "expected", "bound", "is_over")
_COLUMNS = (*_KEY, *_VALUES)


class SqlAnomalies:
    """In a database that others use as well. It is theirs to close."""

    def __init__(self, database: Database, installation: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds

    async def save(self, found: Sequence[Anomaly]) -> None:
        """Insert, or let the row of the same one grow."""
        ordered = sorted(found, key=_key)
        async with bounded(self._database, self._timeout_seconds, 1 + len(ordered) // ROWS):
            for chunk in chunks(ordered, ROWS):
                await self._database.run(self._put, chunk)

    async def load(self, asked: AnomaliesAsked, now: float) -> list[Anomaly]:
        """Those that are asked for, the newest first; a row that holds none is left out."""
        async with bounded(self._database, self._timeout_seconds):
            rows = await self._database.run(fetched, _page(self._installation, asked))
        return [_as_of(one, now) for one in _found_in(rows)]

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some that are more than a year older than `passed`."""
        async with bounded(self._database, self._timeout_seconds):
            await self._database.run(sweeping.remove_aged_anomalies, self._database, passed, now)

    async def _put(self, connection: AsyncConnection, found: Sequence[Anomaly]) -> None:
        await self._database.lock(connection)
        known = _found_in(await fetched(connection, _near(self._installation, found)))
        new: dict[tuple[Any, ...], Anomaly] = {}
        grown: dict[tuple[Any, ...], Anomaly] = {}
        for one in found:
            same = next((other for other in [*new.values(), *known] if _is_same(one, other)), None)
            if same is None:
                new[_key(one)] = one
            elif _key(same) in new:
                new[_key(same)] = joined(same, one)
            else:
                grown[_key(same)] = joined(grown.get(_key(same), same), one)
        if new:
            rows = [_row(self._installation, one) for one in new.values()]
            await connection.execute(insert_into(self._database, anomalies).on_conflict_do_nothing(), rows)
        if grown:
            values = [_grown_row(self._installation, key, one) for key, one in grown.items()]
            await connection.execute(_GROW, values)


def joined(known: Anomaly, new: Anomaly) -> Anomaly:
    """Both as one. What the later one says of its end counts."""
    later = new if new.until >= known.until else known
    further = max(known, new, key=lambda one: abs(one.largest - one.bound))
    return replace(
        further,
        since=min(known.since, new.since),
        until=later.until,
        kind=Kind.LEVEL_SHIFT if Kind.LEVEL_SHIFT in (known.kind, new.kind) else Kind.ANOMALY,
        is_over=later.is_over,
    )


_GROW = (
    update(anomalies)
    .where(*(anomalies.c[name] == bindparam(f"of_{name}") for name in ("installation", *_KEY)))
    .values({name: bindparam(f"new_{name}") for name in ("since", *_VALUES)})
)


def _grown_row(installation: str, key: tuple[Any, ...], one: Anomaly) -> dict[str, Any]:
    row = _row(installation, one)
    of = {"of_installation": installation} | {f"of_{name}": value for name, value in zip(_KEY, key, strict=True)}
    return of | {f"new_{name}": row[name] for name in ("since", *_VALUES)}


def _key(one: Anomaly) -> tuple[Any, ...]:
    return (one.namespace, one.name, one.trigger, one.direction.value, one.since)


def _row(installation: str, one: Anomaly) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _COLUMNS} | {
        "installation": installation,
        "direction": one.direction.value,
        "kind": one.kind.value,
        "is_over": int(one.is_over),
    }


def _is_same(one: Anomaly, other: Anomaly) -> bool:
    """Whether both are of the same trigger and direction, and of about the same time."""
    is_near = one.since <= other.until + JOINED_SECONDS and other.since <= one.until + JOINED_SECONDS
    return _key(one)[:-1] == _key(other)[:-1] and is_near


def _near(installation: str, found: Sequence[Anomaly]) -> Select[Any]:
    """The rows that may be the same as some of these."""
    at = anomalies.c
    first, last = min(one.since for one in found), max(one.until for one in found)
    near = _select().where(
        at.installation == installation,
        at.namespace.in_(sorted({one.namespace for one in found})),
        at.name.in_(sorted({one.name for one in found})),
        at.since.between(first - LONGEST_SECONDS, last + JOINED_SECONDS),
    )
    # the earliest first: of two rows that one anomaly joins, it grows that one, whose key stays
    return near.order_by(at.since)


def _page(installation: str, asked: AnomaliesAsked) -> Select[Any]:
    at = anomalies.c
    wanted = [at.installation == installation, at.since >= asked.since - LONGEST_SECONDS, at.until > asked.since]
    wanted += [at[part] == value for part in ("namespace", "name") if (value := getattr(asked, part))]
    if asked.after is not None:
        wanted.append(_follows(*asked.after))
    query = _select().where(*wanted).order_by(at.since.desc(), at.namespace, at.name, at.trigger)
    return query.limit(asked.limit)


def _follows(since: float, namespace: str, name: str, trigger: str) -> ColumnElement[bool]:
    at = anomalies.c
    in_name = or_(at.name > name, and_(at.name == name, at.trigger > trigger))
    in_namespace = or_(at.namespace > namespace, and_(at.namespace == namespace, in_name))
    return or_(at.since < since, and_(at.since == since, in_namespace))


def _select() -> Select[Any]:
    return select(*(anomalies.c[name] for name in _COLUMNS))


def _found_in(rows: Iterable[Any]) -> list[Anomaly]:
    """The anomalies that rows hold; one with a value that is none is left out."""
    found = []
    for namespace, name, trigger, direction, since, until, kind, *sizes, is_over in rows:
        is_number = all(isinstance(one, int | float) and 0 <= one < math.inf for one in (since, until, *sizes))
        if is_number and since < until and direction in set(Direction) and kind in set(Kind):
            owner = namespace, name, trigger
            largest, expected, bound = map(float, sizes)
            which = Direction(direction), Kind(kind)
            found.append(Anomaly(*owner, float(since), float(until), *which, largest, expected, bound, bool(is_over)))
    return found


def _as_of(one: Anomaly, now: float) -> Anomaly:
    return one if one.is_over or now - one.until < GROWS_SECONDS else replace(one, is_over=True)

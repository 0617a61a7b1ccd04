"""The table `minutes`: a row for each trigger's local day."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Select, case, cast

from scaler.series import MinuteDay
from scaler.store.database import Database
from scaler.store.packed_minutes import MOST_BYTES, packed, unpacked
from scaler.store.quarantine import BadRow, Source
from scaler.store.schema import minutes
from scaler.store.watched_rows import Unusable

ROWS = 250
"""of one transaction"""
OWNERS_LOADED = 8
"""read in one transaction: 136 rows at most"""
_COLUMNS = ("key", "zone", "day", "packed")


def source(database: Database) -> Source:
    """Rows as they are read, None instead of what is no day."""
    value = cast(minutes.c.packed, LargeBinary)
    whole = case((database.size(value) <= MOST_BYTES, value))
    return Source(minutes, _COLUMNS, [minutes.c.key, minutes.c.zone, cast(minutes.c.day, BigInteger), whole])


def rows_of(database: Database, owners: Sequence[tuple[str, str]], days: tuple[int, int]) -> Select[Any]:
    """The rows of each (key, zone), and of other pairs of these keys and zones."""
    keys, zones = ({owner[i] for owner in owners} for i in range(2))
    kept = minutes.c
    wanted = kept.key.in_(sorted(keys)), kept.zone.in_(sorted(zones)), kept.day.between(*days)
    return source(database).select(database).where(*wanted)


def packed_rows(days: Sequence[MinuteDay]) -> list[dict[str, Any]]:
    """Rows in the order of the primary key, so that replicas which write the same ones do not wait in a circle."""
    ordered = sorted(days, key=lambda one: (one.key, one.zone, one.day))
    return [{"key": one.key, "zone": one.zone, "day": one.day, "packed": packed(one)} for one in ordered]


def days_in(rows: Sequence[Any]) -> tuple[list[MinuteDay], list[BadRow]]:
    """The days that the rows hold, and the rows that hold none."""
    found, bad = [], []
    for address, *values in rows:
        try:
            found.append(unpacked(*values))
        except Unusable as fault:
            bad.append(BadRow(address, str(fault), values))
    return found, bad

"""The table `outlooks`: a row for each trigger that a replica answered for when it ended, for the next start.

A row is not removed when it is read: another replica that starts may need it. All are removed when they are old.
"""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Select, and_, case, cast, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.chunks import chunks
from scaler.store.database import TIMEOUT_SECONDS, Database, fetched
from scaler.store.outlooks import KEPT_SECONDS, OutlookRow
from scaler.store.schema import outlooks
from scaler.store.statements import bounded, execute, insert_into
from scaler.store.sweeping import DAY, remove_some

ROWS = 250
"""of one transaction: a megabyte"""
MOST_BYTES = 256 * 1024
"""of a record that is read"""


class SqlOutlooks:
    """In a database that others use as well. It is theirs to close."""

    def __init__(self, database: Database, installation: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds

    async def save(self, rows: Mapping[str, OutlookRow]) -> None:
        """Insert or replace, in the order of keys; the row of another replica that knows newer demand stays."""
        statement = insert_into(self._database, outlooks)
        sent = statement.excluded
        upsert = statement.on_conflict_do_update(
            index_elements=[outlooks.c.installation, outlooks.c.key],
            set_={name: sent[name] for name in ("at", "observed_at", "record")},
            where=not_(_is_newer(sent)),
        )
        parts = list(chunks(sorted(rows.items()), ROWS))
        async with bounded(self._database, self._timeout_seconds, len(parts)):
            for chunk in parts:
                await self._database.run(execute, upsert, [self._values(key, row) for key, row in chunk])

    async def load(self, most: int, now: float) -> AsyncIterator[Sequence[tuple[str, OutlookRow]]]:
        """The rows of this installation by the trigger's key, in pages of ROWS. Those that cannot count at `now` come
        without their record."""
        after, left = "", most
        while left > 0:
            async with bounded(self._database, self._timeout_seconds):
                page = await self._database.run(fetched, self._page(after, min(left, ROWS), now))
            if page:
                yield [(key, _row(*values)) for key, *values in page if isinstance(key, str)]
            if len(page) < ROWS:
                return
            after, left = page[-1].key, left - len(page)

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some rows that are more than KEPT_SECONDS older than `passed`, or a day ahead."""
        async with bounded(self._database, self._timeout_seconds):
            await self._database.run(self._remove, passed, now)

    async def _remove(self, connection: AsyncConnection, passed: float, now: float) -> None:
        moment = await self._database.now(connection, now)
        old = outlooks.c.at < min(passed, moment) - KEPT_SECONDS
        ahead = outlooks.c.at > now + DAY  # no clock that is only a little wrong removes what others need
        await remove_some(connection, self._database, outlooks, or_(old, ahead))

    def _page(self, after: str, count: int, now: float) -> Select[Any]:
        at = outlooks.c
        record = cast(at.record, LargeBinary)
        can_count = and_(
            at.at.between(now - KEPT_SECONDS, now + KEPT_SECONDS), self._database.size(record) <= MOST_BYTES
        )
        return (
            select(at.key, at.at, at.observed_at, case((can_count, record)).label("record"))
            .where(at.installation == self._installation, at.key > after)
            .order_by(at.key)
            .limit(count)
        )

    def _values(self, key: str, row: OutlookRow) -> dict[str, Any]:
        return {
            "installation": self._installation,
            "key": key,
            "at": row.at,
            "observed_at": row.observed_at,
            "record": row.record,
        }


def _is_newer(sent: Any) -> ColumnElement[bool]:
    """Whether the stored row knows newer demand than the one that was sent, or was made later of the same demand. One
    that is old, or from a clock that was wrong, does not."""
    kept = outlooks.c
    counts = kept.at.between(sent.at - KEPT_SECONDS, sent.at + KEPT_SECONDS)
    same = and_(kept.observed_at == sent.observed_at, kept.at > sent.at)
    return and_(counts, or_(kept.observed_at > sent.observed_at, same))


def _row(at: object, observed_at: object, record: object) -> OutlookRow:
    """The row; without a record where it holds something else."""
    is_ours = isinstance(record, bytes) and _is_number(at) and _is_number(observed_at)
    return OutlookRow(_number(at), _number(observed_at), bytes(record) if is_ours else b"")  # type: ignore[call-overload]


def _number(value: object) -> float:
    return float(value) if _is_number(value) else 0.0  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""The `ScoreStore` in SQL: a few statements that SQLite and PostgreSQL share, in short transactions."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.chunks import chunks
from scaler.scored import (
    DAY_HOURS,
    HOUR_SECONDS,
    Owner,
    ScoredDay,
    ScoredHour,
    ScoredTotal,
    ScoresAsked,
    TotalsAsked,
    WeekAsked,
    Weeks,
)
from scaler.store import Store, stored_scores
from scaler.store.database import TIMEOUT_SECONDS, Database, fetched
from scaler.store.schema import scores
from scaler.store.scores import NullScores, ScoreStore
from scaler.store.sql_store import SqlStore
from scaler.store.statements import bounded, execute, insert_into
from scaler.store.sweeping import DAY, PAGES, remove_some

KEPT_SECONDS = 366 * DAY
MOST_TRANSACTIONS = 100
"""for which a sweep may wait; the next one goes on"""


def scores_beside(store: Store, installation: str = "") -> ScoreStore:
    """The scores in the database of `store`, which closes it; without a database, one that keeps nothing."""
    return SqlScores(store.database, installation) if isinstance(store, SqlStore) else NullScores()


class SqlScores:
    """The scores of one installation. Many rows are cut into transactions, each of which is done or not done."""

    def __init__(self, database: Database, installation: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds

    async def save(self, hours: Sequence[ScoredHour]) -> None:
        # in the order of the primary key, so that replicas which write the same rows do not wait in a circle
        ordered = sorted(hours, key=lambda one: (*one.owner[:2], one.lead, one.hour, one.owner.trigger, one.part))
        parts = list(chunks(ordered, stored_scores.ROWS))
        statement = insert_into(self._database, scores).on_conflict_do_nothing()
        async with self._bounded(len(parts)):
            for chunk in parts:
                rows = [stored_scores.row_of(one, self._installation) for one in chunk]
                await self._database.run(execute, statement, rows)

    async def days(self, asked: ScoresAsked) -> list[ScoredDay]:
        async with self._bounded():
            parameters = stored_scores.days_asked(self._installation, asked)
            rows = await self._database.run(fetched, stored_scores.days(), parameters)
        return stored_scores.days_in(rows)

    async def totals(self, asked: TotalsAsked) -> list[ScoredTotal]:
        async with self._bounded():
            parameters = stored_scores.totals_asked(self._installation, asked)
            rows = await self._database.run(fetched, stored_scores.totals(), parameters)
        return stored_scores.totals_in(rows)

    async def weeks(self, asked: Sequence[WeekAsked], day_keeps: float) -> Weeks:
        found: dict[Owner, Mapping[str, tuple[float, ...]]] = {}
        parts = list(chunks(asked, stored_scores.OWNERS_READ))
        async with self._bounded(len(parts)):
            for chunk in parts:
                query = stored_scores.weeks(self._installation, chunk, day_keeps)
                found |= stored_scores.weeks_in(await self._database.run(fetched, query))
        return found

    async def sweep(self, passed: float, now: float) -> None:
        async with self._bounded(MOST_TRANSACTIONS):
            for work in (self._merge, self._remove):
                more, left = True, MOST_TRANSACTIONS
                while more and left:
                    more, left = await self._database.run(work, passed, now), left - 1

    async def _merge(self, connection: AsyncConnection, passed: float, now: float) -> bool:
        """Turn old hours of some ScaledObjects into days; whether there may be more."""
        await self._database.lock(connection)
        moment = min(passed, await self._database.now(connection, now))
        before = (int(moment // DAY) - stored_scores.HOURS_KEPT_DAYS) * DAY_HOURS
        wanted = [
            tuple(row) for row in await fetched(connection, stored_scores.with_old_hours(self._installation, before))
        ]
        if not wanted:
            return False
        old = stored_scores.old_hours(self._installation, before, wanted)
        await connection.execute(stored_scores.as_days(old, self._installation, insert_into(self._database, scores)))
        await connection.execute(delete(scores).where(old))
        return True

    async def _remove(self, connection: AsyncConnection, passed: float, now: float) -> bool:
        """Remove some days that are too old; whether there may be more."""
        moment = min(passed, await self._database.now(connection, now))
        before = int((moment - KEPT_SECONDS) // HOUR_SECONDS)
        removed = await remove_some(connection, self._database, scores, stored_scores.aged(before))
        return removed == PAGES

    def _bounded(self, transactions: int = 1) -> AbstractAsyncContextManager[None]:
        return bounded(self._database, self._timeout_seconds, transactions)

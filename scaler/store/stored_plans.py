"""The table `plans`: what was planned for each trigger, whenever it changed. Kept for KEPT_DAYS."""

import json
import math
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Select, Text, and_, cast, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.chunks import chunks
from scaler.errors import StoreUnavailable
from scaler.past_plans import MINUTE_SECONDS, PastPlan, PastPlansAsked
from scaler.store.database import TIMEOUT_SECONDS, Database, fetched
from scaler.store.database_errors import is_answer
from scaler.store.partitions import Partitions, week_of
from scaler.store.schema import plans
from scaler.store.statements import bounded, execute, insert_into
from scaler.turns import in_pieces

log = structlog.get_logger()

KEPT_DAYS = 7
DAY = 86400.0
ROWS = 250
"""of one transaction"""
READ_AT_A_TIME = 12
"""rows that become plans before KEDA may be answered: about half a millisecond's work"""
SWEPT_ROWS = 5000
MOST_SWEPT = 200
"""transactions of one sweep; the next one goes on"""
_NUMBERS = ("metric", "planned", "need", "quantile", "observed")
_TEXTS = ("rung", "model", "error")
_OWN = ("namespace", "name", "minute", "trigger", "at", *_TEXTS, *_NUMBERS, "active", "replicas")


class SqlPlans:
    """Past plans of one installation in a database. On PostgreSQL the table is in partitions by week."""

    def __init__(self, database: Database, installation: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._installation = installation
        self._seconds = timeout_seconds
        self._partitions = Partitions(database, plans) if database.dialect == "postgresql" else None
        self._ready_until = -math.inf
        """the partitions of this process's rows are there until then, or cannot be made"""
        self._refused: set[str] = set()
        """which changes of partitions the database has refused"""

    async def save(self, wanted: Sequence[PastPlan]) -> None:
        """Insert plans, in the order of the primary key; one that is there already stays."""
        ordered = sorted(wanted, key=lambda one: (one.namespace, one.name, one.minute, one.trigger))
        parts = list(chunks(ordered, ROWS))
        statement = insert_into(self._database, plans).on_conflict_do_nothing()
        async with bounded(self._database, self._seconds, len(parts)):
            if wanted:
                await self._make_ready(max(one.at for one in wanted))
            for chunk in parts:
                await self._database.run(execute, statement, [self._row(one) for one in chunk])

    async def load(self, asked: PastPlansAsked) -> list[PastPlan]:
        """The plans that are asked for, the newest first; a row that holds none is left out."""
        async with bounded(self._database, self._seconds):
            rows = await self._database.run(fetched, _wanted(self._installation, asked))
        found: list[PastPlan] = []
        async for piece in in_pieces(rows, READ_AT_A_TIME):
            found += filter(None, map(plan_in, piece))
        return found

    async def sweep(self, passed: float, now: float) -> None:
        """Remove what is older than KEPT_DAYS before `passed`: on PostgreSQL by the week, elsewhere by the minute."""
        async with bounded(self._database, self._seconds, MOST_SWEPT):
            self._ready_until = -math.inf  # what was refused may be allowed by now
            before = int(await self._database.run(self._moment, passed, now) // MINUTE_SECONDS - KEPT_DAYS * DAY / 60)
            if self._partitions is None:
                await self._in_pieces(self._delete, before)
                return
            dropped = await self._done(self._partitions.drop_before, before)
            if not dropped or not await self._database.run(self._partitions.are_own):
                await self._in_pieces(self._delete, before)
            await self._in_pieces(self._partitions.delete_before, before)

    async def close(self) -> None:
        await self._database.close()

    async def _make_ready(self, newest: float) -> None:
        """Make the partitions of this week and of the next, where they are not there."""
        if self._partitions is None or newest < self._ready_until:
            return
        week = week_of(newest)
        for moment in (newest, week.last * MINUTE_SECONDS):
            if not await self._done(self._partitions.add, week_of(moment)):
                break
        self._ready_until = week.last * MINUTE_SECONDS

    async def _done(self, change: Any, *arguments: Any) -> bool:
        """Whether partitions were changed. The first time that this is refused the log says so: rows then lie in the
        default partition, and are deleted one by one. Raises StoreUnavailable where the database does not answer."""
        try:
            await self._database.run(change, *arguments)
        except StoreUnavailable as error:
            if not is_answer(error.__cause__):
                raise
            if change.__name__ not in self._refused:
                log.warning("partitions_refused", table=plans.name, error=str(error))
            self._refused.add(change.__name__)
            return False
        self._refused.discard(change.__name__)
        return True

    async def _moment(self, connection: AsyncConnection, passed: float, now: float) -> float:
        return min(passed, await self._database.now(connection, now))

    async def _in_pieces(self, delete_some: Any, before: int) -> None:
        for _ in range(MOST_SWEPT):
            if await self._database.run(delete_some, before) < SWEPT_ROWS:
                return

    async def _delete(self, connection: AsyncConnection, before: int) -> int:
        address, old = self._database.address(plans), plans.c.minute < before
        found = [row[0] for row in await fetched(connection, select(address).where(old).limit(SWEPT_ROWS))]
        if found:
            # the condition again: a row of another partition, or one that came later, may have the same address
            await connection.execute(delete(plans).where(self._database.is_at(plans, found), old))
        return len(found)

    def _row(self, plan: PastPlan) -> dict[str, Any]:
        own = {name: getattr(plan, name) for name in _OWN}
        return {**own, "installation": self._installation, "reasons": [dict(one) for one in plan.reasons]}


def plan_in(row: Any) -> PastPlan | None:
    """The plan that a row holds; None where somebody has changed it into none."""
    try:
        values = dict(row._mapping)
        reasons = json.loads(values.pop("reasons"))
        values.pop("minute")
        numbers = {name: None if values[name] is None else float(values[name]) for name in ("at", *_NUMBERS)}
        replicas = None if values["replicas"] is None else int(values["replicas"])
        if not all(value is None or math.isfinite(value) for value in numbers.values()):
            return None
        if not all(isinstance(one, dict) and {"rule", "text", "before", "after"} <= one.keys() for one in reasons):
            return None
        own = {"active": bool(values["active"]), "replicas": replicas, "reasons": tuple(reasons)}
        return PastPlan(**{**values, **numbers, **own})
    except (TypeError, ValueError, KeyError):
        return None


def _wanted(installation: str, asked: PastPlansAsked) -> Select[Any]:
    at = plans.c
    condition = and_(
        at.installation == installation,
        at.namespace == asked.namespace,
        at.name == asked.name,
        at.minute.between(int(asked.since // MINUTE_SECONDS), int(asked.until // MINUTE_SECONDS)),
        at.at.between(asked.since, asked.until),
    )
    if asked.after is not None:
        minute, trigger = asked.after
        condition = and_(condition, or_(at.minute < minute, and_(at.minute == minute, at.trigger < trigger)))
    columns = (*(at[name] for name in _OWN), cast(at.reasons, Text).label("reasons"))
    return select(*columns).where(condition).order_by(at.minute.desc(), at.trigger.desc()).limit(asked.limit)

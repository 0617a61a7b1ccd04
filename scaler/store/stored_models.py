"""The index of models in SQL: versions, champions and decisions, and leases.

A change reads, checks and writes in one transaction under the lock of the database, so two processes that change the
same scope follow one another, and the second one finds what the first has done.
"""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.errors import StoreUnavailable
from scaler.models import (
    NO_CHAMPION,
    Champion,
    ChampionChanged,
    Kind,
    ModelDecision,
    ModelRefused,
    ModelRetired,
    ModelVersion,
    NothingToRollBack,
    StillServes,
    VersionTaken,
    scope_name,
    unknown,
)
from scaler.store.database import TIMEOUT_SECONDS, Database, P, T, Work, fetched
from scaler.store.schema import champions, leases, model_decisions, model_versions
from scaler.turns import in_pieces

log = structlog.get_logger()

MOST_VERSIONS = 10_000
"""that are read"""
READ_AT_A_TIME = 20
"""whose manifests are parsed between two calls of KEDA: about half a millisecond's work"""
_VERSION = ("name", "version", "place", "published_at", "retired_at", "manifest", "figures", "notes")
_CHAMPION = ("scope", "model", "since", "previous", "probation_until")
_DECISION = ("at", "kind", "model", "by", "reason", "scope", "previous", "figures")
_READ = ("number", *_DECISION)


class SqlModels:
    """The `ModelIndex` of one installation in a database, which it does not close where it shares it."""

    def __init__(
        self,
        database: Database,
        installation: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
        owns_database: bool = False,
    ) -> None:
        self.database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds
        self._owns_database = owns_database

    async def publish(self, version: ModelVersion, decision: ModelDecision) -> bool:
        """Add a version; False where it is there already, with the same graph."""
        return await self._changed(self._publish, version, decision)

    async def refuse(self, decision: ModelDecision) -> None:
        """Record that a version was not let in."""
        await self._run(self._record, decision)

    async def versions(self, name: str | None = None) -> list[ModelVersion]:
        """All versions, or those of one name; the newest first. Rows that hold none are left out."""
        at = model_versions.c
        query = select(*(at[column] for column in _VERSION)).where(at.installation == self._installation)
        if name is not None:
            query = query.where(at.name == name)
        rows = await self._run(fetched, query.order_by(at.published_at.desc(), at.model).limit(MOST_VERSIONS))
        found = [_version_of(row) async for piece in in_pieces(rows, READ_AT_A_TIME) for row in piece]
        return [one for one in found if one is not None]

    async def champions(self) -> dict[str, Champion]:
        """By scope."""
        at = champions.c
        query = select(*(at[column] for column in _CHAMPION)).where(at.installation == self._installation)
        return {row.scope: Champion(*row) for row in await self._run(fetched, query)}

    async def promote(
        self, scope: str, model: str, expected: str | None, decision: ModelDecision, probation_seconds: float
    ) -> Champion:
        """Make `model` the champion of `scope`, where `expected` is it now."""
        return await self._changed(self._promote, scope, model, expected, decision, probation_seconds)

    async def roll_back(self, seen: Champion, decision: ModelDecision) -> Champion | None:
        """Give the scope of a champion back to what it replaced."""
        return await self._changed(self._roll_back, seen, decision)

    async def retire(self, model: str, decision: ModelDecision) -> None:
        """Take a version out of use."""
        await self._changed(self._retire, model, decision)

    async def decisions(
        self, limit: int, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> list[ModelDecision]:
        """The newest entries of the log, before the entry `before`."""
        at = model_decisions.c
        query = select(*(at[column] for column in _READ)).where(at.installation == self._installation)
        if before is not None:
            query = query.where(at.number < before)
        if scope is not None:
            query = query.where(at.scope == scope)
        if model is not None:
            query = query.where(or_(at.model == model, at.previous == model))
        rows = await self._run(fetched, query.order_by(at.number.desc()).limit(limit))
        found = (_decision_of(row) for row in rows)
        return [one for one in found if one is not None]

    async def lock(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Whether `holder` has the lease `name` for the next `seconds`."""
        return await self._changed(self._lock, name, holder, seconds, now)

    async def lease(self, name: str) -> tuple[str, float] | None:
        """Who has the lease `name`, and until when."""
        at = leases.c
        rows = await self._run(fetched, select(at.holder, at.until).where(self._of(leases), at.name == name))
        return (str(rows[0].holder), float(rows[0].until)) if rows else None

    async def unlock(self, name: str, holder: str) -> None:
        """Give the lease back, where `holder` has it."""
        at = leases.c
        await self._run(_execute, delete(leases).where(self._of(leases), at.name == name, at.holder == holder))

    async def close(self) -> None:
        """Close the database, where it is of this index alone."""
        if self._owns_database:
            await self.database.close()

    async def _run(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self.database.run(work, *args, **kwargs)
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.database.name}: no answer in time") from error

    async def _changed(self, work: Work[P, T | ModelRefused], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, which is alone meanwhile; a refusal is raised when the transaction has ended."""

        async def alone(connection: AsyncConnection) -> T | ModelRefused:
            await self.database.lock(connection)
            return await work(connection, *args, **kwargs)

        result = await self._run(alone)
        if isinstance(result, ModelRefused):
            raise result
        return result

    # Within one transaction

    async def _publish(
        self, connection: AsyncConnection, version: ModelVersion, decision: ModelDecision
    ) -> bool | ModelRefused:
        at = model_versions.c
        query = select(at.graph).where(self._of(model_versions), at.model == version.model)
        graph = await connection.scalar(query)
        if graph is not None:
            return False if graph == version.graph else VersionTaken(_taken(version, graph))
        await connection.execute(insert(model_versions).values(**self._version_row(version)))
        await self._record(connection, decision)
        return True

    async def _promote(
        self,
        connection: AsyncConnection,
        scope: str,
        model: str,
        expected: str | None,
        decision: ModelDecision,
        probation_seconds: float,
    ) -> Champion | ModelRefused:
        present = await self._champion(connection, scope)
        if present is not None and present.model == model:
            if probation_seconds > 0 or not present.is_on_probation(decision.at):
                return present
            kept = replace(present, probation_until=None)
            await self._put(connection, kept)
            await self._record(connection, replace(decision, scope=scope, model=model, previous=present.previous))
            return kept
        if fault := await self._unfit(connection, model):
            return fault
        found = present.model if present is not None else None
        if found != expected:
            return ChampionChanged(scope, expected, found)
        until = decision.at + probation_seconds if probation_seconds > 0 else None
        new = Champion(scope, model, decision.at, found if found is not None else NO_CHAMPION, until)
        await self._put(connection, new)
        await self._record(connection, replace(decision, scope=scope, model=model, previous=new.previous))
        return new

    async def _roll_back(
        self, connection: AsyncConnection, seen: Champion, decision: ModelDecision
    ) -> Champion | ModelRefused | None:
        scope = seen.scope
        present = await self._champion(connection, scope)
        if present is None:
            return NothingToRollBack(f"{scope_name(scope)}: there is no champion")
        if (present.model, present.since) != (seen.model, seen.since):
            return ChampionChanged(scope, seen.model, present.model)
        if present.previous is None:
            return NothingToRollBack(f"{scope_name(scope)}: {present.model} has no predecessor; promote another model")
        if present.previous != NO_CHAMPION and (fault := await self._unfit(connection, present.previous)):
            return fault
        new = None if present.previous == NO_CHAMPION else Champion(scope, present.previous, decision.at)
        if new is None:
            await connection.execute(delete(champions).where(self._of(champions), champions.c.scope == scope))
        else:
            await self._put(connection, new)
        await self._record(connection, replace(decision, scope=scope, model=present.previous, previous=present.model))
        return new

    async def _retire(self, connection: AsyncConnection, model: str, decision: ModelDecision) -> ModelRefused | None:
        fault = await self._unfit(connection, model)
        if isinstance(fault, ModelRetired):
            return None
        if fault is not None:
            return fault
        at = champions.c
        rows = await fetched(connection, select(*(at[column] for column in _CHAMPION)).where(self._of(champions)))
        for one in (Champion(*row) for row in rows):
            if one.model == model:
                return StillServes(f"{model} is the champion of {scope_name(one.scope)}: promote another one first")
            if one.previous == model and one.is_on_probation(decision.at):
                why = f"{one.model}, on probation, may have to be rolled back to it"
                return StillServes(f"{model} is the predecessor of the champion of {scope_name(one.scope)}: {why}")
        mine = and_(self._of(model_versions), model_versions.c.model == model)
        await connection.execute(update(model_versions).where(mine).values(retired_at=decision.at))
        await self._record(connection, decision)
        return None

    async def _lock(self, connection: AsyncConnection, name: str, holder: str, seconds: float, now: float) -> bool:
        mine = and_(self._of(leases), leases.c.name == name)
        row = (await connection.execute(select(leases.c.holder, leases.c.until).where(mine))).first()
        if row is not None and row.holder != holder and row.until > now:
            return False
        await connection.execute(delete(leases).where(mine))
        values = {"installation": self._installation, "name": name, "holder": holder, "until": now + seconds}
        await connection.execute(insert(leases).values(**values))
        return True

    async def _champion(self, connection: AsyncConnection, scope: str) -> Champion | None:
        at = champions.c
        query = select(*(at[column] for column in _CHAMPION)).where(self._of(champions), at.scope == scope)
        row = (await connection.execute(query)).first()
        return Champion(*row) if row is not None else None

    async def _put(self, connection: AsyncConnection, new: Champion) -> None:
        await connection.execute(delete(champions).where(self._of(champions), champions.c.scope == new.scope))
        values = {name: getattr(new, name) for name in _CHAMPION}
        await connection.execute(insert(champions).values(installation=self._installation, **values))

    async def _unfit(self, connection: AsyncConnection, model: str) -> ModelRefused | None:
        """Why the version cannot serve; None where it can."""
        at = model_versions.c
        rows = await fetched(connection, select(at.model, at.retired_at).where(self._of(model_versions)))
        found = {row.model: row.retired_at for row in rows}
        if model not in found:
            return unknown(model, list(found))
        return ModelRetired(f"{model} is retired") if found[model] is not None else None

    async def _record(self, connection: AsyncConnection, decision: ModelDecision) -> None:
        values: dict[str, Any] = {name: getattr(decision, name) for name in _DECISION}
        values |= {"kind": decision.kind.value, "figures": _json(decision.figures)}
        await connection.execute(insert(model_decisions).values(installation=self._installation, **values))

    def _of(self, table: Any) -> Any:
        return table.c.installation == self._installation

    def _version_row(self, version: ModelVersion) -> dict[str, Any]:
        texts = {name: _json(getattr(version, name)) for name in ("manifest", "figures", "notes")}
        values = {name: getattr(version, name) for name in _VERSION} | texts
        return {**values, "installation": self._installation, "model": version.model, "graph": version.graph}


def _taken(version: ModelVersion, graph: str) -> str:
    told = f"with the graph {graph[:12]}…, not {version.graph[:12]}…"
    return f"{version.model} is published already, {told}: a version never changes, publish under another one"


async def _execute(connection: AsyncConnection, statement: Any) -> None:
    await connection.execute(statement)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _version_of(row: Any) -> ModelVersion | None:
    name, version, place, published_at, retired_at, *texts = row
    try:
        manifest, figures, notes = (_object(text) for text in texts)
    except ValueError as error:
        log.warning("model_row_unusable", table="model_versions", row=f"{name}@{version}", error=str(error))
        return None
    return ModelVersion(name, version, place, manifest, published_at, retired_at, _numbers(figures), notes)


def _decision_of(row: Any) -> ModelDecision | None:
    number, at, kind, model, by, reason, scope, previous, figures = row
    try:
        return ModelDecision(
            at, Kind(kind), model, by, reason, scope, previous, _numbers(_object(figures)), number=number
        )
    except ValueError as error:
        log.warning("model_row_unusable", table="model_decisions", row=str(number), error=str(error))
        return None


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")
    return found


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(one) for name, one in found.items() if isinstance(one, int | float) and math.isfinite(one)}

"""The table `conclusions`: a row for each trigger of which the planner has concluded something that counts for days."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select

from scaler.chunks import chunks
from scaler.store.conclusions import Concluded
from scaler.store.database import TIMEOUT_SECONDS, Database, fetched
from scaler.store.schema import conclusions
from scaler.store.statements import bounded, execute, insert_into
from scaler.store.sweeping import DAY, remove_some

ROWS = 250
"""of one transaction"""
KEPT_SECONDS = 7 * DAY


class SqlConclusions:
    """In a database that others use as well. It is theirs to close."""

    def __init__(self, database: Database, installation: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._installation = installation
        self._timeout_seconds = timeout_seconds

    async def save(self, found: Mapping[str, Concluded]) -> None:
        """Insert or replace, in the order of keys; what is there from later stays."""
        statement = insert_into(self._database, conclusions)
        sent = statement.excluded
        upsert = statement.on_conflict_do_update(
            index_elements=[conclusions.c.installation, conclusions.c.key],
            set_={"at": sent.at, "content": sent.content},
            where=conclusions.c.at <= sent.at,
        )
        parts = list(chunks(sorted(found.items()), ROWS))
        async with bounded(self._database, self._timeout_seconds, len(parts)):
            for chunk in parts:
                await self._database.run(execute, upsert, [self._row(key, one) for key, one in chunk])

    async def load(self, keys: Sequence[str]) -> dict[str, Concluded]:
        """What is stored of these triggers."""
        found: dict[str, Concluded] = {}
        at, parts = conclusions.c, list(chunks(keys, ROWS))
        async with bounded(self._database, self._timeout_seconds, len(parts)):
            for chunk in parts:
                theirs = and_(at.installation == self._installation, at.key.in_(chunk))
                rows = await self._database.run(fetched, select(at.key, at.at, at.content).where(theirs))
                found |= {key: one for key, moment, text in rows if (one := _concluded(moment, text)) is not None}
        return found

    async def sweep(self, passed: float, now: float) -> None:
        """Remove some that are more than a week older than `passed`."""
        async with bounded(self._database, self._timeout_seconds):
            old = conclusions.c.at < min(passed, now) - KEPT_SECONDS
            await self._database.run(remove_some, self._database, conclusions, old)

    def _row(self, key: str, one: Concluded) -> dict[str, Any]:
        content = json.dumps(dict(one.values), sort_keys=True)
        return {"installation": self._installation, "key": key, "at": one.at, "content": content}


def _concluded(at: object, text: object) -> Concluded | None:
    """The row; None where it holds nothing of ours."""
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not _is_number(at):
        return None
    known = {name: float(value) for name, value in values.items() if _is_number(value)}
    return Concluded(float(at), known)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

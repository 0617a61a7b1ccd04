"""What the paths that answer from the store share: one request after the other, and the same words for faults."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Generic, TypeVar

from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.registry import Registry
from scaler.status.reads import Reads
from scaler.status.replies import faulty
from scaler.telemetry.redaction import excerpt

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class OneAtATime(Generic[Asked, Found]):
    """Reads for one request after the other: the database has other work.

    read: None in a process without a database. Calling this raises StoreUnavailable as `read` does.
    """

    def __init__(self, read: Callable[[Asked], Awaitable[Found]] | None) -> None:
        self._read = read
        self._one = asyncio.Lock()

    async def __call__(self, asked: Asked) -> Found:
        if self._read is None:
            raise StoreUnavailable("this process reads no database")
        async with self._one:
            return await self._read(asked)


def unavailable(error: StoreUnavailable) -> Response:
    """The store does not answer, and why."""
    return faulty([Fault("database", "", str(error))], HTTPStatus.SERVICE_UNAVAILABLE)


def nobody(registry: Registry, namespace: str, name: str, nothing: str) -> Response:
    """There is no such trigger, and `nothing was counted` for one."""
    rule = f"no trigger of this name is watched here, and {nothing} for one in this time"
    return faulty(*unknown_trigger(registry, namespace, name, rule))


def unknown_trigger(registry: Registry, namespace: str, name: str, rule: str) -> tuple[list[Fault], HTTPStatus]:
    """Faults and status code where no trigger of this name is found. While those of before a restart are awaited, one
    is not unknown: it is not known yet."""
    status = HTTPStatus.NOT_FOUND
    if awaited := registry.awaited():
        status, rule = HTTPStatus.SERVICE_UNAVAILABLE, f"is not known yet: {awaited}; ask again in some seconds"
    return [Fault("namespace/name", excerpt(f"{namespace}/{name}"), rule)], status


def one_at_a_time(reads: Reads) -> Reads:
    """The same reads of the store, each for one request after the other; one that is not there stays so."""

    def queued(read: Callable[[Asked], Awaitable[Found]] | None) -> Callable[[Asked], Awaitable[Found]] | None:
        return None if read is None else OneAtATime(read)

    return replace(
        reads,
        savings=queued(reads.savings),
        scores=queued(reads.scores),
        score_totals=queued(reads.score_totals),
        plans=queued(reads.plans),
        anomalies=queued(reads.anomalies),
    )

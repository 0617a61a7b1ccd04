"""A Prometheus with the demand of a few workloads, a store that watches them, and models that are quick to fit."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from scaler.models import ModelIndex
from scaler.store import WatchedRecord
from scaler.store.model_index import open_model_index
from scaler.store.sql_store import open_store
from scaler.trigger import TriggerRules
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from training.lifecycle.lease import OpenIndex
from training.lifecycle.retraining import WatchedTrigger
from training.lifecycle.watching import of_records

T = TypeVar("T")

STEP = 300
DAYS = 6
GOOD = ("shop/web", "shop/cart")
BAD = {"shop/still": "is constant", "shop/silent": "returned no demand"}


@contextmanager
def demand(folder: Path) -> Iterator[PrometheusServer]:
    """Two workloads with a day that repeats, one whose demand never changes."""
    end = time.time() // STEP * STEP
    moments = end - STEP * np.arange(DAYS * 86_400 // STEP, -1, -1)
    rng = np.random.default_rng(3)
    recorded = []
    for name, size in (("web", 100.0), ("cart", 300.0)):
        day = np.where((moments // 3600) % 6 < 3, 1.0, 3.0)
        values = size * day * rng.normal(1, 0.02, len(moments))
        recorded.append(Recorded(name, list(zip(moments.tolist(), values.tolist(), strict=True))))
    recorded.append(Recorded("still", [(moment, 7.0) for moment in moments.tolist()]))
    with prometheus(folder, recorded) as running:
        yield running


def watch(database: str, names: tuple[str, ...] = (*GOOD, *BAD)) -> None:
    """The store knows them, as KEDA has called for them a minute ago."""

    async def write() -> None:
        store = open_store(database, None)
        await store.watch([_record(name) for name in names])
        await store.close()

    asyncio.run(write())


def _record(name: str) -> WatchedRecord:
    namespace, _, workload = name.partition("/")
    metadata = {"query": f"last_over_time({workload}[5m])", "threshold": "20", "leadTime": "2m"}
    return WatchedRecord(f"{name}/{math.trunc(len(name))}", namespace, workload, metadata, time.time() - 60)


def watched(database: str, server: str) -> list[WatchedTrigger]:
    """What the store knows, as triggers to learn from."""

    async def read() -> list[WatchedRecord]:
        store = open_store(database, None)
        try:
            return await store.watched(0.0)
        finally:
            await store.close()

    return of_records(asyncio.run(read()), TriggerRules(server))[0]


def opening(database: str) -> OpenIndex:
    return partial(open_model_index, database, None)


def asked_of(database: str, question: Callable[[ModelIndex], Awaitable[T]]) -> T:
    """What `question(index)` answers."""

    async def ask() -> T:
        index = open_model_index(database, None)
        try:
            return await question(index)
        finally:
            await index.close()

    return asyncio.run(ask())

"""A process that writes to a store until it is killed, and says which rows were acknowledged: `python -m … PLACE SEED`.

PLACE is a folder for SQLite or a URL. One JSON line per acknowledged call.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaler.errors import StoreUnavailable
from scaler.series import Blocks
from scaler.store import Store, WatchedRecord
from scaler.store.sql_store import open_store
from scaler.trigger import TriggerRules
from scaler.trigger.schema import parse_trigger

BLOCK_SECONDS = 900
AT_ONCE = 8
"""rows of one call"""
BLOCKS = 200
KEPT_SECONDS = 28 * 86_400.0


@dataclass(frozen=True)
class Written:
    """Rows of one acknowledged call: triggers with their last call, or blocks by trigger, (start, mean) each."""

    called: dict[str, float]
    blocks: dict[str, tuple[float, int]]
    """by key: the start of the block after the newest, and the number of the call (see `blocks_of`)"""


def store_at(place: str) -> Store:
    """SQLite in a folder, or what the URL names."""
    return open_store(place, None) if "://" in place else open_store(None, Path(place))


def record(seed: int, number: int) -> WatchedRecord:
    """One trigger as KEDA sent it."""
    name, metadata = f"w{seed}-{number}", {"query": "demand", "threshold": "10"}
    key = parse_trigger("kills", name, metadata, TriggerRules(default_server="http://p:9090")).key
    return WatchedRecord(key, "kills", name, metadata, time.time())


def blocks_of(end: float, number: int) -> Blocks:
    """The blocks that the call of this number writes for each of its triggers."""
    means = np.arange(BLOCKS, dtype=np.float32) + number
    return Blocks(end - BLOCK_SECONDS * np.arange(BLOCKS, 0.0, -1.0), means, means)


async def write(store: Store, seed: int) -> None:
    """Triggers and their blocks, without an end; each call's rows are printed when it returned."""
    number = 0
    while True:
        records = [record(seed, number * AT_ONCE + n) for n in range(AT_ONCE)]
        newest = time.time() // BLOCK_SECONDS * BLOCK_SECONDS
        blocks = {one.key: blocks_of(newest, number) for one in records}
        try:
            await store.watch(records)
            _acknowledge(Written({one.key: one.last_called for one in records}, {}))
            await store.save_blocks(blocks, BLOCK_SECONDS, newest - KEPT_SECONDS)
            _acknowledge(Written({}, {one.key: (newest, number) for one in records}))
        except StoreUnavailable as error:
            print(json.dumps({"error": str(error)}), flush=True)
            await asyncio.sleep(0.05)
        number += 1


def _acknowledge(written: Written) -> None:
    print(json.dumps({"called": written.called, "blocks": written.blocks}), flush=True)


async def missing(place: str, written: list[Written]) -> tuple[int, int]:
    """How many acknowledged rows there are, and how many of them the store no longer has."""
    store = store_at(place)
    try:
        known = {one.key: one.last_called for one in await store.watched(0)}
        called = {key: moment for one in written for key, moment in one.called.items()}
        lost = sum(known.get(key, 0) < moment - 1e-3 for key, moment in called.items())
        blocks = {key: blocks_of(*made) for one in written for key, made in one.blocks.items()}
        stored = await store.load_blocks(sorted(blocks), BLOCK_SECONDS, 0) if blocks else {}
        lost += sum(not _are_there(made, stored.get(key)) for key, made in blocks.items())
        return len(called) + len(blocks), lost
    finally:
        await store.close()


def _are_there(made: Blocks, stored: Blocks | None) -> bool:
    if stored is None:
        return False
    same = np.isin(stored.starts, made.starts)
    return bool(np.array_equal(stored.starts[same], made.starts) and np.array_equal(stored.mean[same], made.mean))


if __name__ == "__main__":
    asyncio.run(write(store_at(sys.argv[1]), int(sys.argv[2])))

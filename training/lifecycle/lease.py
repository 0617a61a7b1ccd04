"""The right to retrain, which one process has at a time. It is renewed in the background while the work goes on."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from scaler.errors import CommandError, StoreUnavailable
from scaler.models import ModelIndex
from scaler.models.retrainings import LEASE

LEASE_SECONDS = 300.0
RENEWED_SECONDS = 60.0

OpenIndex = Callable[[], ModelIndex]


class LeaseTaken(CommandError):
    """Another process retrains; the text says which, and until when it has the right to."""


class LeaseLost(CommandError):
    """The lease ran out while the database was away, or somebody else has it now."""


class Lease:
    """A lease that is held. `check` raises LeaseLost where it is not any more."""

    def __init__(self, holder: str, until: float) -> None:
        self.holder = holder
        self.until = until
        self.is_lost = False

    def check(self) -> None:
        if self.is_lost or time.time() > self.until:
            raise LeaseLost("the lease for retraining ran out: nothing was published; run it again")


@contextmanager
def held(open_index: OpenIndex, holder: str) -> Iterator[Lease]:
    """The lease, until the end of the block. Raises LeaseTaken, StoreUnavailable."""
    lease = Lease(holder, time.time() + LEASE_SECONDS)
    asyncio.run(_taken(open_index, holder))
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(open_index, lease, ended), daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        with suppress(StoreUnavailable):
            asyncio.run(_given_back(open_index, holder))


async def _taken(open_index: OpenIndex, holder: str) -> None:
    index = open_index()
    try:
        if not await index.lock(LEASE, holder, LEASE_SECONDS, time.time()):
            raise LeaseTaken(_who(await index.lease(LEASE)))
    finally:
        await index.close()


def _who(found: tuple[str, float] | None) -> str:
    """Who has the lease, and until when."""
    if found is None:
        return "another process retrains"
    holder, until = found
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
    return f"{holder} retrains; its lease runs until {at}, and longer while it works"


async def _given_back(open_index: OpenIndex, holder: str) -> None:
    index = open_index()
    try:
        await index.unlock(LEASE, holder)
    finally:
        await index.close()


def _renew(open_index: OpenIndex, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_SECONDS):
        with suppress(StoreUnavailable):
            now = time.time()
            lease.is_lost = not asyncio.run(_renewed(open_index, lease.holder, now))
            lease.until = now + LEASE_SECONDS
            if lease.is_lost:
                return


async def _renewed(open_index: OpenIndex, holder: str, now: float) -> bool:
    index = open_index()
    try:
        return await index.lock(LEASE, holder, LEASE_SECONDS, now)
    finally:
        await index.close()

"""Requests to Python and the operating system: answers come first, and freed memory is returned.

Measured in docs/decisions/0002-server-kind.md.
"""

import asyncio
import ctypes
import gc
import os
import sys

from scaler.clock import Clock
from scaler.registry import Registry

RELEASE_SECONDS = 30.0
"""how often memory may be given back"""

RELEASE_ANYWAY_SECONDS = 300.0
"""how often it is given back even when no trigger was forgotten: a burst of calls leaves much, too"""

GIL_SWITCH_SECONDS = 0.0005
"""for how long the forecasting thread may keep the interpreter while an answer waits; Python's default is 5 ms"""


def prefer_answers() -> None:
    """Settle the scheduling of this process. Call it before any thread starts: threads inherit it.

    SCHED_BATCH (sched(7)): a waking thread does not interrupt a running one of its kind. gRPC's polling thread
    wakes four times a call, and each time would cost the event loop two switches of context.
    """
    sys.setswitchinterval(GIL_SWITCH_SECONDS)
    # gRPC leaves a cycle of five objects per call, so the youngest are collected often, in a third of a millisecond.
    # The next generation takes a millisecond per 1,000 objects: Python's 10 collections of the youngest keep the loop
    # for 20 ms while 10,000 triggers are refreshed.
    # A full collection stops the loop for 10 ms per 1,000 triggers, and finds next to nothing: seldom is enough.
    gc.set_threshold(1_000, 4, 5_000)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


MANY_FORGOTTEN = 100
"""triggers; fewer are not worth a look at all of the heap"""


async def release_unused(registry: Registry, clock: Clock) -> None:
    """Give the memory of forgotten triggers and of past bursts back to the system, until cancelled."""
    forgotten, last = 0, clock.now()
    while True:
        await clock.sleep_until(clock.now() + RELEASE_SECONDS)
        is_due = not 0 <= clock.now() - last < RELEASE_ANYWAY_SECONDS
        if is_due or registry.forgotten - forgotten >= MANY_FORGOTTEN:
            forgotten, last = registry.forgotten, clock.now()
            await asyncio.to_thread(release_memory)


def release_memory() -> None:
    """Give what was freed (28 kB per trigger) back to the system, which glibc does only when it is asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)

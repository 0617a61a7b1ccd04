"""Collecting garbage in the thread of the event loop alone.

Python collects in whichever thread creates an object too many. What is found there may be a connection that was left in
a reference cycle, and closing a socket of uvloop in another thread than the loop's ends in a segmentation fault: it was
seen with PostgreSQL gone, and the thread that parses answers.
"""

import asyncio
import gc

COLLECT_SECONDS = 0.02
"""how often the thresholds are looked at: under full load, between 500 and 1,000 new objects"""


async def collect_on_loop() -> None:
    """Collect whatever exceeds its threshold (`scheduling.py`), here and nowhere else, until cancelled."""
    gc.disable()
    try:
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            collect_due()
    finally:
        gc.enable()


def collect_due() -> None:
    """Collect the oldest generation of which Python would collect now, with the younger ones."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    due = [
        generation for generation in range(3) if thresholds[generation] and counts[generation] > thresholds[generation]
    ]
    if due:
        gc.collect(due[-1])

"""The HTTP port with its page in a thread of its own, so that a browser can be driven beside it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from scaler.discovery import Discoveries
from scaler.page.routes import all_pages
from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.registry import Registry
from scaler.series import Floats
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Trigger
from tests.status.registry import NOW, filled_registry


async def demand(trigger: Trigger, since: float, until: float) -> Floats:
    """A sine of the day."""
    moment_M = 60.0 * np.arange(np.ceil(since / 60), np.floor(until / 60) + 1)
    return np.asarray(40 + 20 * np.sin(moment_M / 3000), np.float32)


async def plans(asked: PastPlansAsked) -> list[PastPlan]:
    """One plan every half hour of the last three hours, the newest first, of the trigger shop/web."""
    key = filled_registry().page(1, namespace="shop", name="web")[0].trigger.short_key
    reasons = ({"rule": "need", "text": "the peak over the next 8 min", "before": None, "after": 60.0},)
    every = [
        PastPlan(
            *("shop", "web", key, NOW - 1800.0 * n, "forecast_and_observation", 60.0 + n, 60.0 + n, 60.0, 0.9),
            *(42.5, True, 7, "seasonal@1", "", reasons),
        )
        for n in range(6)
    ]
    found = [one for one in every if (one.namespace, one.name) == (asked.namespace, asked.name)]
    return [one for one in found if asked.since <= one.at <= asked.until][: asked.limit]


READS = Reads(demand=demand, plans=plans)


@contextmanager
def site(
    registry: Callable[[], Registry] = filled_registry,
    reads: Reads = READS,
    discoveries: Discoveries | None = None,
    telemetry: Callable[[], Telemetry] = Telemetry,
    **given: str,
) -> Iterator[str]:
    """The address of a port that shows this registry. given: further settings."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    settings = load_settings({"http_address": "127.0.0.1:0", **given})

    async def start() -> tuple[StatusServer, int]:
        server = StatusServer(
            *(settings, registry(), telemetry(), dict, lambda key: None, lambda: NOW, discoveries),
            reads=reads,
            pages=all_pages,
        )
        return server, await server.start()

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()

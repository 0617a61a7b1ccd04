"""Background tasks that run for the life of the process."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

RESTART_SECONDS = 1.0
"""pause before a task that failed is started again"""


class BackgroundTasks:
    """Runs tasks until they are stopped. A task that fails is logged and counted, and starts again."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._tasks: list[asyncio.Task[None]] = []

    def keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start `run`, and start it again whenever it ends."""
        self._telemetry.count("task_failed", 0, task=name)
        self._tasks.append(asyncio.create_task(self._loop(name, run), name=name))

    async def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _loop(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except Exception:  # one task that fails must not stop the others, nor the answers
                log.exception("task_failed", task=name)
                self._telemetry.count("task_failed", task=name)
            await asyncio.sleep(RESTART_SECONDS)

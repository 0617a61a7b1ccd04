"""The process ends in time, whatever it still waits for: a look-up of a name, a file system, a server, a bug.

Threads that are within the operating system cannot be cancelled, and Python waits for them.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()

CLOSING_SECONDS = 18.0
"""after `drain-grace`, for everything to be stored and closed; the chart leaves 20"""
LEAVING_SECONDS = 2.0
"""for the interpreter, when nothing is left to do"""
MOST_NAMED = 30
"""tasks in the log"""


def cut_off_after(seconds: float, loop: asyncio.AbstractEventLoop) -> None:
    """Let the process end with status 1 in `seconds`; the log then names the tasks that it waited for."""

    def say() -> None:
        running = sorted({_named(task) for task in asyncio.all_tasks(loop)})
        log.error("stop_cut_off", seconds=round(seconds), tasks=running[:MOST_NAMED])

    _end_after(seconds, 1, say)


def leave_soon() -> None:
    """Let the process end with status 0 very soon: all is stored and closed, and nobody may wait for the rest."""
    _end_after(LEAVING_SECONDS, 0, lambda: None)


def _named(task: "asyncio.Task[Any]") -> str:
    """Its name, or what it runs where it was given none."""
    name = task.get_name()
    return getattr(task.get_coro(), "__qualname__", name) if name.startswith("Task-") else name


def _end_after(seconds: float, status: int, before: Callable[[], None]) -> None:
    def end() -> None:
        try:
            before()
            logging.shutdown()
            sys.stdout.flush()
        finally:
            os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.name, timer.daemon = "end", True
    timer.start()

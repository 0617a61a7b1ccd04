"""Reading the place of the bundles beside everything else: a place that hangs must delay neither answers nor the end of
the process. Until it has been read, a shipped bundle serves.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from scaler.app.champions import Champions
from scaler.clock import Clock, SystemClock
from scaler.forecast.catalog import Catalog
from scaler.models import ModelIndex, scope_name
from scaler.store.null_models import NullModels
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

FOLDER_SECONDS = 10.0
"""how long a start waits for bundles in a folder, so that they make the first forecast; a quarter of a second is usual.
For a URL it does not wait"""

LISTING_SECONDS = 1.0
"""how long a folder may take to be listed; one that does not answer, as on a lost network drive, is not waited for"""

AWAITED_SECONDS = 10.0
"""after this time the log says that the place has not answered yet"""

RELOAD_SECONDS = 60.0
"""how often the place of the bundles is looked at for new versions, and the index for champions"""

EARLY_SECONDS = 5.0
"""after a start, until the index is read again, with the models that triggers name"""

CHAMPIONS_SECONDS = 1.0
"""how long a start waits for the index, so that champions make the first forecast"""


def _none_named() -> tuple[str, ...]:
    return ()


class BundleReads:
    """Reads of one catalog, one at a time.

    shown: the place as the log may show it; empty where only shipped bundles are used, which need no read.
    index: which versions are champions.
    """

    def __init__(self, catalog: Catalog, shown: str, index: ModelIndex | None = None) -> None:
        self.catalog = catalog
        self._served: dict[str, str] = {}
        """by scope, as the log has it"""
        self._champions = Champions(index or NullModels())
        self._shown = shown
        self._running: asyncio.Future[None] | None = None
        self._wanted = asyncio.Event()

    async def first(self, seconds: float = FOLDER_SECONDS) -> None:
        """Begin to read. For a folder, wait for it up to `seconds`; it goes on in the background."""
        if self._shown:
            self.catalog.lineup = await self._champions.read(SystemClock().now(), seconds=CHAMPIONS_SECONDS)
            read = self._read()
            if "://" not in self._shown and await self._is_listed():
                await asyncio.wait({read}, timeout=seconds)
            if read.done():
                read.result()

    async def _is_listed(self) -> bool:
        listed = in_thread(lambda: _list(self._shown))
        await asyncio.wait({listed}, timeout=LISTING_SECONDS)
        return listed.done()

    def read_now(self) -> None:
        """Look for new versions without waiting for the next time to do so."""
        self._wanted.set()

    async def follow(
        self, clock: Clock, telemetry: Telemetry, named: Callable[[], Iterable[str]] = _none_named
    ) -> None:
        """Take up new versions and champions until cancelled. A refused one is logged once, and the running one stays.

        named: the models that triggers name now.
        """
        reported: dict[str, str] = {}
        await self._first_answer()
        pause = EARLY_SECONDS
        while True:
            if self._running is None:
                reported = self._report(reported, telemetry)
                await self._next_time(clock, pause)
                pause = RELOAD_SECONDS
            if self._running is None:
                self.catalog.lineup = await self._champions.read(clock.now(), named())
            if self._shown or self.catalog.lineup.champions:
                await self._read()

    async def _first_answer(self) -> None:
        if self._running is None:
            return
        await asyncio.wait({self._running}, timeout=AWAITED_SECONDS)
        if self._running is not None:
            log.warning("bundle_awaited", bundle=self._shown, serving=self.catalog.champion.model)

    async def _next_time(self, clock: Clock, pause: float) -> None:
        """Until it is time to look again, or `read_now` was called."""
        due = asyncio.ensure_future(clock.sleep_until(clock.now() + pause))
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait({due, wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            due.cancel()
            wanted.cancel()
        self._wanted.clear()

    def _read(self) -> "asyncio.Future[None]":
        """The read that is running, or a new one."""
        if self._running is None:
            self._running = in_thread(self.catalog.reload)
            self._running.add_done_callback(self._ended)
        return self._running

    def _ended(self, _: "asyncio.Future[None]") -> None:
        self._running = None

    def _report(self, reported: dict[str, str], telemetry: Telemetry) -> dict[str, str]:
        self._report_champions()
        refused = {place: str(refusal) for place, refusal in self.catalog.refusals.items()}
        for place, why in refused.items():
            if reported.get(place) != why:
                log.error("bundle_refused", bundle=place, error=why, serving=self.catalog.champion.model)
                telemetry.count("bundle_refused")
        return refused

    def _report_champions(self) -> None:
        serving = {scope: one.model for scope, (one, _) in self.catalog.versions.serving.items()}
        for scope in sorted(serving.keys() | self._served.keys()):
            before, model = self._served.get(scope, ""), serving.get(scope, "")
            if model != before:
                log.info("champion_serves", scope=scope_name(scope), model=model, before=before)
        self._served = serving


def _list(folder: str) -> None:
    with suppress(OSError):  # whoever reads it reports that
        os.listdir(folder)


def in_thread(work: Callable[[], None]) -> "asyncio.Future[None]":
    """The end of `work`, which runs in a thread of its own. Unlike those of the event loop's executor, this thread does
    not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not ended.done():
            ended.set_exception(error) if error is not None else ended.set_result(None)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - the waiting task raises it
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="bundles", daemon=True).start()
    return ended

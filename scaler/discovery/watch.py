"""One scope, kept up to date: list everything, watch changes, continue where a watch ended, back off after failures.

Known objects stay known meanwhile; only an answer of the API server removes one.
"""

import asyncio
import random
from dataclasses import dataclass

import structlog

from scaler.clock import Clock
from scaler.discovery import Scope
from scaler.discovery.api import ApiUnavailable, Denied, Gone, ScopedApi, Unreadable
from scaler.discovery.known import KnownObjects, ObjectName
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

WATCH_SECONDS = (90, 150)
"""how long a watch is asked to last: a dead connection is noticed after this time"""
STEADY_SECONDS = 10.0
"""a watch that lasted this long counts as no failure, even if nothing changed"""
MOST_RESTARTS = 3
"""of one list, because its version expired between two pages"""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Between attempts, in seconds."""

    first: float = 1.0
    """after the first failure; it doubles with each further one"""
    longest: float = 60.0
    denied: float = 60.0
    """while a permission or KEDA is missing"""

    def after(self, failures: int, is_denied: bool) -> float:
        """The pause after this number of failures in a row, before jitter: 1 s, 2 s, 4 s, … 60 s."""
        return self.denied if is_denied else min(self.longest, self.first * 2.0 ** min(failures - 1, 20))


class ScopeWatch:
    """Watches the ScaledObjects of one namespace, or of all."""

    def __init__(
        self,
        namespace: str,
        api: ScopedApi,
        known: KnownObjects,
        clock: Clock,
        telemetry: Telemetry,
        pauses: Pauses = Pauses(),
    ) -> None:
        self.has_tried = False
        """whether the first list has arrived, or has failed"""
        self._namespace = namespace
        self._api = api
        self._known = known
        self._clock = clock
        self._telemetry = telemetry
        self._pauses = pauses
        self._version = ""
        """where the next watch continues; empty where everything must be listed first"""
        self._failures = 0
        self._error = "not listed yet"
        self._reported = ""
        telemetry.set("discovery_up", 0, scope=namespace)

    @property
    def state(self) -> Scope:
        return Scope(self._namespace, not self._error, self._error)

    async def run(self) -> None:
        """Keep the scope up to date, until cancelled."""
        while True:
            pause = await self.once()
            await self._clock.sleep_until(self._clock.now() + pause)

    async def once(self) -> float:
        """List where that is needed, then watch until the watch ends; returns how long to wait before the next time."""
        started = self._clock.now()
        try:
            if not self._version:
                await self._list()
            await self._watch()
            if self._known.lacked_room(self._namespace):
                self._version = ""
        except ApiUnavailable as error:
            if self._clock.now() - started >= STEADY_SECONDS:
                self._failures = 0
            if isinstance(error, Gone | Unreadable):
                self._version = ""
            self._note_failure(error)
            return self._pauses.after(self._failures, isinstance(error, Denied)) * random.uniform(0.5, 1.0)
        if self._clock.now() - started < STEADY_SECONDS:
            self._failures += 1  # a server that ends every watch at once must not be asked without a pause
            return self._pauses.after(self._failures, is_denied=False) * random.uniform(0.5, 1.0)
        self._failures = 0
        return 0.0

    async def _list(self) -> None:
        for _ in range(MOST_RESTARTS):
            try:
                self._version = await self._list_all()
            except Gone:
                continue
            self._note_up()
            return
        raise ApiUnavailable("the Kubernetes API forgets a list before its last page is read")

    async def _list_all(self) -> str:
        """Take every object, page by page, then drop what was not among them; returns the list's version."""
        named: set[ObjectName] = set()
        read: set[str] = set()
        page = await self._api.page()
        while True:
            for one in page.objects:
                name = self._known.see(self._namespace, one, self._clock.now())
                if name is not None:
                    named.add(name)
                await _let_others_run()
            if not page.following:
                self._known.keep_only(self._namespace, named)
                return page.version
            if page.following in read:
                raise ApiUnavailable("the Kubernetes API sends the same page of a list again and again")
            read.add(page.following)
            page = await self._api.page(page.following)

    async def _watch(self) -> None:
        async with self._api.watch(self._version, random.randint(*WATCH_SECONDS)) as events:
            self._note_up()
            async for event in events:
                if event.kind == "DELETED":
                    header = event.object["metadata"]
                    self._known.gone(str(header.get("namespace")), str(header.get("name")))
                elif event.kind in ("ADDED", "MODIFIED"):
                    self._known.see(self._namespace, event.object, self._clock.now())
                self._version = event.version
                self._failures = 0
                await _let_others_run()

    def _note_up(self) -> None:
        if self._reported:
            log.info("discovery_back", scope=self._namespace)
        self._error, self._reported, self.has_tried = "", "", True
        self._telemetry.set("discovery_up", 1, scope=self._namespace)

    def _note_failure(self, error: ApiUnavailable) -> None:
        self._failures += 1
        self.has_tried = True
        self._telemetry.count("discovery_failed", scope=self._namespace)
        if isinstance(error, Gone) or (self._failures == 1 and self._version):
            return  # a watch may break off at any time, and goes on at once
        self._error = str(error)
        self._telemetry.set("discovery_up", 0, scope=self._namespace)
        if self._error != self._reported:
            log.warning("discovery_unavailable", scope=self._namespace, error=self._error)
            self._reported = self._error


async def _let_others_run() -> None:
    """After each object: one may be large, and many events may arrive in one piece. KEDA is answered in between."""
    await asyncio.sleep(0)

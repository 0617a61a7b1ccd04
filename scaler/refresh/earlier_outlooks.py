"""What triggers were answered with before the restart: read from the store at the start, and taken up once for each."""

import asyncio
from collections import Counter

import structlog

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.forecast.record import RecordInvalid, unpack
from scaler.registry import Registration, Registry
from scaler.series import Outlook
from scaler.store.outlooks import KEPT_SECONDS, OutlookRow, OutlookStore
from scaler.telemetry.redaction import excerpt
from scaler.trigger import Trigger

log = structlog.get_logger()

READ_SECONDS = 2.0
"""how long a start waits for the rows, before it loads the model. What has been read by then is used"""
WAITING_SECONDS = 120.0
"""after the start, KEDA has called for everything: what nobody has asked for by then is of a trigger that changed"""
OLD, AHEAD = f"it is more than {KEPT_SECONDS:.0f} s old", "it comes from the future"
UNREADABLE = "it is no outlook of this version, or damaged"
USELESS = "neither its observation nor its forecast counts any more"
NOBODY = "no such trigger is watched: it was edited or deleted"


class EarlierOutlooks:
    """Stored outlooks that wait for their triggers. A store that does not answer leaves none: then all begins anew."""

    def __init__(self, store: OutlookStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._is_read = False
        self._waiting: dict[str, OutlookRow] = {}
        self._taken = 0
        self._ignored: Counter[str] = Counter()
        """by the reason"""
        self._first: dict[str, str] = {}
        """of each reason: a key, and what is wrong where that says more"""

    async def read(self, most: int, seconds: float = READ_SECONDS) -> None:
        """Read up to `most` rows, within `seconds`, unless all were read before."""
        if self._is_read:
            return
        try:
            async with asyncio.timeout(seconds):
                async for page in self._store.load(most, self._clock.now()):
                    self._waiting.update(page)
            self._is_read = True
        except (StoreUnavailable, TimeoutError):
            return  # scaler/refresh/checkpoint.py logs that

    def take_up(self, registration: Registration, registry: Registry) -> None:
        """Answer a trigger that is new here as before the restart, where that is stored and still counts."""
        trigger = registration.trigger
        row = self._waiting.pop(trigger.key, None)
        if row is None:
            return
        try:
            reason = self._received(trigger, row, registry)
        except RecordInvalid as error:
            self._ignore(UNREADABLE, trigger.key, str(error))
            return
        except Exception:  # a fault of ours must not keep the trigger from being watched
            log.exception("outlook_not_taken_up", key=excerpt(trigger.key))
            return
        if reason:
            self._ignore(reason, trigger.key)
        else:
            self._taken += 1

    def report(self) -> None:
        """Log what was taken up, and what was ignored and why, since the last report."""
        if self._taken:
            log.info("outlooks_taken_up", triggers=self._taken)
        for reason, count in self._ignored.items():
            log.warning("outlooks_ignored", count=count, reason=reason, first=self._first[reason])
        self._taken = 0
        self._ignored.clear()
        self._first.clear()

    async def run(self) -> None:
        """Some time after the start, forget what nobody has asked for."""
        while True:
            await self._clock.sleep_until(self._clock.now() + WAITING_SECONDS)
            unclaimed, self._waiting = self._waiting, {}
            for key in unclaimed:
                self._ignore(NOBODY, key)
            self.report()

    def _received(self, trigger: Trigger, row: OutlookRow, registry: Registry) -> str:
        """Why the row is not answered with; empty where it is. Raises RecordInvalid."""
        now = self._clock.now()
        if row.at < now - KEPT_SECONDS:
            return OLD
        outlook = unpack(row.record)
        reason = fault(trigger, outlook, now)
        if not reason and not registry.receive(trigger.key, outlook, now, if_usable=True):
            reason = USELESS
        return reason

    def _ignore(self, reason: str, key: str, why: str = "") -> None:
        self._ignored[reason] += 1
        self._first.setdefault(reason, f"{excerpt(key)}: {why}" if why else excerpt(key))


def fault(trigger: Trigger, outlook: Outlook, now: float) -> str:
    """Why a stored outlook may not answer for the trigger; empty where it may.

    Which bundle made its forecast does not matter: when a running process takes up another bundle, its triggers keep
    their forecasts until the next ones, too.
    """
    if outlook.is_ahead(now, trigger.max_staleness_seconds):
        return AHEAD
    return OLD if outlook.counts_from < now - KEPT_SECONDS else ""

"""What triggers are answered with, into the store when this process ends in an orderly way: the next one goes on."""

import asyncio
from collections.abc import Sequence

import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.forecast.record import RecordInvalid, pack
from scaler.refresh.tracked import Tracked, Tracking
from scaler.series import Outlook
from scaler.store.outlooks import KEPT_SECONDS, OutlookRow, OutlookStore

log = structlog.get_logger()

WRITE_SECONDS = 8.0
"""for all of them, beside what else is stored at the end"""
AT_A_TIME = 250
"""outlooks of one write: a megabyte"""


class OutlookWriter:
    """Writes the outlooks of the triggers that this process refreshes, once: at its end."""

    def __init__(self, tracking: Tracking, store: OutlookStore, clock: Clock) -> None:
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._swept_at = clock.now()

    async def run(self) -> None:
        """Remove what is old, for ever. The first time, it is what this process has taken up."""
        while True:
            await self._clock.sleep_until(self._clock.now() + KEPT_SECONDS)
            passed, self._swept_at = self._swept_at, self._clock.now()
            try:
                await self._store.sweep(min(passed + KEPT_SECONDS, self._swept_at), self._swept_at)
            except StoreUnavailable:
                continue  # scaler/refresh/checkpoint.py logs that

    async def finish(self) -> None:
        """Write them all, as far as WRITE_SECONDS suffice: this process ends."""
        stored = 0
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                for chunk in chunks(list(self._tracking), AT_A_TIME):
                    rows = _rows(chunk)
                    await self._store.save(rows)
                    stored += len(chunk)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("outlooks_not_stored", triggers=len(self._tracking) - stored, error=str(error))
        except Exception:  # a fault of ours must not keep the rest from being stored
            log.exception("outlooks_not_stored", triggers=len(self._tracking) - stored)


def _rows(chunk: Sequence[Tracked]) -> dict[str, OutlookRow]:
    rows = {}
    for tracked in chunk:
        newest = tracked.registration.upcoming or tracked.registration.current
        row = None if newest is None else row_of(newest.outlook)
        if row is not None:
            rows[tracked.key] = row
    return rows


def row_of(outlook: Outlook) -> OutlookRow | None:
    """The outlook as it is stored; None for a forecast that is too large to be stored."""
    observed_at = 0.0 if outlook.observation is None else outlook.observation.at
    try:
        return OutlookRow(outlook.counts_from, observed_at, pack(outlook))
    except RecordInvalid:
        return None

"""Past days by the minute, out of the store: many triggers at a time, before anything of them is fetched."""

import asyncio
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, takewhile

import numpy as np
import structlog

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.history.minutes import DAYS, MinuteMemory, local_minutes
from scaler.refresh.combining import Combining
from scaler.refresh.local_time import utc_offset_seconds
from scaler.refresh.saving_minutes import next_due
from scaler.refresh.spans import Span, joined, span_of
from scaler.refresh.tracked import Phase, Tracked
from scaler.series import DAY_MINUTES, MinuteDay
from scaler.store import Store
from scaler.turns import in_pieces

log = structlog.get_logger()

AT_A_TIME = 32
"""triggers that are read together: 1 MB of rows, and 3 MB of minutes"""
LONGEST_SECONDS = 60.0
"""how long a trigger waits for a slow store, before its minutes are fetched from the source"""
RELEASED_AT_A_TIME = 256
"""before calls get their turn"""
PAUSE_SECONDS = 30.0
"""how long a store that did not answer is not asked; what waits is fetched from the source meanwhile"""


class MinuteRestoring:
    """The triggers whose stored minutes are still to be read. `run` loops for ever.

    on_read: called once for each trigger, when its minutes are there, or when the store does not answer in time. In the
    latter case they are read later, so that nothing is stored in the place of minutes that were not read.
    """

    def __init__(self, store: Store, combining: Combining, clock: Clock, on_read: Callable[[Tracked], None]) -> None:
        self._store = store
        self._combining = combining
        self._clock = clock
        self._on_read = on_read
        self._waiting: OrderedDict[str, Tracked] = OrderedDict()
        self._late: OrderedDict[str, Tracked] = OrderedDict()
        """those for which `on_read` was called already"""
        self._is_away = False
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """How many wait to be read for the first time."""
        return len(self._waiting)

    def want(self, tracked: Tracked) -> None:
        """Read the minutes of a new trigger as soon as possible."""
        self._late.pop(tracked.key, None)
        self._waiting[tracked.key] = tracked
        if self._is_away:
            self._release([tracked])
        self._some.set()

    async def run(self) -> None:
        """Read whatever waits, for ever."""
        while True:
            await self._some.wait()
            batch = list(islice((self._waiting or self._late).values(), AT_A_TIME))
            if not batch:
                self._some.clear()
                continue
            try:
                spans = await self._read(batch)
            except StoreUnavailable:  # scaler/refresh/checkpoint.py logs it
                self._is_away = True
                async for piece in in_pieces(list(self._waiting.values()), RELEASED_AT_A_TIME):
                    self._release(piece)
                await self._clock.sleep_until(self._clock.now() + PAUSE_SECONDS)
                continue
            except Exception:  # a fault of ours must not end the backfill; what is not read is fetched
                log.exception("minutes_not_restored", triggers=len(batch))
                spans = {}
            else:
                self._is_away = False
            self._done(batch, spans)
            self._release(list(takewhile(self._has_waited_long, self._waiting.values())))

    async def _read(self, batch: Sequence[Tracked]) -> Mapping[str, list[Span]]:
        now = self._clock.now()
        today = int(now // (60 * DAY_MINUTES))  # in UTC; in other zones it may be a day more or less
        owners = sorted({_owner(tracked) for tracked in batch})
        days = await self._store.load_minutes(owners, (today - DAYS - 1, today + 1))
        return await asyncio.to_thread(_fill, self._combining.memory, batch, days, now) if days else {}

    def _done(self, batch: Sequence[Tracked], spans: Mapping[str, list[Span]]) -> None:
        for tracked in batch:
            tracked.known_minutes = joined([*tracked.known_minutes, *spans.get(tracked.key, ())])
            tracked.minutes_read, tracked.minutes_due = True, next_due(tracked.key, self._clock.now())
            if self._waiting.get(tracked.key) is tracked:
                del self._waiting[tracked.key]
                self._on_read(tracked)
            elif self._late.get(tracked.key) is tracked:
                del self._late[tracked.key]

    def _has_waited_long(self, tracked: Tracked) -> bool:
        return tracked.wanted_since.get(Phase.MINUTES, math.inf) < self._clock.now() - LONGEST_SECONDS

    def _release(self, waiting: Sequence[Tracked]) -> None:
        """Let these be fetched from the source, and read them later."""
        for tracked in waiting:
            if self._waiting.get(tracked.key) is tracked:
                self._late[tracked.key] = self._waiting.pop(tracked.key)
                self._on_read(tracked)


def _fill(
    memory: MinuteMemory, batch: Sequence[Tracked], days: Iterable[MinuteDay], now: float
) -> dict[str, list[Span]]:
    """What need not be fetched any more, by the trigger's key."""
    by_owner: defaultdict[tuple[str, str], list[MinuteDay]] = defaultdict(list)
    for one in sorted(days, key=lambda one: one.day):
        by_owner[one.key, one.zone].append(one)
    for tracked in batch:
        if _owner(tracked) in by_owner:
            _fill_one(memory, tracked, by_owner[_owner(tracked)], now)
    return {tracked.key: [span_of(one) for one in by_owner[_owner(tracked)]] for tracked in batch}


def _fill_one(memory: MinuteMemory, tracked: Tracked, days: Sequence[MinuteDay], now: float) -> None:
    trigger = tracked.trigger
    minute_S = (np.array([one.day for one in days])[:, None] * DAY_MINUTES + np.arange(DAY_MINUTES)).reshape(-1)
    demand_S = np.concatenate([one.demand_M for one in days])
    newest = local_minutes(now, np.array([utc_offset_seconds(trigger.timezone, now)]))
    is_past = minute_S <= newest  # a wrong clock may have written what is still to come
    is_wanted = minute_S > newest - trigger.history_window_seconds / 60
    memory.fill(tracked.key, minute_S[is_past & is_wanted], demand_S[is_past & is_wanted], is_stored=True)


def _owner(tracked: Tracked) -> tuple[str, str]:
    """Whose the stored minutes are: they are those of one query, and of local days."""
    return tracked.trigger.history_key, tracked.trigger.timezone

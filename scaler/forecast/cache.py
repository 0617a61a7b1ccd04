"""The `ForecastCache` of a single process: everything in its own memory, nothing outside needed."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scaler.series import Outlook

KEPT_SECONDS = 900.0
"""for how long an outlook that is not published again is kept at most: a trigger that fell silent must not take memory
for as long as its forecast reaches"""

SWEEP_SECONDS = 60.0
"""how often what has expired is dropped"""


@dataclass(slots=True)
class SharedMemory:
    """What the replicas within one process share; `clock` counts seconds."""

    clock: Callable[[], float] = time.monotonic
    outlooks: dict[str, tuple[Outlook, float]] = field(default_factory=dict)
    """by trigger key, with the moment of expiry"""
    leases: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    """by trigger key: who holds it, until when, and the fencing token"""
    last_token: int = 0
    listeners: list[tuple[str, asyncio.Queue[list[str] | None]]] = field(default_factory=list)
    """replica and where its wakes go; None ends them"""
    next_sweep: float = 0.0


class MemoryCache:
    """A cache that needs no server: one replica holds every lease. Replay and tests put several on one memory."""

    refused = 0

    def __init__(self, replica_id: str = "single", memory: SharedMemory | None = None) -> None:
        self._replica_id = replica_id
        self._memory = memory or SharedMemory()
        self._tokens: dict[str, int] = {}
        """of the leases that this replica holds, as far as it knows"""

    @property
    def replica_id(self) -> str:
        return self._replica_id

    async def publish(self, outlooks: Mapping[str, Outlook], seconds: float) -> None:
        memory, now = self._memory, self._memory.clock()
        self._sweep(now)
        expiry = now + min(seconds, KEPT_SECONDS)
        taken = []
        for key, outlook in outlooks.items():
            known, expires = memory.outlooks.get(key, (outlook, 0.0))
            if self._is_fenced(key, now):
                continue
            if expires <= now or known.order <= outlook.order:
                memory.outlooks[key] = (outlook, expiry)
                taken.append(key)
        if taken:
            for replica_id, queue in memory.listeners:
                if replica_id != self._replica_id:
                    queue.put_nowait(taken)

    async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
        now = self._memory.clock()
        found = ((key, self._memory.outlooks.get(key)) for key in keys)
        return {key: entry[0] for key, entry in found if entry is not None and entry[1] > now}

    async def lease(self, keys: Sequence[str], seconds: float) -> set[str]:
        memory, now = self._memory, self._memory.clock()
        own = {}
        for key in keys:
            holder, expires, token = memory.leases.get(key, ("", 0.0, 0))
            if expires <= now:
                memory.last_token += 1
                holder, token = self._replica_id, memory.last_token
            if holder == self._replica_id:
                memory.leases[key] = (holder, now + seconds, token)
                own[key] = token
            self._tokens.pop(key, None)
        self._tokens |= own
        return set(own)

    async def holders(self, keys: Sequence[str]) -> dict[str, int]:
        now = self._memory.clock()
        found = (self._memory.leases.get(key, ("", 0.0, 0)) for key in keys)
        return dict(Counter(holder for holder, expires, _ in found if expires > now))

    async def release(self, keys: Sequence[str]) -> None:
        leases = self._memory.leases
        for key in keys:
            self._tokens.pop(key, None)
            if key in leases and leases[key][0] == self._replica_id:
                del leases[key]

    async def wakes(self) -> AsyncIterator[list[str]]:
        queue: asyncio.Queue[list[str] | None] = asyncio.Queue()
        listener = (self._replica_id, queue)
        self._memory.listeners.append(listener)
        try:
            yield []
            while (keys := await queue.get()) is not None:
                yield keys
        finally:
            self._memory.listeners.remove(listener)

    async def close(self) -> None:
        for replica_id, queue in self._memory.listeners:
            if replica_id == self._replica_id:
                queue.put_nowait(None)

    def _is_fenced(self, key: str, now: float) -> bool:
        """Whether another replica has taken the lease that this one holds as far as it knows."""
        token, (_, expires, taken) = self._tokens.get(key, 0), self._memory.leases.get(key, ("", 0.0, 0))
        return 0 < token < taken and expires > now

    def _sweep(self, now: float) -> None:
        """Drop what has expired: triggers that fell silent must not add up."""
        memory = self._memory
        if now < memory.next_sweep:
            return
        memory.next_sweep = now + SWEEP_SECONDS
        memory.outlooks = {key: entry for key, entry in memory.outlooks.items() if entry[1] > now}
        memory.leases = {key: entry for key, entry in memory.leases.items() if entry[1] > now}
        self._tokens = {key: token for key, token in self._tokens.items() if key in memory.leases}

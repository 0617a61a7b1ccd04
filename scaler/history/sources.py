"""The one door to metric sources: which kind of source answers for which server, and how it is opened.

A kind is a function that takes SourceOptions and returns a MetricSource. A new one is a module with such a function
and a line in KINDS, or an entry point in the group `headway.sources` of any installed package.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeAlias

import httpx

from scaler.errors import SettingsError
from scaler.history import ROUND_SHARE, MetricSource
from scaler.history.apart import Apart
from scaler.history.arriving import Arriving, Put, arriving
from scaler.history.connection import Limits
from scaler.history.credentials import PROMETHEUS, ServerAccess, access_for
from scaler.history.guarded import Guarded, guarded
from scaler.series import Blocks, Samples
from scaler.settings import Settings
from scaler.trigger import Trigger

GROUP = "headway.sources"
"""entry points of this group are kinds: the name as in `kind:` of a server, and a function as in KINDS"""

KINDS: Mapping[str, str] = {
    PROMETHEUS: "scaler.history.prometheus:open_prometheus",
    "recorded": "scaler.history.recorded:open_recorded",
}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a source is opened with."""

    access: tuple[ServerAccess, ...] = ()
    """the servers of its kind, with credentials and options; Prometheus may be asked at other addresses, too"""
    limits: Limits = Limits()  # noqa: RUF009  frozen
    transport: httpx.AsyncBaseTransport | None = None
    """instead of the network, in tests"""
    apart: Apart = field(default_factory=Apart)
    """which queries are never joined with others, for all kinds; it outlives a restart"""


Opener: TypeAlias = Callable[[SourceOptions], MetricSource]


def access_of(settings: Settings) -> tuple[ServerAccess, ...]:
    """Every server of the settings with its credentials. Raises SettingsError."""
    return tuple(ServerAccess(**server.model_dump()) for server in settings.known_servers)


def limits_of(settings: Settings) -> Limits:
    """How hard one server may be asked. One that hangs must not delay the next look at the others."""
    round_seconds = ROUND_SHARE * settings.refresh_interval
    longest = min(settings.prometheus_timeout, round_seconds)
    return Limits(concurrency=settings.prometheus_concurrency, observe_seconds=longest, round_seconds=round_seconds)


def source_for(
    access: Sequence[ServerAccess],
    limits: Limits = Limits(),  # noqa: B008  frozen
    transport: httpx.AsyncBaseTransport | None = None,
    apart: Apart | None = None,
) -> MetricSource:
    """A source that asks each server as its kind is asked; every failure is a DependencyError.

    A server that no entry of `access` matches is a Prometheus without credentials. Raises SettingsError for a kind that
    is unknown, or options that it refuses.
    """
    kinds = dict.fromkeys([PROMETHEUS, *(one.kind for one in access)])
    apart = Apart() if apart is None else apart
    sources = {
        kind: guarded(opener(kind)(SourceOptions(tuple(a for a in access if a.kind == kind), limits, transport, apart)))
        for kind in kinds
    }
    return sources[PROMETHEUS] if len(sources) == 1 else Routed(access, sources)


def opener(kind: str) -> Opener:
    """How a source of this kind is opened. Raises SettingsError for a kind that nothing here brings."""
    if kind in KINDS:
        module, _, name = KINDS[kind].partition(":")
        found: Any = getattr(import_module(module), name)
        return found  # type: ignore[no-any-return]
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in installed:
        known = ", ".join(sorted([*KINDS, *installed]))
        raise SettingsError(f"servers: kind={kind!r}: must be one of {known}, or one that a package adds ({GROUP})")
    opened: Opener = installed[kind].load()
    return opened


class Routed:
    """A MetricSource of several kinds: a trigger is answered by the kind of the first server that matches."""

    def __init__(self, access: Sequence[ServerAccess], sources: Mapping[str, Guarded]) -> None:
        self._access = tuple(access)
        self._sources = dict(sources)
        self._kinds: dict[str, str] = {}

    def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """As the sources of the triggers' servers; no kind waits for another."""
        groups: dict[str, list[int]] = defaultdict(list)
        for position, trigger in enumerate(triggers):
            groups[self._kind(trigger)].append(position)

        async def ask(kind: str, members: list[int], put: Put) -> None:
            async with aclosing(self._sources[kind].observe([triggers[i] for i in members], at)) as parts:
                async for part in parts:
                    put([(members[i], value) for i, value in part])

        async def ask_all(put: Put) -> None:
            async with asyncio.TaskGroup() as kinds:
                for kind, members in groups.items():
                    kinds.create_task(ask(kind, members, put))

        return arriving(ask_all)

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """As the source of the trigger's server."""
        return await self._source(trigger).samples(trigger, start, end, step_seconds)

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """As the source of the trigger's server."""
        return await self._source(trigger).blocks(trigger, start, end, block_seconds)

    def reachable(self, trigger: Trigger) -> bool:
        """As the source of the trigger's server."""
        return self._source(trigger).reachable(trigger)

    def circuits(self) -> dict[str, bool]:
        """Those of all kinds."""
        return {name: is_open for source in self._sources.values() for name, is_open in source.circuits().items()}

    def queue_lengths(self) -> dict[str, int]:
        """Those of all kinds."""
        lengths: Counter[str] = Counter()
        for source in self._sources.values():
            lengths.update(source.queue_lengths())
        return dict(lengths)

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(source.close() for source in self._sources.values()))

    def _source(self, trigger: Trigger) -> Guarded:
        return self._sources[self._kind(trigger)]

    def _kind(self, trigger: Trigger) -> str:
        address = trigger.server_address
        if address not in self._kinds:
            self._kinds[address] = access_for(address, self._access).kind
        return self._kinds[address]

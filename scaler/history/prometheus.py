"""Demand from Prometheus and whatever speaks its HTTP API: Thanos, Mimir, VictoriaMetrics."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import httpx
import numpy as np
import structlog
from numpy.typing import NDArray

from scaler.errors import AmbiguousDemand, DependencyError, SourceRefused, SourceUnavailable
from scaler.history.answers import BadQuery, Element, Partial, Series, TooLarge, TooSlow, demand, elements, series
from scaler.history.arriving import Answers, Arriving, Put, arriving
from scaler.history.connection import Limits, Pairs, Server
from scaler.history.credentials import ServerAccess, access_for
from scaler.history.queries import (
    MOST_QUERIES,
    TAG,
    joined,
    over_block,
    packed,
    self_contained,
    tagged,
)
from scaler.history.ranges import merged, one_history, read
from scaler.history.sources import SourceOptions
from scaler.series import Blocks, Floats, Gap, Samples, within
from scaler.trigger import Trigger

log = structlog.get_logger(__name__)

Observed: TypeAlias = float | DependencyError
BLOCK_STEP_SECONDS = 60.0
"""how often demand is sampled within a coarse block where the trigger has no step of its own"""
AT_A_TIME = 500
"""triggers sorted into requests before the event loop may answer a call"""
FEW = 2
"""up to this number of slow requests per observe(), a query is blamed and not the server"""
MOST_SPLITS = 300
"""requests split in one observe(); a bad query costs six, and a server that refuses everything is not stormed"""
MOST_PARTIAL_SPLITS = 8
"""requests with a partial answer that are split in one observe(): enough to find one query; an outage of a store is not
multiplied"""
MOST_REMEMBERED = 20_000
"""queries known to fail a joint request; beyond this number all are forgotten and found again"""


class PrometheusSource:
    """A MetricSource. Triggers of one server share requests; each server has its own pool, limits and circuit."""

    def __init__(
        self,
        access: Sequence[ServerAccess] = (),
        limits: Limits = Limits(),  # noqa: B008  frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._access = tuple(access)
        self._limits = limits
        self._transport = transport
        self._servers: dict[str, Server] = {}

    def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """Demand of each trigger at `at`, or its error; a part as soon as its request is answered."""
        return arriving(partial(self._observe, triggers, at))

    async def _observe(self, triggers: Sequence[Trigger], at: float, put: Put) -> None:
        groups: dict[tuple[str, Pairs, float], list[int]] = defaultdict(list)
        for position, trigger in enumerate(triggers):
            if position % AT_A_TIME == 0:
                await asyncio.sleep(0)
            groups[(trigger.server_address, _parameters(trigger), self._patience(trigger))].append(position)
        async with asyncio.TaskGroup() as rounds:
            for (address, parameters, seconds), positions in groups.items():
                one = _Round(self._server(address), parameters, seconds, at)
                members = [triggers[position] for position in positions]
                rounds.create_task(one.observe(members, partial(_put_at, positions, put)))
                await asyncio.sleep(0)

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """Demand at start, start + step, … <= end; missing moments are left out (0 where null values are ignored)."""
        found, gaps = await self._read(trigger, trigger.query, start, end, step_seconds)
        times, values, ambiguous = one_history(found, step_seconds)
        gaps = tuple(merged([*gaps, *ambiguous], step_seconds))
        if trigger.ignore_null_values:
            times, (values,) = _zeros_between(times, [values], end, step_seconds, gaps)
        return Samples(times, values, gaps)

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """Mean and max per clock-aligned block: the block that starts at s covers (s, s + block].

        Where the server refuses subqueries, each block is known by the sample at its end alone.
        """
        first = math.ceil(start / block_seconds) * block_seconds + block_seconds
        last = math.floor(end / block_seconds) * block_seconds
        try:
            times, mean, peak, gaps = await self._summed_up(trigger, first, last, block_seconds)
        except (SourceRefused, AmbiguousDemand) as error:
            log.debug("no_subqueries", namespace=trigger.namespace, name=trigger.name, why=str(error))
            plain = await self.samples(trigger, first, last, block_seconds)
            times, mean, peak, gaps = plain.times, plain.values, plain.values, plain.gaps
        if trigger.ignore_null_values:
            times, (mean, peak) = _zeros_between(times, [mean, peak], last, block_seconds, gaps)
        missing = tuple(replace(gap, first=gap.first - block_seconds) for gap in gaps)
        return Blocks(times - block_seconds, mean, peak, missing)

    def reachable(self, trigger: Trigger) -> bool:
        """False while the circuit of this trigger's server is open."""
        server = self._servers.get(trigger.server_address)
        return server is None or server.reachable()

    def circuits(self) -> dict[str, bool]:
        """Every server asked so far, by its address without credentials, and whether its circuit is open."""
        return {server.shown: not server.reachable() for server in self._servers.values()}

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _summed_up(
        self, trigger: Trigger, first: float, last: float, block_seconds: float
    ) -> tuple[NDArray[np.float64], Floats, Floats, tuple[Gap, ...]]:
        step = min(trigger.query_step_seconds or BLOCK_STEP_SECONDS, block_seconds)
        functions = ("avg_over_time", "max_over_time")
        query = joined(tagged(over_block(name, trigger.query, block_seconds, step), name) for name in functions)
        found, gaps = await self._read(trigger, query, first, last, block_seconds)
        (mean_times, mean, ambiguous), (peak_times, peak, _) = (
            one_history([one.without_label(TAG) for one in found if one.labels.get(TAG) == name], block_seconds)
            for name in functions
        )
        times, in_mean, in_peak = np.intersect1d(mean_times, peak_times, assume_unique=True, return_indices=True)
        return times, mean[in_mean], peak[in_peak], tuple(merged([*gaps, *ambiguous], block_seconds))

    async def _read(
        self, trigger: Trigger, query: str, start: float, end: float, step_seconds: float
    ) -> tuple[list[Series], tuple[Gap, ...]]:
        server = self._server(trigger.server_address)

        async def ask(first: float, last: float) -> list[Series]:
            return series(await server.range(query, first, last, step_seconds, _parameters(trigger)))

        return await read(ask, start, end, step_seconds, server.piece_size)

    def _server(self, address: str) -> Server:
        server = self._servers.get(address)
        if server is None:
            access = access_for(address, self._access)
            server = self._servers[address] = Server(address, access, self._limits, self._transport)
        return server

    def _patience(self, trigger: Trigger) -> float:
        return min(self._limits.observe_seconds, trigger.timeout_seconds or math.inf)


class _Round:
    """One observe() of the triggers that share server, parameters and time limit."""

    def __init__(self, server: Server, parameters: Pairs, seconds: float, at: float) -> None:
        self._server = server
        self._parameters = parameters
        self._seconds = seconds
        self._at = at
        self._slow: list[list[Trigger]] = []
        self._splits = self._partial_splits = 0

    async def observe(self, triggers: Sequence[Trigger], put: Put) -> None:
        """Put demand or error of each, request by request."""

        async def ask(request: list[int]) -> None:
            members = [triggers[i] for i in request]
            try:
                answers = await self._ask(members)
            except Exception as error:  # noqa: BLE001  logged by Failures; the other requests go on
                answers = _each(self._server.unexpected(error), members)
            put(list(zip(request, answers, strict=True)))

        async with asyncio.TaskGroup() as requests:
            for request in self._requests(triggers):
                requests.create_task(ask(request))
                await asyncio.sleep(0)
        self._learn()

    def _requests(self, triggers: Sequence[Trigger]) -> list[list[int]]:
        alone = [i for i, t in enumerate(triggers) if t.query in self._server.alone or not self_contained(t.query)]
        apart = set(alone)
        together = [i for i in range(len(triggers)) if i not in apart]
        queries = [triggers[i].query for i in together]
        groups = packed(queries, self._server.most_together, self._server.most_bytes)
        return [[i] for i in alone] + [[together[k] for k in group] for group in groups]

    async def _ask(self, triggers: list[Trigger]) -> list[Observed]:
        if len(triggers) == 1:
            return [await self._ask_alone(triggers[0])]
        try:
            return await self._ask_together(triggers)
        except (BadQuery, TooLarge):
            return await self._ask_halves(triggers)
        except Partial as error:
            if self._partial_splits >= MOST_PARTIAL_SPLITS:
                return _each(error, triggers)
            self._partial_splits += 1
            return await self._ask_both_halves(triggers)
        except TooSlow as error:
            self._slow.append(triggers)
            return _each(error, triggers)
        except DependencyError as error:
            return _each(error, triggers)

    async def _ask_together(self, triggers: list[Trigger]) -> list[Observed]:
        query = joined(tagged(trigger.query, str(tag)) for tag, trigger in enumerate(triggers))
        answer = await self._server.instant(query, self._at, self._parameters, self._seconds)
        found: dict[str, list[Element]] = defaultdict(list)
        for element in elements(answer):
            labels = dict(element.labels)
            found[labels.pop(TAG, "")].append(Element(labels, element.value))
        return [_demand_or_error(found[str(tag)], trigger) for tag, trigger in enumerate(triggers)]

    async def _ask_halves(self, triggers: list[Trigger]) -> list[Observed]:
        """Ask again by halves until the failing query is alone; where none fails, the request was too long."""
        self._splits += 1
        if self._splits > MOST_SPLITS:
            return _each(SourceUnavailable("asked together with queries that the server refuses"), triggers)
        known_before = len(self._server.alone)
        answers = await self._ask_both_halves(triggers)
        if len(self._server.alone) == known_before:
            self._server.most_together = max(1, min(self._server.most_together, len(triggers) // 2))
        return answers

    async def _ask_both_halves(self, triggers: list[Trigger]) -> list[Observed]:
        half = len(triggers) // 2
        left, right = await asyncio.gather(self._ask(triggers[:half]), self._ask(triggers[half:]))
        return left + right

    async def _ask_alone(self, trigger: Trigger) -> Observed:
        try:
            answer = await self._server.instant(trigger.query, self._at, self._parameters, self._seconds)
            if answer.kind == "vector" and not answer.partial:
                self._server.alone.discard(trigger.query)
            else:
                self._server.alone.add(trigger.query)
            return demand(elements(answer), trigger)
        except (BadQuery, TooLarge, TooSlow) as error:
            self._server.alone.add(trigger.query)
            return error
        except DependencyError as error:
            return error

    def _learn(self) -> None:
        """Prepare the next round: suspects are asked alone, and more queries together where nothing was split.

        Suspects are all members of a request that was too slow, unless the server itself is slow.
        """
        server = self._server
        if 0 < len(self._slow) <= FEW:
            server.alone.update(trigger.query for triggers in self._slow for trigger in triggers)
        if len(server.alone) > MOST_REMEMBERED:
            server.alone.clear()
        if not self._splits:
            server.most_together = min(MOST_QUERIES, server.most_together + 1)


def _parameters(trigger: Trigger) -> Pairs:
    """What goes into the URL: KEDA sends `namespace` so, too (prometheus_scaler.go, ExecutePromQuery)."""
    tenant = (("namespace", trigger.tenant),) if trigger.tenant else ()
    return (*tenant, *trigger.query_parameters)


def _put_at(positions: Sequence[int], put: Put, part: Answers) -> None:
    put([(positions[i], value) for i, value in part])


def _demand_or_error(found: list[Element], trigger: Trigger) -> Observed:
    try:
        return demand(found, trigger)
    except DependencyError as error:
        return error


def _each(error: DependencyError, triggers: Iterable[Trigger]) -> list[Observed]:
    """An error of its own for each: one instance raised again and again would collect tracebacks."""
    plain = SourceUnavailable if isinstance(error, SourceUnavailable) else type(error)
    return [plain(str(error)) for _ in triggers]


def _zeros_between(
    times: NDArray[np.float64], columns: list[Floats], end: float, step_seconds: float, gaps: Sequence[Gap]
) -> tuple[NDArray[np.float64], list[Floats]]:
    """The columns on every step from the first known moment to `end`, 0 where there was no demand; gaps stay out."""
    if not len(times):
        return times, columns
    positions = np.round((times - times[0]) / step_seconds).astype(np.int64)
    count = int(max(positions[-1], math.floor((end - times[0]) / step_seconds + 1e-9))) + 1
    moments = times[0] + np.arange(count) * step_seconds
    known = ~within(moments, gaps)
    known[positions] = True
    filled = [np.zeros(count, np.float32) for _ in columns]
    for column, values in zip(filled, columns, strict=True):
        column[positions] = values
    return moments[known], [column[known] for column in filled]


def open_prometheus(options: SourceOptions) -> PrometheusSource:
    """The kind `prometheus` of `scaler.history.sources`."""
    return PrometheusSource(options.access, options.limits, options.transport)

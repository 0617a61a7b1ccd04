"""Demand from Prometheus and whatever speaks its HTTP API: Thanos, Mimir, VictoriaMetrics."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import httpx
import structlog

from scaler.errors import AmbiguousDemand, SourceRefused
from scaler.history.answers import Malformed, Series, assigned, series
from scaler.history.apart import Apart
from scaler.history.arriving import Answers, Arriving, Put, arriving
from scaler.history.connection import Limits, Pairs, Server
from scaler.history.credentials import ServerAccess, access_for
from scaler.history.known import UNUSED_SECONDS, KnownQueries
from scaler.history.lanes import Lane
from scaler.history.queries import TAG, joined, over_block, tagged
from scaler.history.ranges import read
from scaler.history.rounds import Round
from scaler.history.sampled import Sampled, one_history, side_by_side
from scaler.history.sources import SourceOptions
from scaler.http.body import off_loop
from scaler.series import Blocks, Gap, Samples
from scaler.trigger import Trigger
from scaler.turns import Turns

log = structlog.get_logger(__name__)

BLOCK_STEP_SECONDS = 60.0
"""how often demand is sampled within a coarse block where the trigger has no step of its own"""
MEAN_AND_MAXIMUM = ("avg_over_time", "max_over_time")
AT_A_TIME = 500
"""triggers sorted into rounds before the event loop may answer a call"""

SWEEP_SECONDS = 300.0


class PrometheusSource:
    """A MetricSource. Triggers of one server share requests; each server has its own pool, limits and circuit."""

    def __init__(
        self,
        access: Sequence[ServerAccess] = (),
        limits: Limits = Limits(),  # noqa: B008  frozen
        transport: httpx.AsyncBaseTransport | None = None,
        apart: Apart | None = None,
    ) -> None:
        self._access = tuple(access)
        self._limits = limits
        self._transport = transport
        self._apart = Apart() if apart is None else apart
        self._servers: dict[str, Server] = {}
        self._turns = Turns()
        """of all servers' answers: pieces of them are parsed on the event loop that answers KEDA"""
        self._swept_at = 0.0
        self._known: dict[tuple[str, str, Pairs], KnownQueries] = {}

    def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """Demand of each trigger at `at`, or its error; a part as soon as its request is answered."""
        return arriving(partial(self._observe, triggers, at))

    async def _observe(self, triggers: Sequence[Trigger], at: float, put: Put) -> None:
        until = asyncio.get_running_loop().time() + self._limits.round_seconds
        groups: dict[tuple[str, str, Pairs, float], list[int]] = defaultdict(list)
        for position, trigger in enumerate(triggers):
            if position % AT_A_TIME == 0:
                await asyncio.sleep(0)
            mine = (trigger.server_address, trigger.namespace, _parameters(trigger), self._patience(trigger))
            groups[mine].append(position)
        await self._sweep(at)
        async with asyncio.TaskGroup() as rounds:
            for (address, namespace, parameters, seconds), positions in groups.items():
                known = self._known_queries(address, namespace, parameters)
                one = Round(self._server(address), known, namespace, parameters, seconds, at, until)
                members = [triggers[position] for position in positions]
                rounds.create_task(one.observe(members, partial(_put_at, positions, put)))
                await asyncio.sleep(0)

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """Demand at start, start + step, … <= end; missing moments are left out (0 where null values are ignored)."""
        found = await self._sampled(trigger, start, end, step_seconds)
        if trigger.ignore_null_values:
            found = found.with_zeros(end, step_seconds)
        return Samples(found.times, found.columns[0], found.gaps)

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """Mean and max per clock-aligned block: the block that starts at s covers (s, s + block].

        Where the server refuses subqueries, each block is known by the sample at its end alone.
        """
        first = math.ceil(start / block_seconds) * block_seconds + block_seconds
        last = math.floor(end / block_seconds) * block_seconds
        try:
            found = await self._summed_up(trigger, first, last, block_seconds)
        except (SourceRefused, AmbiguousDemand, Malformed) as error:
            log.debug("no_subqueries", namespace=trigger.namespace, name=trigger.name, why=str(error))
            plain = await self._sampled(trigger, first, last, block_seconds)
            found = plain._replace(columns=2 * plain.columns)
        if trigger.ignore_null_values:
            found = found.with_zeros(last, block_seconds)
        missing = tuple(replace(gap, first=gap.first - block_seconds) for gap in found.gaps)
        mean, peak = found.columns
        return Blocks(found.times - block_seconds, mean, peak, missing)

    def reachable(self, trigger: Trigger) -> bool:
        """False while the circuit of this trigger's server, or of its namespace there, is open."""
        server = self._servers.get(trigger.server_address)
        return server is None or server.reachable(trigger.namespace)

    def circuits(self) -> dict[str, bool]:
        """Every server asked so far, by its address without credentials, and whether its circuit is open."""
        return {server.shown: server.is_down() for server in self._servers.values()}

    def queue_lengths(self) -> dict[str, int]:
        """Requests that wait for a slot of any server, by lane."""
        waiting = sum((server.waiting() for server in self._servers.values()), Counter())
        return {f"source_{lane}": waiting[lane] for lane in Lane}

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _sampled(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Sampled:
        found, gaps = await self._read(trigger, trigger.query, start, end, step_seconds)
        return one_history(found, step_seconds).with_gaps(gaps, step_seconds)

    async def _summed_up(self, trigger: Trigger, first: float, last: float, block_seconds: float) -> Sampled:
        """Mean and maximum of each block that ends at first, …, last."""
        step = min(trigger.query_step_seconds or BLOCK_STEP_SECONDS, block_seconds)
        query = joined(tagged(over_block(name, trigger.query, block_seconds, step), name) for name in MEAN_AND_MAXIMUM)
        found, gaps = await self._read(trigger, query, first, last, block_seconds)
        mean, peak = assigned(found, TAG, MEAN_AND_MAXIMUM).values()
        return side_by_side(mean, peak, block_seconds).with_gaps(gaps, block_seconds)

    async def _read(
        self, trigger: Trigger, query: str, start: float, end: float, step_seconds: float
    ) -> tuple[list[Series], tuple[Gap, ...]]:
        server = self._server(trigger.server_address)

        async def ask(first: float, last: float) -> list[Series]:
            answer = await server.range(query, first, last, step_seconds, _parameters(trigger), trigger.namespace)
            found = await off_loop(answer.size, series, answer)
            if not all(one.lies_within(first - step_seconds, last + step_seconds) for one in found):
                raise Malformed(f"{server.shown} answered for another time than it was asked for")
            return found

        return await read(ask, start, end, step_seconds, server.piece_size(trigger.namespace))

    def _server(self, address: str) -> Server:
        server = self._servers.get(address)
        if server is None:
            access = access_for(address, self._access)
            server = self._servers[address] = Server(address, access, self._limits, self._turns, self._transport)
        return server

    def _known_queries(self, address: str, namespace: str, parameters: Pairs) -> KnownQueries:
        known = self._known.get((address, namespace, parameters))
        if known is None:
            where = (address, namespace, *(part for pair in parameters for part in pair))
            known = self._known[address, namespace, parameters] = KnownQueries(where, self._apart)
        return known

    async def _sweep(self, at: float) -> None:
        """Give back the memory of queries and servers that nobody asks any more."""
        if abs(at - self._swept_at) < SWEEP_SECONDS:
            return
        self._swept_at = at
        unused = [address for address, server in self._servers.items() if server.idle_seconds() > UNUSED_SECONDS]
        await asyncio.gather(*(self._servers.pop(address).close() for address in unused))
        for where, known in list(self._known.items()):
            known.sweep(at)
            if not known:
                del self._known[where]

    def _patience(self, trigger: Trigger) -> float:
        return min(self._limits.observe_seconds, trigger.timeout_seconds or math.inf)


def _parameters(trigger: Trigger) -> Pairs:
    """What goes into the URL: KEDA sends `namespace` so, too (prometheus_scaler.go, ExecutePromQuery)."""
    tenant = (("namespace", trigger.tenant),) if trigger.tenant else ()
    return (*tenant, *trigger.query_parameters)


def _put_at(positions: Sequence[int], put: Put, part: Answers) -> None:
    put([(positions[i], value) for i, value in part])


def open_prometheus(options: SourceOptions) -> PrometheusSource:
    """The kind `prometheus` of `scaler.history.sources`."""
    return PrometheusSource(options.access, options.limits, options.transport, options.apart)

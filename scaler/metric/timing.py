"""How long calls take, counted so cheaply that every call can be."""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping
from time import perf_counter_ns

from scaler.telemetry.metrics import Distribution, Distributions
from scaler.telemetry.process_figures import RPC_BUCKETS

LOOP_CHECK_SECONDS = 0.25

_BOUNDS_NS = tuple(round(bound * 1e9) for bound in RPC_BUCKETS)


class CallTimes:
    """How many calls took how long."""

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)
        self.total_ns = 0

    def note(self, started_ns: int) -> None:
        """Count a call that began at `started_ns` (of `perf_counter_ns`) and ends now."""
        took = perf_counter_ns() - started_ns
        self.counts[bisect_left(_BOUNDS_NS, took)] += 1
        self.total_ns += took


class Timing:
    """The times of all calls, by (RPC, status name), and how long the event loop keeps a call waiting before."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], CallTimes] = {}
        self._loop_delays = CallTimes()

    def of(self, rpc: str, status: str) -> CallTimes:
        return self._times.setdefault((rpc, status), CallTimes())

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many calls ended how; what never happened is left out."""
        counts = {key: sum(times.counts) for key, times in self._times.items()}
        return {key: count for key, count in counts.items() if count}

    def distributions(self) -> Distributions:
        """The same calls by duration."""
        return {key: _distribution(times) for key, times in self._times.items() if any(times.counts)}

    def loop_delays(self) -> Distributions:
        """How late the event loop ran what was due, in samples of `watch_loop`."""
        return {(): _distribution(self._loop_delays)}

    async def watch_loop(self) -> None:
        """Sample the delay of the running event loop, for ever: a call can only be timed once the loop takes it up."""
        while True:
            due = perf_counter_ns() + round(LOOP_CHECK_SECONDS * 1e9)
            await asyncio.sleep(LOOP_CHECK_SECONDS)
            self._loop_delays.note(due)


def _distribution(times: CallTimes) -> Distribution:
    return Distribution(tuple(times.counts), times.total_ns / 1e9)

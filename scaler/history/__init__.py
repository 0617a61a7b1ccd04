"""Demand as a source returned it. One protocol; `prometheus.py` and `recorded.py` implement it; `table.py` keeps it.

sources.py      the door: opens a source of the kind that the settings name
arriving.py     answers that are read while others are under way
prometheus.py   observations and history   ←  connection.py (one server), answers.py, ranges.py (pieces), sampled.py
connection.py   one server                 ←  slots.py (turns: fair_queue.py, lanes.py, pace.py), circuits.py, client.py
rounds.py       many triggers per request  ←  queries.py (texts), known.py and apart.py (who may share one)
credentials.py  what the operator shows to a server
recorded.py     a recording instead        ←  traces.py (CSV, Parquet)
table.py        history of all triggers    ←  page.py (rings of float32), grid.py (slots, steps, blocks); pure
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from scaler.errors import DependencyError, SourceUnavailable
from scaler.history.apart import Apart
from scaler.history.arriving import Arriving
from scaler.series import Blocks, Samples
from scaler.trigger import Trigger

if TYPE_CHECKING:
    from scaler.settings import Settings


ROUND_SHARE = 0.8
"""share of the refresh interval after which a round of observing asks nothing more"""


class MetricSource(Protocol):
    """Where demand is read. Every method may be called concurrently and bounds its own time and concurrency."""

    def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """Demand of each trigger at the moment `at` (seconds since the epoch): (position, demand or error), in parts.

        An async generator. Each part comes when its own request is answered, and waits for no other; every position
        comes once. A failing trigger gives its error; the others are not disturbed. Values are finite and >= 0.
        """
        ...

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """Demand at start, start + step, … <= end; missing moments are left out. `start` is a multiple of the step.

        Raises DependencyError.
        """
        ...

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """Mean and max of demand for the complete clock-aligned blocks within [start, end]. Raises DependencyError."""
        ...

    def reachable(self, trigger: Trigger) -> bool:
        """False while the circuit of this trigger's server is open: asking now would fail at once."""
        ...

    def circuits(self) -> Mapping[str, bool]:
        """Every server asked so far, and whether its circuit is open."""
        ...

    def queue_lengths(self) -> Mapping[str, int]:
        """How many requests wait, by the queue's name in telemetry."""
        ...

    async def close(self) -> None: ...


async def observe_all(source: MetricSource, triggers: Sequence[Trigger], at: float) -> list[float | DependencyError]:
    """Demand of each trigger, or its error, in the triggers' order, when all are answered."""
    found = {position: value async for part in source.observe(triggers, at) for position, value in part}
    return [found.get(position, SourceUnavailable("no answer")) for position in range(len(triggers))]


def open_source(settings: "Settings", apart: Apart | None = None) -> MetricSource:
    """Where the settings say that demand is read. No server is asked yet. Raises SettingsError.

    apart: which queries are never joined with others; the source adds to it.
    """
    from scaler.history.sources import access_of, limits_of, source_for  # with it comes the HTTP client

    return source_for(access_of(settings), limits_of(settings), apart=apart)

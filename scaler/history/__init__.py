"""Demand as a source returned it. One protocol; `prometheus.py` and `recorded.py` implement it; `table.py` keeps it.

sources.py      the door: opens a source of the kind that the settings name
prometheus.py   many triggers per request  ←  queries.py (texts), connection.py (one server), answers.py (their parts)
credentials.py  what the operator shows to a server
recorded.py     a recording instead        ←  traces.py (CSV, Parquet)
table.py        history of all triggers    ←  page.py (rings of float32), grid.py (slots, steps, blocks); pure
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from scaler.errors import DependencyError
from scaler.series import Blocks, Samples
from scaler.trigger import Trigger

if TYPE_CHECKING:
    from scaler.settings import Settings


class MetricSource(Protocol):
    """Where demand is read. Every method may be called concurrently and bounds its own time and concurrency."""

    async def observe(self, triggers: Sequence[Trigger], at: float) -> list[float | DependencyError]:
        """Demand of each trigger at the moment `at` (seconds since the epoch), in the triggers' order.

        A failing trigger gives its error in its place; the others are not disturbed. Values are finite and >= 0.
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

    async def close(self) -> None: ...


def open_source(settings: "Settings") -> MetricSource:
    """Where the settings say that demand is read. No server is asked yet. Raises SettingsError."""
    from scaler.history.sources import access_of, limits_of, source_for  # with it comes the HTTP client

    return source_for(access_of(settings), limits_of(settings))

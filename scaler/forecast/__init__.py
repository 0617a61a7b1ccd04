"""Quantiles of demand to come. `Forecaster` computes them, `ForecastCache` shares them between replicas."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scaler.models import Serving
from scaler.series import Forecast, Grid, HistoryBatch, Outlook
from scaler.trigger import Trigger


class Forecaster(Protocol):
    """One loaded bundle. `forecast` is CPU work without I/O; the caller runs it off the event loop."""

    @property
    def model(self) -> str:
        """bundle name and version, as `seasonal@1`"""
        ...

    @property
    def grid(self) -> Grid: ...

    @property
    def needed_seconds(self) -> float:
        """the least fine history without which every forecast is None"""
        ...

    def forecast(self, batch: HistoryBatch) -> list[Forecast | None]:
        """One forecast per series of the batch, in order; None for too little history or unusable output."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The forecaster that serves a trigger."""

    forecaster: Forecaster
    reason: str = ""
    """why the trigger does not get the model it names; empty when it does"""
    serving: Serving | None = None
    """of which scope it is the champion; None where no champion serves"""


class Forecasters(Protocol):
    """Maps triggers to forecasters; `catalog.py` implements it on bundles."""

    def choice(self, trigger: Trigger) -> Choice: ...


class ForecastCache(Protocol):
    """What replicas share: outlooks, refresh leases and wake-ups.

    Every method raises CacheUnavailable when the server does not answer in time; the caller continues without it.
    """

    refused: int
    """received values that were no outlooks, or not signed with our key"""

    @property
    def replica_id(self) -> str:
        """This process's own name among the replicas."""
        ...

    async def publish(self, outlooks: Mapping[str, Outlook], seconds: float) -> None:
        """Store the outlooks under their trigger keys for `seconds`, and wake the other replicas.

        An outlook that is older than the one stored (see `Outlook.order`) is left out, and so is one of a trigger whose
        lease this replica has lost to another without knowing it.
        """
        ...

    async def receive(self, keys: Sequence[str]) -> dict[str, Outlook]:
        """The newest outlook of each key that has one."""
        ...

    async def lease(self, keys: Sequence[str], seconds: float) -> set[str]:
        """Those of `keys` this replica may refresh for the next `seconds`: free ones are taken, own ones renewed."""
        ...

    async def holders(self, keys: Sequence[str]) -> dict[str, int]:
        """How many of these leases each replica holds now, by its name."""
        ...

    async def release(self, keys: Sequence[str]) -> None:
        """Release own leases (on drain), so that another replica takes over at once."""
        ...

    def wakes(self) -> AsyncIterator[list[str]]:
        """Keys that another replica published, as they come. Ends only with CacheUnavailable or when closed.

        The first item is empty: from then on nothing is missed, and what was published before is there to receive.
        """
        ...

    async def close(self) -> None: ...

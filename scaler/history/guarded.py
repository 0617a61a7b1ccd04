"""A metric source whose every failure is a DependencyError, whatever the source itself raises."""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from scaler.errors import DependencyError, SourceUnavailable
from scaler.history import MetricSource
from scaler.history.arriving import Arriving
from scaler.history.failures import Failures
from scaler.series import Blocks, Samples
from scaler.trigger import Trigger
from scaler.trigger.server_address import redact

_T = TypeVar("_T")


def guarded(source: MetricSource) -> "Guarded":
    """The source behind the guard; one that is guarded already, as it is."""
    return source if isinstance(source, Guarded) else Guarded(source)


class Guarded:
    """A MetricSource around another. An exception that is no DependencyError is the error of the triggers asked for."""

    def __init__(self, source: MetricSource) -> None:
        self._source = source
        self._failures = Failures()

    async def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        """As the source; every trigger gets demand or an error, once."""
        missing = dict(enumerate(triggers))
        why: Exception = SourceUnavailable("the source gave no answer for this trigger")
        try:
            async with aclosing(self._source.observe(triggers, at)) as parts:
                async for part in parts:
                    fresh = [(i, value) for i, value in part if missing.pop(i, None) is not None]
                    yield fresh
        except Exception as error:  # noqa: BLE001  logged by Failures
            why = error
        if missing:
            yield [(i, self._error(trigger, why)) for i, trigger in missing.items()]

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        """As the source. Raises DependencyError alone."""
        return await self._or_error(trigger, self._source.samples(trigger, start, end, step_seconds))

    async def blocks(self, trigger: Trigger, start: float, end: float, block_seconds: float) -> Blocks:
        """As the source. Raises DependencyError alone."""
        return await self._or_error(trigger, self._source.blocks(trigger, start, end, block_seconds))

    def reachable(self, trigger: Trigger) -> bool:
        """As the source."""
        return self._source.reachable(trigger)

    def circuits(self) -> Mapping[str, bool]:
        """As the source."""
        return self._source.circuits()

    def queue_lengths(self) -> Mapping[str, int]:
        """As the source."""
        return self._source.queue_lengths()

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def _or_error(self, trigger: Trigger, asked: Awaitable[_T]) -> _T:
        try:
            return await asked
        except DependencyError:
            raise
        except Exception as error:  # noqa: BLE001  logged by Failures
            raise self._error(trigger, error) from None

    def _error(self, trigger: Trigger, error: Exception) -> DependencyError:
        if isinstance(error, DependencyError):
            return error
        return self._failures.error(redact(trigger.server_address) or "the source", error)

"""When a retraining last came to its end, and when one last failed, out of the index of models, for alerts."""

from contextlib import suppress

from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.models import Kind, ModelIndex

EVERY_SECONDS = 300.0
MOST_READ = 200
"""entries of the log: the end of a retraining is not far behind what it has decided"""
OUTCOMES = {Kind.RETRAINED: "finished", Kind.RETRAINING_FAILED: "failed"}


class Retrainings:
    """The newest retraining of each outcome; `run` reads for ever. While the database is away, the last ones stay."""

    def __init__(self, index: ModelIndex, clock: Clock) -> None:
        self._index = index
        self._clock = clock
        self._ended: dict[str, float] = {}

    def exported(self) -> dict[tuple[str, ...], float]:
        """By outcome, the moment of the newest one. An outcome that never was is missing."""
        return {(outcome,): at for outcome, at in self._ended.items()}

    async def run(self) -> None:
        """Read now and then, for ever."""
        while True:
            with suppress(StoreUnavailable):  # scaler/refresh/checkpoint.py logs it
                await self.read()
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)

    async def read(self) -> None:
        """Look at the newest entries of the log. Raises StoreUnavailable."""
        for one in await self._index.decisions(MOST_READ):
            if outcome := OUTCOMES.get(one.kind):
                self._ended[outcome] = max(one.at, self._ended.get(outcome, 0.0))

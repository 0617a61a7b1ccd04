"""Reading from the index which versions of models are to serve. Answers never wait for it, and a database that is down
changes nothing."""

import asyncio
from collections.abc import Iterable

import structlog

from scaler.errors import StoreUnavailable
from scaler.models import Lineup, ModelIndex, is_model

log = structlog.get_logger()


class Champions:
    """Who is to serve, as the index had it when it last answered."""

    def __init__(self, index: ModelIndex) -> None:
        self._index = index
        self._lineup = Lineup()
        self._fails = False

    async def read(self, now: float, named: Iterable[str] = (), seconds: float | None = None) -> Lineup:
        """The lineup now; what was known before where the index does not answer, within `seconds`.

        named: the models that triggers name.
        """
        champions = self._lineup.champions
        try:
            async with asyncio.timeout(seconds):
                champions = await self._index.champions()
        except (StoreUnavailable, TimeoutError) as error:
            if not self._fails:
                log.warning("champions_unread", error=str(error) or "no answer in time")
            self._fails = True
        else:
            self._fails = False
        self._lineup = Lineup(champions, frozenset(filter(is_model, named)), now)
        return self._lineup

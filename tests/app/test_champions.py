"""Reading the champions beside everything else."""

import asyncio

from structlog.testing import capture_logs

from scaler.app.champions import Champions
from scaler.errors import StoreUnavailable
from scaler.models import ALL, Champion, Lineup
from scaler.store.null_models import NullModels

SERVES = {ALL: Champion(ALL, "own@1", 1.0)}


class Index(NullModels):
    """Answers, fails, or hangs."""

    def __init__(self) -> None:
        self.answers: dict[str, Champion] | Exception | None = SERVES

    async def champions(self) -> dict[str, Champion]:
        if self.answers is None:
            await asyncio.Event().wait()
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers or {}


async def test_a_database_that_is_down_changes_nothing() -> None:
    """The known champions stay, and the log says so once for each outage."""
    index = Index()
    champions = Champions(index)
    assert await champions.read(10.0, ["own@3", "auto", "own"]) == Lineup(SERVES, frozenset(["own@3"]), 10.0)
    with capture_logs() as logged:
        index.answers = StoreUnavailable("refused")
        assert (await champions.read(20.0)).champions == SERVES
        index.answers = None
        assert (await champions.read(30.0, seconds=0.01)).champions == SERVES
    assert [(line["event"], line["error"]) for line in logged] == [("champions_unread", "refused")]
    index.answers = {}
    assert (await champions.read(40.0)).champions == {}
    with capture_logs() as logged:
        index.answers = StoreUnavailable("again")
        await champions.read(50.0)
    assert [line["error"] for line in logged] == ["again"]

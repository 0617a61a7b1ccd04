"""Answers are read as they come."""

import asyncio
from contextlib import aclosing

import pytest

from scaler.history import observe_all
from scaler.history.arriving import Arriving, Put, arriving
from scaler.history.guarded import guarded
from scaler.testing import FixedSource
from scaler.trigger import Trigger

TRIGGERS = [Trigger("shop", name, "up", 10.0, "http://prometheus:9090", key=name) for name in "abc"]


async def test_a_part_is_read_while_the_next_is_under_way() -> None:
    """And a reader that stops cancels the rest."""
    stopped = asyncio.Event()

    async def ask(put: Put) -> None:
        put([(0, 1.0)])
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with aclosing(arriving(ask)) as parts:
        assert await anext(parts) == [(0, 1.0)]
        assert not stopped.is_set()
    assert stopped.is_set()


async def test_an_exception_comes_after_what_was_put() -> None:
    """Nothing that was answered is lost."""

    async def ask(put: Put) -> None:
        put([(0, 1.0)])
        raise ValueError("broken")

    parts = arriving(ask)
    assert await anext(parts) == [(0, 1.0)]
    with pytest.raises(ValueError, match="broken"):
        await anext(parts)


class Careless(FixedSource):
    """It answers for one trigger twice, for another never, and then breaks."""

    async def observe(self, triggers: object, at: float) -> Arriving:
        yield [(0, 1.0)]
        yield [(0, 2.0), (1, 3.0)]
        raise KeyError("s3cret")


async def test_every_trigger_gets_one_answer_from_a_careless_source() -> None:
    """The first one counts; whoever is left out gets an error in our words."""
    first, second, third = await observe_all(guarded(Careless(lambda *_: 0.0)), TRIGGERS, 0.0)
    assert (first, second) == (1.0, 3.0)
    assert "unexpected KeyError" in str(third)

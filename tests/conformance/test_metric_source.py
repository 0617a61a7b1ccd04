"""The same checks over every metric source, and what a new one has to pass."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from scaler.errors import DependencyError, NoDemand, SourceRefused
from scaler.history import MetricSource, observe_all
from scaler.history.credentials import ServerAccess
from scaler.history.guarded import guarded
from scaler.history.recorded import RecordedSource
from scaler.history.sources import Routed, source_for
from scaler.history.traces import Trace
from scaler.series import Blocks, Samples
from scaler.testing import FixedSource
from scaler.trigger import Trigger
from tests.servers.prometheus import Recorded, prometheus
from tests.servers.victoria import victoria

END = 1_700_006_400.0
"""the last moment that is known; a multiple of 15 minutes"""
HOURS = 6
START = END - 3600.0 * HOURS
HOLE = (END - 2 * 3600.0, END - 3600.0)
"""when `gap` has no demand: longer than a server looks back"""


def demand(name: str, moment: float) -> float:
    """What every source here knows: `wave` and `other` in every minute, `gap` with a hole, `below` that is negative."""
    if not START <= moment <= END or (name == "gap" and HOLE[0] < moment < HOLE[1]):
        return math.nan
    wave = round(100 + 50 * math.sin(moment / 3600) + (moment // 60) % 7, 3)
    return {"wave": wave, "gap": wave, "other": 2 * wave, "below": -wave}.get(name, math.nan)


NAMES = ("wave", "gap", "other", "below")
MINUTES = [START + 60.0 * minute for minute in range(60 * HOURS + 1)]


@dataclass(frozen=True)
class Place:
    """A source that knows `demand`, and a trigger for each name."""

    source: MetricSource
    address: str

    def trigger(self, name: str, **others: object) -> Trigger:
        made = Trigger("shop", name, name, 10.0, self.address, key=name)
        return replace(made, **others)  # type: ignore[arg-type]

    async def observe(self, *names: str, at: float = END) -> list[float | DependencyError]:
        return await observe_all(self.source, [self.trigger(name) for name in names], at)

    async def samples(self, name: str, start: float = START, end: float = END, step: float = 60.0) -> Samples:
        return await self.source.samples(self.trigger(name), start, end, step)

    async def blocks(self, name: str, start: float = START, end: float = END, block: float = 900.0) -> Blocks:
        return await self.source.blocks(self.trigger(name), start, end, block)


def at_server(fixture: str, request: pytest.FixtureRequest) -> Place:
    return Place(source_for([]), request.getfixturevalue(fixture))


def in_a_recording(_: pytest.FixtureRequest) -> Place:
    values = {name: np.array([demand(name, moment) for moment in MINUTES], np.float32) for name in NAMES}
    # a bin is known when it is over
    traces = {name: Trace(name, "", START - 60.0, 60.0, values[name]) for name in NAMES}
    return Place(RecordedSource(traces, loop=False), "http://recorded")


def in_memory(_: pytest.FixtureRequest) -> Place:
    return Place(FixedSource(lambda trigger, at: demand(trigger.query, at)), "http://fixed")


def behind_the_door(request: pytest.FixtureRequest) -> Place:
    """Two kinds at once: the recording answers for one server, Prometheus for every other."""
    sources = {"prometheus": guarded(source_for([])), "recorded": guarded(in_a_recording(request).source)}
    return Place(Routed([ServerAccess("http://recorded", kind="recorded")], sources), "http://recorded")


PLACES: dict[str, Callable[[pytest.FixtureRequest], Place]] = {
    "prometheus": partial(at_server, "prometheus_url"),
    "victoria": partial(at_server, "victoria_url"),
    "recorded": in_a_recording,
    "fixed": in_memory,
    "routed": behind_the_door,
}
"""a new source is one line here"""


def series() -> list[Recorded]:
    known = [(name, [(t, demand(name, t)) for t in MINUTES if not math.isnan(demand(name, t))]) for name in NAMES]
    return [Recorded(name, samples) for name, samples in known]


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), series()) as running:
        yield running.url


@pytest.fixture(scope="module")
def victoria_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with victoria(tmp_path_factory.mktemp("victoria"), series()) as url:
        yield url


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.server) for name in PLACES])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = PLACES[request.param](request)
    yield made
    await made.source.close()


async def test_every_trigger_gets_its_demand_in_order(place: Place) -> None:
    """However often and in which order it is asked for; of nobody nothing."""
    names = ("other", "wave", "gap", "wave")
    for at in (END, END - 60.0, START + 60.0):
        assert await place.observe(*names, at=at) == pytest.approx([demand(name, at) for name in names], rel=1e-6)
    assert await observe_all(place.source, [], END) == []


async def test_a_trigger_that_fails_disturbs_no_other(place: Place) -> None:
    """Its place holds its error; values are finite and not negative."""
    found = await place.observe("wave", "below", "nobody", "other")
    assert found[0] == pytest.approx(demand("wave", END))
    assert found[3] == pytest.approx(demand("other", END))
    assert isinstance(found[1], SourceRefused)
    assert isinstance(found[2], NoDemand | SourceRefused)


async def test_no_demand_is_unknown_and_not_zero(place: Place) -> None:
    """In the hole; 0 where the trigger reads nothing as 0."""
    at = HOLE[1] - 600.0
    assert isinstance((await place.observe("gap", at=at))[0], NoDemand)
    assert await observe_all(place.source, [place.trigger("gap", ignore_null_values=True)], at) == [0.0]


@pytest.mark.parametrize("step", [60.0, 300.0])
async def test_samples_are_what_observing_would_have_seen(place: Place, step: float) -> None:
    """At start, start + step, … <= end, ascending; what is missing is left out."""
    for name in ("wave", "gap"):
        found = await place.samples(name, START + 300.0, END, step)
        steps = (found.times - START) / step
        assert np.all(np.diff(found.times) > 0)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert found.values.dtype == np.float32
        asked = np.arange(START + 300.0, END + 1.0, step)
        outside = [t for t in asked if not HOLE[0] < t < HOLE[1]]
        assert [t for t in found.times if not HOLE[0] < t < HOLE[1]] == outside
        seen = [(await place.observe(name, at=float(t)))[0] for t in found.times[::40]]
        np.testing.assert_allclose(found.values[::40], seen, rtol=1e-6)
    middle = (HOLE[0] + 600.0, HOLE[1] - 60.0)
    assert len((await place.samples("gap", *middle)).times) == 0


async def test_what_cannot_be_demand_is_no_sample(place: Place) -> None:
    """Negative values are missing from the past."""
    assert len((await place.samples("below")).times) == 0
    assert len((await place.blocks("below")).starts) == 0


async def test_blocks_are_complete_and_aligned_to_the_clock(place: Place) -> None:
    """The block that starts at s has mean and max of the samples in (s, s + block]; half blocks are left out."""
    found = await place.blocks("wave", START + 100.0, END - 100.0)
    assert found.starts.tolist() == [START + 900.0 * number for number in range(1, HOURS * 4 - 1)]
    for start, mean, peak in list(zip(found.starts, found.mean, found.max, strict=True))[::5]:
        minutes = [demand("wave", start + 60.0 * minute) for minute in range(1, 16)]
        assert mean == pytest.approx(sum(minutes) / 15, rel=1e-5)
        assert peak == pytest.approx(max(minutes), rel=1e-5)
    in_hole = await place.blocks("gap", HOLE[0] + 900.0, HOLE[1] - 900.0)
    assert len(in_hole.starts) == 0


async def test_an_empty_span_is_empty(place: Place) -> None:
    """Shorter than a block, or before anything was known."""
    assert len((await place.blocks("wave", START + 10.0, START + 700.0)).starts) == 0
    assert len((await place.samples("wave", START - 7200.0, START - 3600.0)).times) == 0


async def test_calls_do_not_disturb_each_other(place: Place) -> None:
    """All at once is the same as one after the other; a call that is given up leaves the source as it was."""
    given_up = asyncio.create_task(place.samples("wave"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    alone = await place.observe("wave", "gap"), await place.samples("wave"), await place.blocks("other")
    together = await asyncio.gather(place.observe("wave", "gap"), place.samples("wave"), place.blocks("other"))
    assert together[0] == alone[0]
    np.testing.assert_array_equal(together[1].values, alone[1].values)
    np.testing.assert_array_equal(together[2].mean, alone[2].mean)


async def test_a_source_that_answers_is_reachable(place: Place) -> None:
    """Before anybody asked it, too; circuits are named by servers, without credentials."""
    assert place.source.reachable(place.trigger("wave"))
    await place.observe("wave")
    assert place.source.reachable(place.trigger("wave"))
    circuits = dict(place.source.circuits())
    assert not any(circuits.values())
    assert all("@" not in name for name in circuits)


async def test_whatever_fails_is_a_dependency_error(place: Place) -> None:
    """Of an unknown name; nothing else is raised."""
    for ask in (place.samples, place.blocks):
        (answer,) = await asyncio.gather(ask("nobody"), return_exceptions=True)
        if isinstance(answer, Samples | Blocks):
            assert len(answer.times if isinstance(answer, Samples) else answer.starts) == 0
        else:
            assert isinstance(answer, SourceRefused | NoDemand)


async def test_closing_twice_is_no_error(place: Place) -> None:
    """Nor is closing what was never asked."""
    await place.source.close()
    await place.source.close()
